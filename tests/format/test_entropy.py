"""Entropy coded payloads: no code is changed, no block grows, damage and hostile bytes are noticed."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.errors import DamagedError, FormatError, OptionError
from nac.format.bits import packed_bytes
from nac.format.blocks import Block, BlockReader, BlockWriter
from nac.format.check import check
from nac.format.edit import concatenate, reduce, trim
from nac.format.entropy.payload import EntropyPayload
from nac.format.entropy.range_coder import RangeDecoder, encode_decisions
from nac.format.entropy.sections import SECTION_ENDS
from nac.format.header import Metadata, frame_count, pack_header, read_header
from nac.format.scan import Damage
from tests.format.entropy_tools import (
    CODED,
    CODINGS,
    WHOLE,
    coded,
    cut,
    entropy_payload,
    file_of,
    likely_codes,
    likely_file,
)
from tests.format.format_files import META, make, problems, read, same_codes
from tests.format.tables import LIBRARY, MANY, OTHER, SMALL, TABLES

SLOW = settings(deadline=None, max_examples=40)
EITHER = pytest.mark.parametrize("base", [WHOLE, CODED], ids=["whole", "sections"])


@SLOW
@given(st.data())
def test_codes_come_back_whatever_they_are(data):
    tables, coding = data.draw(st.sampled_from([TABLES, SMALL, MANY])), data.draw(st.sampled_from(CODINGS))
    channels, codebooks = data.draw(st.integers(1, 2)), data.draw(st.integers(1, len(tables.codebooks)))
    blocks, frames = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    meta = coded(Metadata(24000, channels, None, 1, codebooks, 7, "m", bits=tables.bits), tables, coding)
    lags = data.draw(st.lists(st.integers(0, 35) if channels == 2 else st.just(0), min_size=blocks, max_size=blocks))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    top = data.draw(st.sampled_from([1, 2, 1 << tables.bits]))
    codes = rng.integers(0, top, (blocks, frames, codebooks))
    coder = entropy_payload(meta)
    payloads = coder.encode(codes, lags)
    assert np.array_equal(coder.decode(payloads, frames, lags), codes)
    more = 3 * sum(end < codebooks for end in SECTION_ENDS[coding])  # a length, and what fills up the last byte
    assert max(map(len, payloads)) <= packed_bytes(frames * codebooks, tables.bits) + more
    # A block's payload depends on nothing but the block.
    assert payloads == [coder.encode(codes[i : i + 1], lags[i : i + 1])[0] for i in range(blocks)]


@SLOW
@given(st.lists(st.tuples(st.integers(1, 16383), st.booleans()), max_size=300))
def test_decisions_come_back_and_take_what_they_are_worth(decisions):
    data = encode_decisions([2 * chance + one for chance, one in decisions])
    decoder = RangeDecoder(data, [chance for chance, _ in decisions])
    for number, (_, one) in enumerate(decisions):
        assert decoder.paths([0, number], 1, 1, [()], 1) == [int(one)]
    decoder.finish()
    worth = -sum(np.log2((chance if one else 16384 - chance) / 16384) for chance, one in decisions)
    assert 8 * len(data) <= worth * 1.002 + 9


@SLOW
@given(st.lists(st.tuples(st.integers(1, 16383), st.booleans()), min_size=1, max_size=200), st.data())
def test_the_bytes_of_the_first_decisions_are_known_from_those_of_all(decisions, data):
    encoded = [2 * chance + one for chance, one in decisions]
    decoder = RangeDecoder(encode_decisions(encoded), [chance for chance, _ in decisions])
    for number in range(data.draw(st.integers(0, len(encoded)))):
        assert decoder.consumed_prefix() == encode_decisions(encoded[:number])
        decoder.paths([0, number], 1, 1, [()], 1)


@pytest.mark.slow
def test_the_bytes_of_the_first_decisions_after_a_carry():
    """The bytes of all decisions begin with ff, those of the first with 00 after a carry, and the reverse."""
    for length in range(1, 400):
        decisions = [2 * 1 + 0] * length + [2 * 16383 + 0] * 3
        decoder = RangeDecoder(encode_decisions(decisions), [decision >> 1 for decision in decisions])
        for number in range(len(decisions)):
            assert decoder.consumed_prefix() == encode_decisions(decisions[:number])
            decoder.paths([0, number], 1, 1, [()], 1)


def test_a_carry_runs_through_bytes_that_are_full():
    """The value of the range passes a byte boundary long after the bytes above it were written."""
    for length in range(1, 400):
        decisions = [2 * 1 + 0] * length + [2 * 16383 + 0] * 3
        decoder = RangeDecoder(encode_decisions(decisions), [decision >> 1 for decision in decisions])
        assert [decoder.paths([0, number], 1, 1, [()], 1) for number in range(len(decisions))] == [[0]] * len(decisions)


@EITHER
def test_likely_codes_take_fewer_bytes_and_unlikely_ones_few_more_at_most(base):
    meta, data = likely_file(seconds=4, base=base)
    _, items, _ = read(data)
    packed = file_of(replace(meta, coding=0, extra=()), np.concatenate([item.codes[0].T for item in items]))
    assert len(data) < 0.8 * len(packed)
    worst, made = make(base), make(META)
    assert same_codes([block.codes[0] for block in worst.blocks], [block.codes[0] for block in made.blocks])
    field = len(worst.header) - len(made.header)
    more = 2 if base is WHOLE else 2 + 3  # 12 codebooks are two sections
    assert len(worst.data) <= len(made.data) + field + more * len(made.blocks)


@EITHER
def test_a_file_is_read_in_order_and_sought(base):
    made = make(base)
    meta, items, _ = read(made.data)
    assert meta == base and problems(made, items) == ""
    assert all(same_codes(item.codes, block.codes) for item, block in zip(items, made.blocks, strict=True))
    stream = io.BytesIO(made.data)
    reader = BlockReader(stream, read_header(stream), tables=LIBRARY)
    assert reader.seek(25) == 20
    assert [item.index for item in reader] == [2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("base, codebooks", [(WHOLE, 4), (CODED, 7)], ids=["whole", "sections"])
def test_every_bit_flip_is_noticed(base, codebooks):
    meta, data = likely_file(codebooks=codebooks, base=base, block_frames=15)
    header = len(pack_header(meta))
    _, original, _ = read(data)
    for bit in range(8 * header, 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        _, items, _ = read(bytes(flipped))
        blocks = [item for item in items if isinstance(item, Block)]
        assert any(isinstance(item, Damage) for item in items)
        assert len(blocks) >= len(original) - 1  # one block is lost, and no other changes
        assert all(same_codes(block.codes, original[block.index].codes) for block in blocks)


@SLOW
@given(st.binary(max_size=700), st.integers(1, 30), st.integers(0, 255))
def test_hostile_payloads_give_codes_or_an_error(payload, frames, lag):
    for base in (WHOLE, CODED):
        for meta in (replace(base, samples=None), replace(base, samples=None, channels=2)):
            try:
                codes = entropy_payload(meta).decode([payload], frames, [lag if meta.channels == 2 else 0])
            except DamagedError as error:
                assert "payload" in str(error)
            else:
                assert codes.shape == (1, frames, 12) and codes.max() < 1024
                # What is accepted is not a second spelling of other bytes.
                again = entropy_payload(meta).encode(codes, [lag])[0]
                assert again == payload or len(payload) <= packed_bytes(frames * 12, 10) + (2 if base is CODED else 0)


#: Two sections, each of 75 bytes if packed.
BAD_SECTIONS = [
    b"",
    b"\0",
    b"\0\x09" + b"\1" * 8,
    b"\xff\xff" + b"\1" * 99,
    b"\0\x4c" + b"\1" * 90,
    b"\0\0" + b"\1" * 76,
    b"\0\4" + b"\xff" * 4 + b"\1" * 9,
    b"\0\4" + b"\1" * 4 + b"\xff" * 30,
    b"\0\4" + b"\1\2\3\0" + b"\1" * 9,
    b"\0\4" + b"\1" * 4 + b"\1\0",
    b"\0\x4a" + b"\x55" * 74 + b"\1",
]


@pytest.mark.parametrize(
    "base, payload",
    [
        *((WHOLE, payload) for payload in (b"\xff" * 30, b"\xff" * 151, b"\x55" * 99 + b"\x00", b"\x00")),
        *((CODED, payload) for payload in BAD_SECTIONS),
    ],
)
def test_a_wrong_payload_with_a_right_checksum_is_damage(base, payload):
    meta = replace(base, samples=None)
    writer = BlockWriter(meta, LIBRARY)
    rng = np.random.default_rng(0)
    good = writer.block([rng.integers(0, 1024, (12, 10))])
    bad = writer.packed(payload, 10)
    data = pack_header(meta) + good + bad + writer.block([rng.integers(0, 1024, (12, 1))]) + writer.end(9600)
    _, items, samples = read(data)
    assert [type(item) for item in items] == [Block, Damage, Block] and samples == 9600
    assert (items[1].first_frame, items[1].frames) == (10, 10)
    for kbps, entropy in ((5, None), (6, False)):
        with pytest.raises(DamagedError, match="edited"):
            reduce(io.BytesIO(data), io.BytesIO(), kbps, entropy, tables=LIBRARY)


@EITHER
@pytest.mark.parametrize("kbps", [1, 3, 5, 6])
@pytest.mark.parametrize("channels, lag", [(1, 0), (2, 4), (2, 20)])
@pytest.mark.parametrize("noise", ["none", "all codebooks of a block", "the first ones", "the last ones"])
def test_reducing_gives_what_coding_at_the_lower_rate_gives(base, channels, lag, kbps, noise):
    """Blocks with noise are packed, as a whole or when they are reduced."""
    meta = replace(base, samples=24000 * 3, channels=channels, block_frames=50)
    frames = frame_count(meta.samples, 24000)
    codes = likely_codes(TABLES, 12, frames).T
    books = {"none": slice(0), "all codebooks of a block": slice(12), "the first ones": slice(3)}
    shape = codes[50:100, books.get(noise, slice(6, 12))].shape
    codes[50:100, books.get(noise, slice(6, 12))] = np.random.default_rng(0).integers(0, 1024, shape)
    packed = file_of(replace(meta, coding=0, extra=()), codes, lag)
    lower = cut(packed, kbps)
    source = io.BytesIO(lower)
    low_meta = read_header(source)
    writer = BlockWriter(coded(low_meta, TABLES, base.coding), LIBRARY)
    direct = pack_header(writer.meta)
    for block in BlockReader(source, low_meta, tables=LIBRARY):
        direct += writer.block(block.codes, block.side_lag)
    direct += writer.end(low_meta.samples)
    whole = file_of(meta, codes, lag)
    assert cut(whole, kbps) == direct
    assert cut(direct, kbps, entropy=False) == lower


def test_trimming_and_joining():
    _, data = likely_file(seconds=3)
    parts = [io.BytesIO(), io.BytesIO()]
    trim(io.BytesIO(data), parts[0], 0, 1, tables=LIBRARY)
    trim(io.BytesIO(data), parts[1], 1, tables=LIBRARY)
    for part in parts:
        part.seek(0)
        assert check(part).intact
        part.seek(0)
    whole = io.BytesIO()
    concatenate(parts, whole, tables=LIBRARY)
    assert whole.getvalue() == data


def test_files_of_all_codings_are_joined():
    """Each as the first is coded, with its tables."""
    codes = likely_codes(TABLES, 12, 51).T
    metas = [CODED, META, coded(META, OTHER), WHOLE]
    sources = [file_of(meta, codes) for meta in metas]
    for first, meta in enumerate(metas):
        concatenate(
            [io.BytesIO(sources[index]) for index in (first, *range(4))], joined := io.BytesIO(), tables=LIBRARY
        )
        _, items, _ = read(joined.getvalue())
        assert np.array_equal(np.concatenate([item.codes[0].T for item in items]), np.concatenate([codes] * 5))
        assert joined.getvalue() == file_of(replace(meta, samples=5 * 51 * 480 - 480), np.concatenate([codes] * 5))


@EITHER
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_blocks_are_copied_not_coded_anew(monkeypatch, base, channels):
    meta = replace(base, samples=24000 * 3, channels=channels)
    data = file_of(meta, likely_codes(TABLES, 12, meta.frames).T, lag=4 * (channels - 1))
    coded_anew = {"encode": 0, "decode": 0}

    def counting(name, function):
        def counted(coder, codes, *arguments):
            coded_anew[name] += len(codes)
            return function(coder, codes, *arguments)

        monkeypatch.setattr(EntropyPayload, name, counted)

    counting("encode", EntropyPayload.encode)
    counting("decode", EntropyPayload.decode)
    parts = [io.BytesIO(), io.BytesIO()]
    trim(io.BytesIO(data), parts[0], 0, 1, tables=LIBRARY)
    trim(io.BytesIO(data), parts[1], 1, tables=LIBRARY)
    assert max(coded_anew.values()) <= 2  # of 16 blocks: the last of each part
    concatenate([io.BytesIO(part.getvalue()) for part in parts], joined := io.BytesIO(), tables=LIBRARY)
    assert joined.getvalue() == data and max(coded_anew.values()) <= 5  # and the frames on both sides of the joint
    assert cut(data, 6) == data and max(coded_anew.values()) <= 6
    shifted = io.BytesIO()
    trim(io.BytesIO(data), shifted, 0.1, tables=LIBRARY)
    assert min(coded_anew.values()) > 14  # no block is as it was


@SLOW
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=3), st.sampled_from([1, 2]), st.integers(0, 60))
def test_editing_coded_files_is_editing_packed_ones(lengths, channels, start):
    made = []
    for number, samples in enumerate(lengths):
        meta = replace(CODED, samples=samples, channels=channels, codebooks=4, kbps=2)
        codes = likely_codes(TABLES, 4, meta.frames, number).T
        metas = (meta, replace(meta, coding=0, extra=()))
        made.append([file_of(one, codes, channels - 1) for one in metas])
    for edit, *arguments in ((concatenate,), (trim, start / 50)):
        try:
            results = []
            for kind in (0, 1):
                sources = [io.BytesIO(pair[kind]) for pair in made]
                edit(sources if edit is concatenate else sources[0], target := io.BytesIO(), *arguments, tables=LIBRARY)
                results.append(read(target.getvalue()))
        except OptionError:  # nothing is left
            assert edit is trim
            continue
        (meta, items, _), (packed_meta, packed, _) = results
        assert replace(meta, coding=0, extra=()) == packed_meta
        assert all(same_codes(one.codes, other.codes) for one, other in zip(items, packed, strict=True))


def test_a_file_without_the_tables_it_needs_is_refused():
    for extra in ((), ((2, b"\0\0\0"),), ((2, b"\0\0\0\1"), (2, b"\0\0\0\1"))):
        with pytest.raises(FormatError, match="does not name its tables"):
            BlockReader(io.BytesIO(), replace(CODED, extra=extra), tables=LIBRARY)
    with pytest.raises(FormatError, match="entropy tables 00000001"):
        BlockReader(io.BytesIO(), replace(CODED, extra=((2, b"\0\0\0\1"),)), tables=LIBRARY)
    with pytest.raises(FormatError, match=f"entropy tables {TABLES.fingerprint:08x}.*none are here"):
        BlockReader(io.BytesIO(), CODED)
    with pytest.raises(FormatError, match="not for 13 codebooks of 10 bits"):
        BlockReader(io.BytesIO(), replace(CODED, codebooks=13), tables=LIBRARY)
    # To look at it, and to check it, they are not needed.
    meta, data = likely_file()
    renamed = pack_header(replace(meta, extra=((2, b"\0\0\0\1"),))) + data[len(pack_header(meta)) :]
    assert check(io.BytesIO(renamed)).intact
