import io
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.errors import DamagedError, OptionError
from nac.format.bits import pack_codes
from nac.format.blocks import BlockWriter
from nac.format.edit import concatenate, reduce, trim
from nac.format.header import Metadata, frame_count, pack_header
from nac.format.layout import default_block_frames, split_codebooks
from tests.format.format_files import META, Pipe, make, read

TAGS = (("TITLE", "Rain"), ("ARTIST", "Nobody"))
MONO = replace(META, block_frames=50, tags=TAGS, extra=((200, b"kept"),))
STEREO = replace(MONO, channels=2)
lags = st.lists(st.integers(0, 20) | st.integers(0, 255), min_size=1, max_size=5).map(tuple)


def edited(function, source, *args):
    """The bytes a function writes when given these bytes (or a list of them)."""
    target = io.BytesIO()
    streams = [io.BytesIO(one) for one in source] if isinstance(source, list) else io.BytesIO(source)
    function(streams, target, *args)
    return target.getvalue()


def table(data):
    """(codes of all channels `[codebooks, frames]`, side codebooks of each frame) of an intact file."""
    meta, items, _ = read(data)
    codes = [np.concatenate(item.codes) for item in items]
    sides = [np.full(item.frames, split_codebooks(meta.codebooks, 2, item.side_lag)[1]) for item in items]
    if not items:
        return np.zeros((meta.codebooks, 0), np.uint16), np.zeros(0, int)
    return np.concatenate(codes, axis=1), np.concatenate(sides)


def written(meta, codes, side_lags, samples):
    """A file with codes `[codebooks, frames]` per channel, and a side lag for each block."""
    writer = BlockWriter(meta)
    pieces = [pack_header(meta)]
    for number, start in enumerate(range(0, codes[0].shape[1], meta.block_frames)):
        part = [channel[:, start : start + meta.block_frames] for channel in codes]
        pieces.append(writer.block(part, side_lags[number] if meta.channels == 2 else 0))
    return b"".join([*pieces, writer.end(samples)])


@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 150_000), st.booleans(), st.integers(1, 9))
@settings(max_examples=60)
def test_a_reduced_mono_file_is_what_a_writer_makes_of_the_first_codebooks(high, low, samples, known, seed):
    low, high = sorted((low, high))
    meta = replace(MONO, kbps=high, codebooks=2 * high, samples=samples if known else None)
    meta = replace(meta, block_frames=default_block_frames(1, high))
    made = make(meta, seed=seed, samples=samples)
    codes = [table(made.data)[0][: 2 * low]]
    expected = replace(meta, kbps=low, codebooks=2 * low, block_frames=128 if low == 1 else 50)
    assert edited(reduce, made.data, low) == written(expected, codes, [], samples)


@given(st.integers(1, 24), st.integers(1, 24), lags, st.integers(0, 150_000), st.booleans())
@settings(max_examples=60)
def test_a_reduced_stereo_file_keeps_its_lags(high, low, side_lags, samples, known):
    low, high = sorted((low, high))
    meta = replace(STEREO, kbps=high, codebooks=2 * high, samples=samples if known else None)
    made = make(meta, samples=samples, lags=side_lags)
    reduced = replace(meta, kbps=low, codebooks=2 * low)
    writer = BlockWriter(reduced)
    pieces = [pack_header(reduced)]
    for block in made.blocks:
        split = split_codebooks(2 * low, 2, block.side_lag)
        codes = [channel[:count] for channel, count in zip(block.codes, split, strict=True)]
        pieces.append(writer.block(codes, block.side_lag))
    assert edited(reduce, made.data, low) == b"".join([*pieces, writer.end(samples)])


def test_reducing_in_steps_is_reducing_at_once():
    made = make(replace(STEREO, kbps=24, codebooks=48, samples=240_000), lags=(9, 1, 255, 0))
    assert edited(reduce, edited(reduce, made.data, 7), 3) == edited(reduce, made.data, 3)


def test_no_channel_ever_needs_more_codebooks_than_it_has():
    for lag in range(256):
        splits = [split_codebooks(total, 2, lag) for total in range(1, 256)]
        for total, ((mid, side), (more_mid, more_side)) in enumerate(itertools.pairwise(splits), 1):
            assert mid + side == total
            assert 0 <= side <= more_side and side <= mid <= more_mid
            assert side == 0 or mid - side in (lag, lag + 1)


def test_a_file_with_blocks_of_its_own_size_keeps_it():
    made = make(replace(META, samples=24000))  # 10 frames a block
    meta, _, _ = read(edited(reduce, made.data, 1))
    assert meta.block_frames == 10


def test_reducing_works_on_pipes():
    made = make(replace(MONO, samples=None), samples=99_999)
    target = io.BytesIO()
    reduce(Pipe(made.data, 77), target, 2)
    assert target.getvalue() == edited(reduce, made.data, 2)


@pytest.mark.parametrize("kbps", [0, 7, -1, 1000])
def test_impossible_rates_are_refused(kbps):
    with pytest.raises(OptionError):
        edited(reduce, make(MONO).data, kbps)


def test_damage_is_refused_and_leaves_no_file(tmp_path):
    made = make(MONO)
    source, target = tmp_path / "a.nac", tmp_path / "b.nac"
    data = bytearray(made.data)
    data[-9] ^= 1
    for damaged in (bytes(data), made.data[:-1], made.data + b"x"):
        source.write_bytes(damaged)
        with pytest.raises(DamagedError):
            reduce(source, target, 2)
        with pytest.raises(DamagedError):
            concatenate([source, source], target)
        assert sorted(tmp_path.iterdir()) == [source]


def test_a_file_can_be_edited_onto_itself(tmp_path):
    made = make(replace(MONO, samples=480_000))
    path = tmp_path / "a.nac"
    path.write_bytes(made.data)
    reduce(path, path, 2)
    assert path.read_bytes() == edited(reduce, made.data, 2)


rates = st.sampled_from([8000, 11025, 24000, 44100])


@given(
    rates, st.integers(1, 200_000), st.floats(0, 10), st.floats(0.001, 10), st.booleans(), st.sampled_from([7, 50, 128])
)
@settings(max_examples=100)
def test_a_trimmed_mono_file_has_the_frames_of_its_time(rate, samples, start, length, known, block_frames):
    meta = replace(MONO, sample_rate=rate, block_frames=block_frames, samples=samples if known else None)
    made = make(meta, samples=samples)
    end = start + length
    first = math.floor(start * 50 + 1e-6)
    stop = min(samples, math.floor(end * rate + 1e-6))
    if start * rate >= samples or stop - math.ceil(first * rate / 50) <= 0:
        with pytest.raises(OptionError):
            edited(trim, made.data, start, end)
        return
    data = edited(trim, made.data, start, end)
    trimmed, _, _ = read(data)
    assert 0 <= trimmed.samples - (stop - first * rate / 50) + 1 <= 1
    assert replace(trimmed, samples=meta.samples) == meta
    whole = table(made.data)[0]
    assert np.array_equal(table(data)[0], whole[:, first : first + trimmed.frames])


@given(lags, st.integers(48_000, 300_000), st.floats(0, 1.9), st.sampled_from([12, 50, 100]))
@settings(max_examples=60)
def test_a_trimmed_stereo_file_begins_at_most_a_fifth_of_a_second_early(side_lags, samples, start, block_frames):
    made = make(replace(STEREO, samples=samples, block_frames=block_frames), lags=side_lags)
    target = io.BytesIO()
    result = trim(io.BytesIO(made.data), target, start)
    assert start - 0.24 < result.start <= start + 1e-6
    assert result.end == samples / 24000
    first = round(result.start * 50)
    codes, sides = table(target.getvalue())
    whole, whole_sides = table(made.data)
    assert np.array_equal(codes, whole[:, first:])
    assert np.array_equal(sides, whole_sides[first:])
    assert result.metadata.block_frames >= min(10, block_frames)
    if len(set(side_lags)) == 1:
        assert result.start > start - 0.02 - 1e-6
        assert result.metadata.block_frames == block_frames


@pytest.mark.parametrize("meta", [MONO, STEREO])
def test_only_damage_within_the_part_hinders_trimming(meta):
    made = make(replace(meta, samples=240_000), lags=(5, 0))
    data = bytearray(made.data)
    data[made.position(4) + 9] ^= 1
    data = bytes(data)
    assert edited(trim, data, 5.0) == edited(trim, made.data, 5.0)
    assert edited(trim, data, 0.3, 3.97) == edited(trim, made.data, 0.3, 3.97)
    assert edited(trim, made.data, 0.3, 1e308) == edited(trim, made.data, 0.3)
    with pytest.raises(DamagedError):
        edited(trim, data, 3.0, 6.0)


@pytest.mark.parametrize(
    "times",
    [
        (-1, None),
        (2, 1),
        (1, 1),
        (math.nan, 2),
        (0, math.inf),
        (1.1, None),
        (1e308, None),
        (1e308, 1.5e308),
        (0.5, 0.50001),
    ],
)
def test_parts_that_are_none_are_refused(times):
    with pytest.raises(OptionError):
        edited(trim, make(MONO).data, *times)


def test_a_pipe_cannot_be_trimmed_or_joined():
    data = make(MONO).data
    with pytest.raises(OptionError):
        trim(Pipe(data, 100), io.BytesIO(), 0.1)
    with pytest.raises(OptionError):
        concatenate([Pipe(data, 100)], io.BytesIO())


def test_a_file_without_its_end_block_has_no_length_to_edit():
    made = make(replace(MONO, samples=None), samples=24_000)
    for function, args in ((reduce, (2,)), (trim, (0.1,))):
        with pytest.raises(DamagedError):
            edited(function, made.data[:-10], *args)
    with pytest.raises(DamagedError):
        edited(concatenate, [made.data[:-10]])


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=4), rates, st.booleans())
@settings(max_examples=60)
def test_joined_mono_files_hold_all_frames_one_after_another(lengths, rate, known):
    made = [
        make(replace(MONO, sample_rate=rate, samples=length if known else None), seed=seed, samples=length)
        for seed, length in enumerate(lengths)
    ]
    data = edited(concatenate, [one.data for one in made])
    meta, items, _ = read(data)
    assert np.array_equal(table(data)[0], np.concatenate([table(one.data)[0] for one in made], axis=1))
    assert meta.tags == TAGS
    full = [length for length in lengths if length]
    if full:
        start = sum(frame_count(length, rate) for length in full[:-1]) * rate / 50
        assert abs(start + full[-1] - meta.samples) < 1
    else:
        assert (meta.samples, items) == (0, [])


@given(st.lists(st.tuples(st.integers(1, 60_000), lags), min_size=2, max_size=3))
@settings(max_examples=60)
def test_joined_stereo_files_hold_all_frames_with_their_splits(pieces):
    made = [
        make(replace(STEREO, samples=length), seed=seed, lags=side_lags)
        for seed, (length, side_lags) in enumerate(pieces)
    ]
    data = edited(concatenate, [one.data for one in made])
    tables = [table(one.data) for one in made]
    codes, sides = table(data)
    assert np.array_equal(codes, np.concatenate([one for one, _ in tables], axis=1))
    assert np.array_equal(sides, np.concatenate([one for _, one in tables]))


@given(st.integers(60_000, 200_000), rates, st.integers(1, 99), lags | st.none())
@settings(max_examples=60)
def test_what_was_cut_in_two_joins_without_a_trace(samples, rate, cut, side_lags):
    meta = replace(MONO if side_lags is None else STEREO, sample_rate=rate, samples=samples)
    made = make(meta, lags=side_lags or (0,))
    if side_lags is not None:
        cut = cut // 50 * 50 or 50  # elsewhere the second part would begin early
    if cut * rate / 50 + 1 > samples:
        return
    parts = [edited(trim, made.data, 0.0, cut / 50), edited(trim, made.data, cut / 50)]
    assert edited(concatenate, parts) == made.data


def test_the_samples_of_a_joint_that_falls_between_two_samples():
    made = [make(replace(MONO, sample_rate=11025, samples=samples)) for samples in (1, 3 * 11025)]
    meta, _, _ = read(edited(concatenate, [one.data for one in made]))
    assert meta.frames == made[0].frames + made[1].frames


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": 1}, {"sample_rate": 8000}, {"codebooks": 10, "kbps": 5}, {"channels": 2}, {"bits": 9}],
)
def test_files_that_do_not_fit_are_not_joined(change, tmp_path):
    one, other = tmp_path / "one.nac", tmp_path / "other.nac"
    one.write_bytes(make(MONO).data)
    other.write_bytes(make(replace(MONO, **change)).data)
    with pytest.raises(OptionError, match=r"other\.nac"):
        concatenate([one, other], tmp_path / "both.nac")
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_joining_nothing_is_refused():
    with pytest.raises(OptionError):
        concatenate([], io.BytesIO())


def test_a_sample_longer_than_a_frame_cannot_be_joined():
    made = make(Metadata(1, 1, 1, 6, 12, 1, "m"))
    with pytest.raises(OptionError, match="1 Hz"):
        edited(concatenate, [made.data, made.data])


def test_long_files_are_edited_in_batches():
    made = make(replace(META, samples=24_000 * 120))  # 601 blocks, more than two batches
    codes = table(made.data)[0]
    data = edited(reduce, made.data, 3)
    assert np.array_equal(table(data)[0], codes[:6])
    assert pack_codes(codes[:6].T.reshape(-1), 10)[:75] == data[data.index(b"test") + 9 :][:75]
    shifted = edited(trim, made.data, 0.02)
    assert np.array_equal(table(shifted)[0], codes[:, 1:])
