"""Entropy coding of many blocks in lock step: what comes out, and what is refused, is as for each block alone."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.errors import DamagedError
from nac.format.blocks import Block, BlockReader, BlockWriter, Damage
from nac.format.edit import reduce
from nac.format.entropy.payload import MAX_CODES, VECTORIZED_FROM
from nac.format.entropy.range_coder import encode_decisions
from nac.format.entropy.vectorized import VectorizedEncoder
from nac.format.frames import runs_of
from nac.format.header import Metadata, pack_header, read_header
from nac.format.layout import split_codebooks
from nac.format.scan import Scanner
from tests.format.entropy_tools import CODED, CODINGS, coded, entropy_payload, likely_codes
from tests.format.format_files import same_codes
from tests.format.tables import LIBRARY, MANY, NARROW, SMALL, TABLES

SLOW = settings(deadline=None, max_examples=60)


ALL_TABLES = [TABLES, MANY, SMALL, NARROW]


def vectorized(meta, max_codes=MAX_CODES):
    return entropy_payload(meta, vectorized_from=1, max_codes=max_codes)


def scalar(meta):
    return entropy_payload(meta, vectorized_from=1 << 30)


def outcome(function, *arguments):
    """What a function returns, or the error it raises."""
    try:
        found = function(*arguments)
    except DamagedError as error:
        return str(error)
    return found.tolist() if isinstance(found, np.ndarray) else found


@st.composite
def batches(draw):
    """Metadata, and blocks: codes `[blocks, frames, codebooks]` and lags."""
    tables = draw(st.sampled_from(ALL_TABLES))
    channels, codebooks = draw(st.integers(1, 2)), draw(st.integers(1, len(tables.codebooks)))
    blocks, frames = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    coding = draw(st.sampled_from(CODINGS))
    meta = coded(Metadata(24000, channels, None, 1, codebooks, 7, "m", bits=tables.bits), tables, coding)
    lags = draw(st.lists(st.integers(0, 35) if channels == 2 else st.just(0), min_size=blocks, max_size=blocks))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    codes = np.stack([likely_codes(tables, codebooks, frames, int(seed)).T for seed in rng.integers(0, 99, blocks)])
    chance = draw(st.sampled_from([0, 0.3, 1]))
    # All of a block, or a few codebooks, so that some sections do not shrink.
    noisy = rng.random((blocks, 1, 1 if draw(st.booleans()) else codebooks)) < chance
    noise = rng.integers(0, draw(st.sampled_from([1, 2, 1 << tables.bits])), codes.shape)
    return meta, np.where(noisy, noise, codes).astype(np.uint16), lags


@SLOW
@given(batches(), st.integers(1, 400), st.data())
def test_blocks_are_coded_and_decoded_as_each_alone(batch, most, data):
    meta, codes, lags = batch
    payloads = scalar(meta).encode(codes, lags)
    assert vectorized(meta, most).encode(codes, lags) == payloads
    _, frames, codebooks = codes.shape
    assert np.array_equal(vectorized(meta, most).decode(payloads, frames, lags), codes)
    kept = data.draw(st.integers(1, codebooks))
    expected = scalar(meta).decode(payloads, frames, lags, kept)
    assert np.array_equal(vectorized(meta, most).decode(payloads, frames, lags, kept), expected)
    shorter = scalar(meta).truncate(payloads, frames, lags, kept)
    assert vectorized(meta, most).truncate(payloads, frames, lags, kept) == shorter
    assert shorter == entropy_payload(replace(meta, codebooks=kept)).encode(expected, lags)


def damaged(data, payload):
    """The payload, or something that is no longer it."""
    how = data.draw(st.sampled_from(["as it is", "cut", "flipped", "longer", "noise"]))
    if how == "cut":
        return payload[: data.draw(st.integers(0, len(payload)))]
    if how == "flipped" and payload:
        bit = data.draw(st.integers(0, 8 * len(payload) - 1))
        return payload[: bit // 8] + bytes([payload[bit // 8] ^ 1 << bit % 8]) + payload[bit // 8 + 1 :]
    if how == "longer":
        return payload + data.draw(st.binary(max_size=9))
    return data.draw(st.binary(max_size=150)) if how == "noise" else payload


@pytest.mark.slow
@settings(deadline=None, max_examples=250)
@given(batches(), st.data())
def test_damaged_payloads_give_the_same_codes_or_the_same_error(batch, data):
    meta, codes, lags = batch
    _, frames, codebooks = codes.shape
    payloads = [damaged(data, payload) for payload in scalar(meta).encode(codes, lags)]
    kept = data.draw(st.sampled_from([None, *range(1, codebooks + 1)]))
    expected = outcome(scalar(meta).decode, payloads, frames, lags, kept)
    assert outcome(vectorized(meta).decode, payloads, frames, lags, kept) == expected
    if kept:
        expected = outcome(scalar(meta).truncate, payloads, frames, lags, kept)
        assert outcome(vectorized(meta).truncate, payloads, frames, lags, kept) == expected


@SLOW
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([1, 2, 8192, 16382, 16383]) | st.integers(1, 16383), st.booleans()),
            min_size=40,
            max_size=40,
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 40),
)
@pytest.mark.slow
def test_lanes_make_the_bytes_of_the_range_coder(lanes, cut):
    """Written in two parts, the second to every other lane alone."""
    encoded = np.array([[2 * chance + one for chance, one in decisions] for decisions in lanes], np.uint16)
    encoder, some = VectorizedEncoder(len(lanes)), np.arange(0, len(lanes), 2)
    encoder.write(encoded[:, :cut], np.arange(len(lanes)))
    encoder.write(encoded[some, cut:], some)
    rows = [row[: None if number in some else cut].tolist() for number, row in enumerate(encoded)]
    assert encoder.sections() == [encode_decisions(row) for row in rows]


def test_carries_run_through_bytes_that_are_full():
    for length in range(1, 400):
        decisions = [2 * 1 + 0] * length + [2 * 16383 + 0] * 3
        encoder = VectorizedEncoder(1)
        encoder.write(np.array([decisions], np.uint16), np.arange(1))
        assert encoder.sections() == [encode_decisions(decisions)]


BLOCKS = 3 * VECTORIZED_FROM
FRAMES = 4
LONG = replace(CODED, samples=None, codebooks=4, kbps=2, block_frames=FRAMES)


def long_file(channels=1, bad=(), lags=(0,)):
    """A file of many blocks, the last one shorter; `bad` ones hold what no writer makes, under a right checksum."""
    meta = replace(LONG, channels=channels)
    writer = BlockWriter(meta, LIBRARY)
    out = [pack_header(meta)]
    frames = BLOCKS * FRAMES + 1
    codes = likely_codes(TABLES, 4, frames).T
    codes[40:44] = np.random.default_rng(0).integers(0, 1024, (FRAMES, 4))  # does not shrink
    for number, first in enumerate(range(0, frames, FRAMES)):
        part, lag = codes[first : first + FRAMES], lags[number % len(lags)]
        if number in bad:
            out.append(writer.packed(b"\xff" * 4, len(part), lag))
            continue
        mid = split_codebooks(4, channels, lag)[0]
        out.append(writer.block([part.T] if channels == 1 else [part[:, :mid].T, part[:, mid:].T], lag))
    return b"".join([*out, writer.end((frames - 1) * 480)])


def read_with(data, ahead):
    stream = io.BytesIO(data)
    reader = BlockReader(stream, read_header(stream), ahead, LIBRARY)
    return list(reader), reader.samples, reader.frames


@pytest.mark.parametrize("channels, lags", [(1, [0]), (2, [0, 1, 2, 4, 9])])
@pytest.mark.parametrize("bad", [(), (BLOCKS - 20,), (0, 70, 71, BLOCKS)])
@pytest.mark.parametrize("lost", [False, True])
def test_reading_ahead_changes_nothing(channels, lags, bad, lost):
    data = long_file(channels, bad, lags)
    if lost:  # a block in the middle, which breaks a batch in two
        data = data[: len(data) // 2] + b"\x55" + data[len(data) // 2 + 1 :]
    (items, *rest), (ahead, *rest_ahead) = read_with(data, 0), read_with(data, 100)
    assert rest == rest_ahead and len(items) >= BLOCKS
    assert sum(isinstance(item, Damage) for item in items) == len(bad) + lost
    for one, other in zip(items, ahead, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Block):
            assert (one.index, one.side_lag) == (other.index, other.side_lag) and same_codes(one.codes, other.codes)
        else:
            assert one == other


def test_no_more_is_read_ahead_than_was_given():
    """Who needs the first blocks alone does not wait for hundreds."""
    stream = io.BytesIO(long_file())
    reader = BlockReader(stream, read_header(stream), 60, LIBRARY)
    for given_before, _ in zip(range(BLOCKS), reader, strict=False):
        assert reader.frames <= FRAMES * min(2 * given_before + 1, given_before + 61)


@pytest.mark.parametrize("channels, lags", [(1, [0]), (2, [0, 1, 2, 4, 9])])
@pytest.mark.parametrize("kbps, coding", [(1, True), (2, False)])
def test_files_are_reduced_as_block_by_block(channels, lags, kbps, coding):
    data = long_file(channels, (), lags)
    reduce(io.BytesIO(data), target := io.BytesIO(), kbps, coding, tables=LIBRARY)
    items, samples, _ = read_with(data, 0)
    meta = read_header(io.BytesIO(target.getvalue()))
    writer, expected = BlockWriter(meta, LIBRARY), [pack_header(meta)]
    for block in items:
        split = split_codebooks(2 * kbps, channels, block.side_lag)
        codes = [channel[:count] for channel, count in zip(block.codes, split, strict=True)]
        expected.append(writer.block(codes, block.side_lag))
    assert target.getvalue() == b"".join([*expected, writer.end(samples)])
    with pytest.raises(DamagedError, match="edited"):
        reduce(io.BytesIO(long_file(channels, (70,), lags)), io.BytesIO(), kbps, coding, tables=LIBRARY)


@pytest.mark.parametrize("coding", [0, 1])
def test_a_run_of_blocks_is_bounded_in_bytes_too(coding):
    """By those of packed codes, which a payload of any size may stand for: here 20 a block."""
    stream = io.BytesIO(long_file())
    if not coding:
        reduce(stream, target := io.BytesIO(), 2, entropy=False, tables=LIBRARY)
        stream = io.BytesIO(target.getvalue())
    runs = list(runs_of(Scanner(stream, read_header(stream)), max_bytes=100))
    assert {len(run.blocks) for run in runs[:-2]} == {5}
    codes = np.concatenate([run.unpack(tables=LIBRARY).codes for run in runs])
    stream.seek(0)
    expected = [block.codes[0].T for block in BlockReader(stream, read_header(stream), tables=LIBRARY)]
    assert np.array_equal(codes, np.concatenate(expected))
