import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.errors import FormatError, NacError, OptionError
from nac.format.blocks import Block, BlockReader, BlockWriter, patch_samples
from nac.format.header import Metadata, pack_header, read_header
from nac.format.layout import ENTROPY
from nac.format.scan import Damage, block_checksum, find_samples
from tests.format.format_files import META, Pipe, make, problems, read, same_codes

UNKNOWN = replace(META, samples=None)
STEREO = replace(META, channels=2)
SMALL = Metadata(24000, 2, samples=3 * 480, kbps=1, codebooks=3, fingerprint=5, model="m", block_frames=3)

metadata = st.builds(
    Metadata,
    sample_rate=st.sampled_from([8000, 24000, 44100, 48000]),
    channels=st.integers(1, 2),
    samples=st.none(),
    kbps=st.integers(1, 24),
    codebooks=st.integers(2, 48),
    fingerprint=st.just(1),
    model=st.just("test"),
    bits=st.integers(1, 16),
    block_frames=st.integers(1, 60),
)
cases = st.tuples(
    metadata,
    st.integers(0, 60_000),
    st.booleans(),
    st.lists(st.integers(0, 50) | st.integers(0, 255), min_size=1, max_size=4),
    st.integers(0),
)


def make_case(case):
    meta, samples, known, lags, seed = case
    return make(replace(meta, samples=samples) if known else meta, seed=seed, samples=samples, lags=tuple(lags))


def damages(items):
    return [(item.index, item.first_frame, item.frames, item.at_end) for item in items if isinstance(item, Damage)]


@given(cases, st.integers(1, 5000))
def test_any_codes_come_back_from_files_and_pipes(case, piece):
    made = make_case(case)
    for stream in (io.BytesIO(made.data), Pipe(made.data, piece)):
        meta, items, samples = read(stream)
        assert meta == made.meta
        assert samples == case[1]
        assert len(items) == len(made.blocks)
        for item, block in zip(items, made.blocks, strict=True):
            assert (item.index, item.side_lag) == (block.index, block.side_lag)
            assert same_codes(item.codes, block.codes)


@given(cases, st.data())
def test_seeking_comes_to_the_block_that_holds_the_frame(case, data):
    made = make_case(case)
    for stream in (io.BytesIO(made.data), Pipe(made.data, 1000)):
        reader = BlockReader(stream, read_header(stream))
        frame = data.draw(st.integers(0, made.frames))
        first = reader.seek(frame)
        items = list(reader)
        assert problems(made, [*made.blocks[: -(-first // made.meta.block_frames)], *items]) == ""
        assert not damages(items)
        if frame < made.frames:
            assert first == items[0].index * made.meta.block_frames
            assert first <= frame < first + items[0].frames
        else:
            assert first <= frame
        with pytest.raises(OptionError):
            reader.seek(made.frames + made.meta.block_frames)


def test_a_pipe_cannot_be_wound_back():
    made = make()
    stream = Pipe(made.data, 100)
    reader = BlockReader(stream, read_header(stream))
    assert reader.seek(25) == 20
    assert reader.seek(22) == 20
    with pytest.raises(OptionError, match="forwards"):
        reader.seek(19)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lags", [(0,), (1, 200)])
def test_every_flipped_bit_of_a_small_file_is_noticed(known, lags):
    made = make(SMALL if known else replace(SMALL, samples=None), samples=SMALL.samples, lags=lags)
    for bit in range(len(made.data) * 8):
        data = bytearray(made.data)
        data[bit // 8] ^= 1 << bit % 8
        try:
            _, items, _ = read(bytes(data))
        except FormatError:
            assert bit // 8 < len(made.header)
        else:
            assert bit // 8 >= len(made.header)
            assert damages(items)
            assert problems(made, items) == ""


@pytest.mark.parametrize("known", [True, False])
def test_every_cut_of_a_file_is_noticed(known):
    made = make(META if known else UNKNOWN, samples=META.samples)
    size = made.position(1) - made.position(0)
    for length in range(len(made.data)):
        try:
            _, items, samples = read(made.data[:length])
        except FormatError:
            assert length < len(made.header)
            continue
        assert problems(made, items) == ""
        whole = min((length - len(made.header)) // size, 5)
        if length >= made.position(5) + 20:  # the last block, of one frame, has 20 bytes
            whole = 6
        assert [item.index for item in items if isinstance(item, Block)] == list(range(whole))
        assert items[-1].at_end
        if known:
            assert damages(items) == [(whole, whole * 10, made.frames - whole * 10, True)]
        else:
            assert samples is None


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("stereo", [True, False])
@pytest.mark.parametrize(
    ("edit", "lost"),
    [
        pytest.param(lambda data, at: data[: at(2) + 9] + b"!" + data[at(2) + 9 :], [2], id="a byte inserted"),
        pytest.param(lambda data, at: data[: at(2) + 9] + data[at(2) + 10 :], [2], id="a byte deleted"),
        pytest.param(lambda data, at: data[: at(2)] + data[at(3) :], [2], id="a block deleted"),
        pytest.param(lambda data, at: data[: at(1)] + data[at(4) :], [1, 2, 3], id="blocks deleted"),
        pytest.param(lambda data, at: data[: at(2)] + data[at(1) :], [], id="a block repeated"),
        pytest.param(lambda data, at: data[: at(3)] + b"?" * 99 + data[at(3) :], [], id="bytes between blocks"),
        pytest.param(
            lambda data, at: data[: at(2)] + data[at(3) : at(4)] + data[at(2) : at(3)] + data[at(4) :],
            [2],
            id="blocks exchanged",
        ),
        pytest.param(lambda data, at: data[: at(1) + 5] + bytes(300) + data[at(1) + 305 :], [1, 2], id="zeros"),
        pytest.param(lambda data, at: data[: at(0)] + data[at(0) + 1 :], [0], id="first block cut"),
        pytest.param(lambda data, at: data[: at(4) + 1] + b"x" + data[at(4) + 2 :], [4], id="a byte changed"),
    ],
)
def test_only_what_was_hit_is_lost(edit, lost, stereo, known):
    meta = STEREO if stereo else META
    made = make(meta if known else replace(meta, samples=None), samples=24000, lags=(6, 0))
    _, items, samples = read(edit(made.data, made.position))
    assert problems(made, items) == ""
    assert [item.index for item in items if isinstance(item, Block)] == [i for i in range(6) if i not in lost]
    assert sum(item.frames for item in items if isinstance(item, Damage)) == 10 * len(lost)
    assert damages(items)
    assert samples == 24000


def test_a_short_last_block_is_found_behind_damage_before_an_end_block():
    made = make(UNKNOWN, samples=24000)
    data = made.data[: made.position(4)] + b"12345" + made.data[made.position(5) :]
    _, items, samples = read(data)
    assert [item.index for item in items if isinstance(item, Block)] == [0, 1, 2, 3, 5]
    assert damages(items) == [(4, 40, 10, False)]
    assert samples == 24000


def test_an_end_block_tells_of_missing_blocks():
    made = make(UNKNOWN, samples=24000)
    _, items, samples = read(made.data[: made.position(3)] + made.data[-10:])
    assert damages(items) == [(3, 30, 21, False)]
    assert samples == 24000


@pytest.mark.parametrize("known", [True, False])
def test_bytes_after_the_end_are_noticed(known):
    made = make(META if known else UNKNOWN, samples=24000)
    for tail in (b"\0", made.data[-10:], made.data):
        _, items, samples = read(made.data + tail)
        assert damages(items) == [(6 if made.frames == 60 else 5, 51, 0, True)]
        assert samples == 24000


def test_a_file_of_no_samples_has_no_blocks():
    empty = replace(META, samples=0)
    assert make(empty).data == pack_header(empty)
    assert read(make(empty).data)[1:] == ([], 0)
    assert read(make(UNKNOWN, samples=0).data)[1:] == ([], 0)
    assert damages(read(make(empty).data + b"x")[1]) == [(0, 0, 0, True)]


def test_damage_in_two_places_and_a_shift_between():
    made = make(replace(META, samples=24000 * 4))
    data = bytearray(made.data)
    data[made.position(3) + 20] ^= 1
    data[made.position(12) + 20] ^= 1
    del data[made.position(7) + 3 : made.position(7) + 60]
    _, items, _ = read(bytes(data))
    assert problems(made, items) == ""
    assert [item.index for item in items if isinstance(item, Damage)] == [3, 7, 12]


def test_seeking_in_a_damaged_file():
    made = make(replace(META, samples=24000 * 4))
    shifted = made.data[: made.position(5) + 3] + b"shift" + made.data[made.position(5) + 3 :]
    for frame in range(made.frames):
        stream = io.BytesIO(shifted)
        reader = BlockReader(stream, read_header(stream))
        first = reader.seek(frame)
        assert first == frame // 10 * 10
        item = next(iter(reader))
        assert isinstance(item, Damage) == (first == 50)
        assert problems(made, [*made.blocks[: first // 10], item, *reader]) == ""


def test_what_is_written_against_the_rules_is_damage_in_spite_of_its_checksum():
    odd = replace(STEREO, codebooks=11, kbps=5, block_frames=5, samples=None)
    made = make(odd, samples=24000)
    size = made.position(1) - made.position(0)
    block = bytearray(made.data[made.position(2) : made.position(3)])
    block[size - 5] |= 1  # of the padding
    block[-4:] = block_checksum(2, bytes(block[:-4])).to_bytes(4, "big")
    _, items, _ = read(made.data[: made.position(2)] + bytes(block) + made.data[made.position(3) :])
    assert damages(items) == [(2, 10, 5, False)]


def test_a_short_block_before_others_and_a_wrong_end_block():
    made = make(UNKNOWN, samples=24000)
    short = BlockWriter(UNKNOWN).block([made.blocks[0].codes[0][:, :4]])
    _, items, _ = read(made.header + short + made.data[made.position(1) :])
    assert damages(items) == [(0, 4, 6, False)]
    for samples, lost in ((23000, 0), (26000, 5)):
        end = b"\0" + samples.to_bytes(5, "big")
        end += block_checksum(6, end).to_bytes(4, "big")
        _, items, _ = read(made.data[:-10] + end)
        assert damages(items) == [(5, 51, lost, True)]


def test_a_reader_never_asks_for_more_than_a_bounded_window():
    made = make(replace(META, samples=24000 * 600))
    data = made.data[: made.position(4) + 1] + bytes(600_000) + made.data[made.position(4) :]
    pipe = Pipe(data, 1 << 20)
    _, items, _ = read(pipe)
    assert damages(items) == [(4, 40, 0, False)]
    assert pipe.largest < 200_000
    sound = Pipe(made.data, 1 << 20)
    read(sound)
    assert sound.largest <= made.position(1) - made.position(0)


def test_a_claim_of_very_many_samples_costs_nothing():
    _, items, _ = read(pack_header(replace(META, samples=1 << 39)) + bytes(100))
    assert len(items) == 1
    assert items[0].at_end and items[0].frames == ((1 << 39) + 479) // 480 + 1


@given(cases)
@settings(max_examples=30)
def test_the_number_of_samples_is_found_at_the_end(case):
    made = make_case(case)
    stream = io.BytesIO(made.data)
    meta = read_header(stream)
    assert find_samples(stream, meta) == case[1]
    assert stream.tell() == len(made.header)
    if meta.samples is None:
        assert find_samples(io.BytesIO(made.data[:-1]), meta) is None
        pipe = Pipe(made.data, 100)
        assert find_samples(pipe, read_header(pipe)) is None


@given(cases)
@settings(max_examples=30)
def test_a_patched_file_is_what_a_writer_that_knew_would_have_written(case):
    meta, samples, _, lags, seed = case
    made = make(meta, seed=seed, samples=samples, lags=tuple(lags))
    file = io.BytesIO(made.data[:-10])
    patched = patch_samples(file, meta, samples)
    assert patched == replace(meta, samples=samples)
    assert file.getvalue() == make(patched, seed=seed, lags=tuple(lags)).data
    with pytest.raises(OptionError, match="bytes of blocks"):
        patch_samples(file, meta, samples + 60_000)


def block_of(codebooks, frames, dtype=np.int64):
    return np.zeros((codebooks, frames), dtype)


@pytest.mark.parametrize(
    ("meta", "codes", "lag"),
    [
        pytest.param(META, [block_of(11, 10)], 0, id="too few codebooks"),
        pytest.param(META, [block_of(12, 9)], 0, id="too few frames"),
        pytest.param(META, [block_of(12, 11)], 0, id="too many frames"),
        pytest.param(META, [block_of(12, 0)], 0, id="no frames"),
        pytest.param(META, [block_of(12, 10, np.float32)], 0, id="not integers"),
        pytest.param(META, [block_of(12, 10) - 1], 0, id="negative"),
        pytest.param(META, [block_of(12, 10) + 1024], 0, id="too large"),
        pytest.param(META, [block_of(12, 10)] * 2, 0, id="too many channels"),
        pytest.param(META, [], 0, id="no channels"),
        pytest.param(META, [np.zeros(12, int)], 0, id="one dimension"),
        pytest.param(META, [block_of(12, 10)], 1, id="a lag in mono"),
        pytest.param(STEREO, [block_of(12, 10)], 0, id="a channel missing"),
        pytest.param(STEREO, [block_of(6, 10), block_of(6, 10)], 2, id="wrong split"),
        pytest.param(STEREO, [block_of(12, 10), block_of(0, 10)], 256, id="lag too large"),
        pytest.param(STEREO, [block_of(5, 10), block_of(7, 10)], -1, id="negative lag"),
        pytest.param(STEREO, [block_of(6, 10), block_of(6, 9)], 0, id="unequal frames"),
        pytest.param(UNKNOWN, [block_of(12, 11)], 0, id="too many frames for a block"),
    ],
)
def test_a_writer_refuses_what_a_file_cannot_hold(meta, codes, lag):
    with pytest.raises(OptionError) as caught:
        BlockWriter(meta).block(codes, lag)
    assert "\n" not in str(caught.value)


def test_a_writer_keeps_count():
    writer = BlockWriter(UNKNOWN)
    writer.block([block_of(12, 10)])
    with pytest.raises(OptionError, match="frames"):
        writer.end(24000)
    writer.block([block_of(12, 3)])
    with pytest.raises(OptionError, match="complete"):
        writer.block([block_of(12, 3)])
    assert len(writer.end(12 * 480)) == 10
    with pytest.raises(OptionError, match="complete"):
        writer.end(12 * 480)
    known = BlockWriter(replace(META, samples=480))
    known.block([block_of(12, 2)])
    assert known.end(480) == b""
    with pytest.raises(OptionError):
        BlockWriter(META).end(100)


def test_the_numbers_of_blocks_are_used_up_at_last():
    writer = BlockWriter(UNKNOWN, first_block=(1 << 32) - 1)
    data = writer.block([block_of(12, 10)])
    with pytest.raises(OptionError, match="numbered"):
        writer.block([block_of(12, 10)])
    stream = io.BytesIO(data + data)
    reader = BlockReader(stream, UNKNOWN, first_block=(1 << 32) - 1)
    assert [type(item) for item in reader] == [Block, Damage]


def test_another_coding_is_said_to_be_newer():
    for coding in (3, 4, 255):
        data = pack_header(replace(META, coding=coding))
        with pytest.raises(FormatError, match="update nac"):
            read(data + bytes(100))


def test_a_non_blocking_stream_is_refused():
    class NonBlocking(Pipe):
        def read(self, count):
            return super().read(count) if self.data.tell() < len(pack_header(META)) else None

    with pytest.raises(NacError, match="non-blocking"):
        read(NonBlocking(make().data, len(pack_header(META))))


def test_a_payload_longer_than_its_length_can_say() -> None:
    meta = replace(META, samples=None, coding=ENTROPY, block_frames=255)
    writer = BlockWriter(meta)
    with pytest.raises(OptionError, match="65535 is the most"):
        writer.packed(bytes(65_536), 255)
    assert len(writer.packed(bytes(65_535), 255)) == 1 + 2 + 65_535 + 4
