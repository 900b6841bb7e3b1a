"""Bytes of a file pushed in any cut: the same samples as from the whole, as soon as they can be had."""

import io
import itertools
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nac
from nac.errors import DamagedError, FormatError, OptionError
from nac.format.blocks import Block, BlockReader
from nac.format.header import header_bytes, pack_header, read_header
from tests.format.tables import LIBRARY

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = ("nac-24k-mono", "nac-24k-slow", "nac-24k-stereo")


@lru_cache
def codec() -> nac.Codec:
    return nac.Codec.load()


@lru_cache
def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.nac").read_bytes()


@lru_cache
def whole(name: str, unknown_length: bool = False) -> tuple[bytes, np.ndarray]:
    """A golden file, or the same sound as a stream of unknown length, and its samples as read from a file."""
    data = golden(name)
    if unknown_length:
        meta = read_header(io.BytesIO(data))
        samples = codec().decode(data)[0]
        stream = nac.StreamEncoder(codec(), meta.sample_rate, meta.channels, meta.kbps, "fast")
        data = stream.push(samples) + stream.flush()
    return data, codec().decode(data)[0]


def pushed(data: bytes, edges: list[int]) -> tuple[np.ndarray, nac.StreamDecoder]:
    stream = nac.StreamDecoder(codec())
    parts = [stream.push(data[a:b]) for a, b in itertools.pairwise([0, *sorted(edges), len(data)])]
    parts.append(stream.flush())
    return np.concatenate([part for part in parts if part.size] or [parts[-1]], 1), stream


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(st.data(), st.sampled_from(SHIPPED), st.booleans())
def test_any_cut_of_any_golden_file_gives_the_same_samples(data: st.DataObject, name: str, unknown: bool) -> None:
    file, samples = whole(name, unknown)
    edges = data.draw(st.lists(st.integers(0, len(file)), max_size=8))
    np.testing.assert_array_equal(pushed(file, edges)[0], samples)


def test_byte_by_byte_gives_the_same_samples() -> None:
    file, samples = whole("nac-24k-mono")
    np.testing.assert_array_equal(pushed(file, list(range(len(file))))[0], samples)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("synthetic*.nac")), ids=lambda path: path.stem)
@pytest.mark.parametrize("step", [1, 2, 37, 1000])
def test_fed_bytes_of_golden_files_without_a_model_are_the_blocks_of_the_file(path: Path, step: int) -> None:
    data = path.read_bytes()
    size = header_bytes(data)
    meta = read_header(io.BytesIO(data))
    reader = BlockReader(None, meta, 3, LIBRARY)
    items = []
    for start in range(size, len(data), step):
        reader.feed(data[start : start + step])
        items += reader
    expected = list(BlockReader(io.BytesIO(data[size:]), meta, tables=LIBRARY))
    assert len(items) == len(expected) > 0
    for one, other in zip(items, expected, strict=True):
        assert isinstance(one, Block) and isinstance(other, Block) and one.index == other.index
        assert all(map(np.array_equal, one.codes, other.codes))


def test_damage_is_concealed_and_told_as_in_a_file() -> None:
    data = bytearray(whole("nac-24k-mono", True)[0])
    data[len(data) // 3] ^= 4
    del data[-30:-20]
    got, stream = pushed(bytes(data), list(range(0, len(data), 50)))
    reading = nac.StreamDecoder(codec())
    np.testing.assert_array_equal(got, np.concatenate(list(reading.read(io.BytesIO(data))), 1))
    assert stream.report.damage == reading.report.damage and stream.report.damage


def test_a_block_sounds_as_soon_as_its_last_byte_is_there() -> None:
    samples = np.zeros((1, 24_000 * 3), np.float32)
    encoder = nac.StreamEncoder(codec(), 24_000, 1, 6, "fast")
    stream = nac.StreamDecoder(codec())
    for second in range(3):
        data = encoder.push(samples[:, second * 24_000 : (second + 1) * 24_000])
        before = stream.push(data[:-1]).shape[1]
        # The first frame begins a hop before the signal, a hop waits for the frame after it, and a hop and rounding
        # are held back.
        assert before == 0 and stream.push(data[-1:]).shape[1] == 24_000 - (3 * 480 + 2 if second == 0 else 0)
    rest = [stream.push(encoder.flush()), stream.flush()]
    assert sum(part.shape[1] for part in rest) == 3 * 480 + 2


def test_what_is_known_and_when() -> None:
    data = golden("nac-24k-stereo")
    stream = nac.StreamDecoder(codec())
    with pytest.raises(OptionError, match="header"):
        _ = stream.metadata
    with pytest.raises(OptionError, match="header"):
        _ = stream.report
    size = header_bytes(data)
    assert stream.push(data[: size - 1]).shape == (1, 0) and not stream.begun
    assert stream.push(data[size - 1 : size]).shape == (2, 0) and stream.begun
    assert stream.metadata == read_header(io.BytesIO(data))


def test_bad_bytes_end_in_one_line() -> None:
    stream = nac.StreamDecoder(codec())
    with pytest.raises(FormatError, match=r"not a \.nac file"):
        stream.push(b"RIFF but certainly not a header")
    with pytest.raises(FormatError, match="newer"):
        nac.StreamDecoder(codec()).push(b"NAC\x09" + bytes(10))
    with pytest.raises(FormatError, match="1 MiB"):
        nac.StreamDecoder(codec()).push(b"NAC\x01" + b"\xff" * 10)
    with pytest.raises(DamagedError, match="inside its header"):
        stream = nac.StreamDecoder(codec())
        stream.push(b"NA")
        stream.flush()
    with pytest.raises(FormatError, match="empty"):
        nac.StreamDecoder(codec()).flush()
    with pytest.raises(OptionError, match="bytes"):
        nac.StreamDecoder(codec()).push("NAC")  # type: ignore[arg-type]


def test_nothing_follows_the_end() -> None:
    data = golden("nac-24k-mono")
    stream = nac.StreamDecoder(codec())
    stream.push(data)
    stream.flush()
    assert stream.flush().shape == (1, 0)
    with pytest.raises(OptionError, match="flushed"):
        stream.push(data)


def test_samples_of_an_empty_stream() -> None:
    meta = read_header(io.BytesIO(golden("nac-24k-mono")))
    stream = nac.StreamDecoder(codec())
    assert stream.push(pack_header(replace(meta, samples=0))).shape == (1, 0) and stream.flush().shape == (1, 0)
