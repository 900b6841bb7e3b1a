"""WAV headers and sample formats, read and written front to back so that pipes work like files.

libsndfile needs to seek in WAV files and to know their length; programs that write WAV into a pipe can do neither and
leave a size of zero or of "as large as possible". Reading plain WAV here makes a pipe and a file the same thing.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np

from nac.arrays import Samples
from nac.errors import AudioError

UNKNOWN = 0xFFFFFFFF
_RIFF = (b"RIFF", b"RF64", b"BW64")
# Chunks in front of the samples (text, pictures, cue points) are skipped, but not without end.
MAX_PREAMBLE = 64 << 20
# What writers into a pipe leave as the size of the data: as large as possible with 32 bits, with and without sign, less
# their header, or rounded to whole frames (ffmpeg: all ones; sox: just below 2 GiB; arecord: 2 GiB).
_PIPE_SIZES = (range(0x7FFFF000, 0x80001000), range(0xFFFFF000, 0x100000000))
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# (tag, bits) -> numpy type of the stored samples; 24 bits have none and are widened first.
_STORED = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


@dataclass(frozen=True)
class WavLayout:
    """What a WAV header says.

    Attributes:
        sample_rate: In Hz.
        channels: 1 or more.
        tag: 1 for PCM, 3 for float.
        bits: Of a sample.
        data_bytes: Bytes of samples; None when that is unknown (then: up to the end).
        stated_bytes: As the header says it, even if that is only what writers into a pipe leave.
    """

    sample_rate: int
    channels: int
    tag: int
    bits: int
    data_bytes: int | None
    stated_bytes: int = UNKNOWN

    @property
    def frame_bytes(self) -> int:
        """Bytes of a sample of all channels."""
        return self.channels * self.bits // 8


#: Names of plain samples without a header, as ffmpeg has them -> (tag, bits).
RAW_FORMATS = {
    "u8": (_PCM, 8),
    "s16le": (_PCM, 16),
    "s24le": (_PCM, 24),
    "s32le": (_PCM, 32),
    "f32le": (_FLOAT, 32),
    "f64le": (_FLOAT, 64),
}


class UnsupportedWavError(Exception):
    """A WAV file that is not plain PCM or float; libsndfile may know it."""


def read_wav_header(stream: BinaryIO) -> WavLayout:
    """Read up to the first byte of the samples. Never seeks.

    Raises:
        UnsupportedWavError: Compressed samples, or not a WAV file at all.
        AudioError: A broken header.
    """
    riff = stream.read(12)
    if len(riff) < 12 or riff[:4] not in _RIFF or riff[8:] != b"WAVE":
        raise UnsupportedWavError
    riff_size = int.from_bytes(riff[4:8], "little")
    layout: tuple[int, int, int, int] | None = None
    wide_size: int | None = None
    position = 12
    while position <= MAX_PREAMBLE:
        head = stream.read(8)
        if len(head) < 8:
            raise AudioError("the WAV header is cut off")
        name, size = struct.unpack("<4sI", head)
        position += 8
        if name == b"data":
            if layout is None:
                raise AudioError("the WAV header does not describe its samples (no 'fmt ' chunk)")
            rate, channels, tag, bits = layout
            if wide_size is not None and size == UNKNOWN:
                return WavLayout(rate, channels, tag, bits, wide_size, wide_size)
            return WavLayout(rate, channels, tag, bits, _data_bytes(size, riff_size, position), size)
        size += size % 2
        if position + size > MAX_PREAMBLE:
            break
        body = stream.read(size)
        if len(body) < size:
            raise AudioError("the WAV header is cut off")
        position += size
        if name == b"fmt ":
            layout = _parse_format(body)
        elif name == b"ds64" and size >= 16:
            wide_size = int.from_bytes(body[8:16], "little") or None
    raise AudioError("no samples found in the WAV file")


def _data_bytes(size: int, riff_size: int, position: int) -> int | None:
    """The length of the data chunk; None if a program that could not go back left its size open."""
    if any(size in sizes for sizes in _PIPE_SIZES):
        return None
    if size == 0:
        # Zero is true if the outer size tells of further chunks; else the header was never completed, or nothing
        # follows anyway.
        return 0 if position - 8 < riff_size < _PIPE_SIZES[0].start else None
    return size


def _parse_format(body: bytes) -> tuple[int, int, int, int]:
    if len(body) < 16:
        raise AudioError("the WAV header is broken (its 'fmt ' chunk is too short)")
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = int.from_bytes(body[24:26], "little")  # the first two bytes of the GUID are the plain tag
    if (tag, bits) not in _STORED or channels == 0 or frame_bytes != channels * bits // 8:
        raise UnsupportedWavError
    return rate, channels, tag, bits


def to_float(data: bytes, layout: WavLayout) -> Samples:
    """Stored bytes of whole frames as `[channels, samples]` float32; integers are scaled to -1..1, floats kept."""
    stored = _STORED[layout.tag, layout.bits]
    if layout.bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        flat = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    elif layout.bits == 8:
        flat = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    else:
        scale = np.float32(2 ** (layout.bits - 1) if layout.tag == _PCM else 1)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is dealt with by the reader
            flat = np.frombuffer(data, stored).astype(np.float32) / scale
    return np.ascontiguousarray(flat.reshape(-1, layout.channels).T)


def next_wav(stream: BinaryIO) -> tuple[WavLayout | None, int]:
    """Read what follows the samples of a WAV file: its other chunks, tags, and maybe one more WAV file.

    Returns:
        The layout of that file, with the stream at its samples, or None; and how many bytes are something else.

    Raises:
        AudioError: One more file follows, but its header is broken.
        UnsupportedWavError: One more file follows, but its samples are compressed.
    """
    while len(head := stream.read(8)) == 8:
        if head[:4] in _RIFF:
            kind = stream.read(4)
            if kind == b"WAVE":
                return read_wav_header(cast(BinaryIO, _Behind(head + kind, stream))), 0
            return None, 12 + _skip(stream, None)
        if not any(head):  # padding, or silence that is not announced
            zeros = stream.read(1 << 16)
            is_padding = len(zeros) < 1 << 16 and not any(zeros)
            return None, 0 if is_padding else 8 + len(zeros) + _skip(stream, None)
        size = int.from_bytes(head[4:], "little")
        if head[:3] == b"ID3":
            more = stream.read(2)
            size = 0
            for byte in head[6:] + more:  # seven bits each
                size = size << 7 | byte & 127
        elif head[:3] == b"TAG":
            size = 120
        elif head in (b"APETAGEX", b"LYRICSBE"):
            _skip(stream, None)
            return None, 0
        elif not all(32 <= letter < 127 for letter in head[:4]):
            return None, 8 + _skip(stream, None)
        size += size % 2
        skipped = _skip(stream, size)
        if skipped < size - 1:  # some programs leave out the last byte, which only makes the size even
            return None, 8 + skipped
    return None, 0


def _skip(stream: BinaryIO, count: int | None) -> int:
    """Pass over so many bytes, or all; returns how many there were."""
    if stream.seekable():
        position = stream.tell()
        end = stream.seek(0, io.SEEK_END)
        return stream.seek(end if count is None else min(end, position + count)) - position
    skipped = 0
    while count is None or skipped < count:
        part = stream.read(1 << 16 if count is None else min(1 << 16, count - skipped))
        if not part:
            break
        skipped += len(part)
    return skipped


class _Behind(io.RawIOBase):
    """A stream with bytes in front of it that were read already."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream

    def read(self, size: int | None = -1, /) -> bytes:
        if self._start:
            part, self._start = self._start[:size], self._start[size:]
            return part
        return self._stream.read(-1 if size is None else size)


def wav_header(
    sample_rate: int, channels: int, bits: int, *, is_float: bool, data_bytes: int | None, reserve_ds64: bool = False
) -> bytes:
    """The bytes before the samples; `data_bytes` None writes an open length.

    With `reserve_ds64`, a chunk that readers skip holds the place of 64-bit sizes, so that the header keeps its
    length when the data turn out longer than 4 GiB and the file becomes RF64.
    """
    frame_bytes = channels * bits // 8
    tag = _FLOAT if is_float else _PCM
    fmt = struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits)
    if is_float:
        fmt += b"\0\0"  # formats other than PCM state the length of their extension
    chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt
    if is_float:
        count = UNKNOWN if data_bytes is None else min(data_bytes // frame_bytes, UNKNOWN)
        chunks += struct.pack("<4sII", b"fact", 4, count)
    overhead = 4 + len(chunks) + 8 + (36 if reserve_ds64 else 0)
    riff_size = UNKNOWN if data_bytes is None else overhead + data_bytes + data_bytes % 2
    if reserve_ds64 and data_bytes is not None and riff_size >= UNKNOWN:
        sizes = struct.pack("<QQQI", riff_size, data_bytes, data_bytes // frame_bytes, 0)
        start = struct.pack("<4sI4s4sI", b"RF64", UNKNOWN, b"WAVE", b"ds64", 28) + sizes
        return start + chunks + struct.pack("<4sI", b"data", UNKNOWN)
    start = struct.pack("<4sI4s", b"RIFF", min(riff_size, UNKNOWN), b"WAVE")
    if reserve_ds64:
        start += struct.pack("<4sI", b"JUNK", 28) + bytes(28)
    return start + chunks + struct.pack("<4sI", b"data", UNKNOWN if data_bytes is None else min(data_bytes, UNKNOWN))
