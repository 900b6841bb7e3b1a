"""Reading audio from files and pipes as blocks of float32 samples, in constant memory."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np

from nac.arrays import Samples
from nac.audio.chain import ChainSource
from nac.audio.common import MAX_RATE, Backend, warn
from nac.audio.containers import open_file, refuse_nac
from nac.audio.mix import mix_matrix
from nac.audio.wav import RAW_FORMATS, UnsupportedWavError, WavLayout, read_wav_header
from nac.audio.wav_source import WavSource, wav_links
from nac.errors import AudioError, OptionError
from nac.files import is_special

# The first bytes of the formats that are known. What comes out of a pipe must be copied to disk, so it
# is looked at first: an endless stream of something else must not fill the disk.
_MAGICS = (
    *(b"RIFF", b"RF64", b"BW64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"Creative", b"NIST_1A"),
    # Those of ffmpeg: Matroska and WebM, ASF, AMR, Monkey's Audio, WavPack, FLV, ADIF.
    *(b"\x1aE\xdf\xa3", b"0&\xb2u", b"#!AMR", b"MAC ", b"wvpk", b"FLV\x01", b"ADIF"),
)


class AudioReader:
    """Audio as a sequence of blocks; made by `open_audio`, a context manager.

    `sample_rate` in Hz (1..16,777,215), `channels` (1 or 2). `frames` is the exact number of samples per channel, or
    None where it shows only at the end (pipes, MP3); `expected` is the best guess for a progress bar, or None.
    """

    def __init__(self, name: str, backend: Backend, channels: int | None = None) -> None:
        self.name = name
        self._backend = backend
        self.sample_rate, self.channels = backend.sample_rate, backend.channels
        self.frames, self.expected = backend.frames, backend.expected
        self._position = 0
        self._matrix = None
        if channels == 1 or (channels == 2 and self.channels > 2):
            self._matrix = mix_matrix(self.channels, channels)
            self.channels = channels
        if self.channels not in (1, 2):
            raise AudioError(
                f"{name} has {self.channels} channels; only mono and stereo are coded, mix it down first "
                "(--mono and --downmix do)"
            )
        if not 1 <= self.sample_rate <= MAX_RATE:
            raise AudioError(f"{name} has a sample rate of {self.sample_rate} Hz; 1 to {MAX_RATE} are possible")

    def blocks(self, samples: int = 65536) -> Iterator[Samples]:
        """Yield float32 `[channels, samples]`, the last one shorter; nothing for an empty file.

        Values are as stored, full scale being -1..1; floating-point files may go beyond and are not clipped. Samples
        that are not finite numbers become 0, with an `AudioWarning`; a WAV file that ends before its header says warns
        too. Raises `AudioError` where the audio cannot be decoded any further or has fewer samples than `frames`.
        """
        if samples < 1:
            raise AudioError(f"blocks of {samples} samples cannot be read")
        while True:
            block = self._read(samples if self.frames is None else min(samples, self.frames - self._position))
            if block.shape[1] == 0:
                break
            self._clean(block)
            if self._matrix is not None:
                block = self._matrix @ block
            self._position += block.shape[1]
            yield block
        if self.frames is not None and self._position < self.frames:
            raise AudioError(f"{self.name} ends after {self._position} of {self.frames} samples; it is cut off")

    def _read(self, samples: int) -> Samples:
        """Exactly `samples` samples, fewer only at the end."""
        parts = [np.zeros((self._backend.channels, 0), np.float32)]
        while samples > 0:
            try:
                part = self._backend.read(samples)
            except OSError as error:
                raise AudioError(f"cannot read {self.name}: {error.strerror or error}") from None
            if part.shape[1] == 0:
                break
            parts.append(part)
            samples -= part.shape[1]
        return parts[1] if len(parts) == 2 else np.concatenate(parts, axis=1)

    def _clean(self, block: Samples) -> None:
        finite = np.isfinite(block)
        if finite.all():
            return
        first = self._position + int(np.argmin(finite.all(axis=0)))
        count = int(finite.size - np.count_nonzero(finite))
        warn(
            f"{self.name} has {count} samples from {first / self.sample_rate:.3f} s on that are not numbers "
            "(NaN or infinite); they are taken as silence"
        )
        block[~finite] = 0

    def close(self) -> None:
        """Close the file; harmless a second time."""
        self._backend.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass(frozen=True)
class RawFormat:
    """Samples without a header, interleaved: their rate in Hz, how many channels, and the name of their type."""

    sample_rate: int
    channels: int = 1
    format: str = "s16le"

    def __post_init__(self) -> None:
        if self.format not in RAW_FORMATS:
            raise OptionError(f"{self.format!r} is not a type of raw samples; possible are {', '.join(RAW_FORMATS)}")

    @property
    def layout(self) -> WavLayout:
        """As a WAV file of open length would describe it."""
        return WavLayout(self.sample_rate, self.channels, *RAW_FORMATS[self.format], None)


def open_audio(
    source: str | os.PathLike[str] | BinaryIO, raw: RawFormat | None = None, channels: int | None = None
) -> AudioReader:
    """Open audio of any kind.

    WAV (PCM, float, RF64), FLAC, Ogg Vorbis and Opus, MP3, AIFF, CAF, AU and whatever else the installed libsndfile
    knows are read, and what ffmpeg knows, where it is installed. WAV streams straight from a pipe, with or without a
    known length; other formats that come through a pipe are first copied to a temporary file.

    Args:
        source: A path, "-" for standard input, or a binary file object, which stays open after `close`.
        raw: What the samples are, if they have no header.
        channels: 1 folds all channels into one, 2 folds more than two into two; None takes one or two as they are.

    Raises:
        AudioError: There is no such file, or it is not audio that can be read and coded.
    """
    name, stream, seekable = _open_stream(source)
    backend: Backend | None = None
    try:
        backend = _open_backend(name, stream, source, seekable, raw)
        return AudioReader(name, backend, channels)
    except BaseException as error:
        if backend is not None:
            backend.close()
        stream.close()
        if isinstance(error, OSError):
            raise AudioError(f"cannot read {name}: {error.strerror or error}") from None
        raise


def _open_stream(source: str | os.PathLike[str] | BinaryIO) -> tuple[str, BinaryIO, bool]:
    """A name for messages, a stream that may be closed, and whether it is a file: seekable and at its start."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if path != "-":
            return path, _open_path(path), not is_special(path)
        if sys.stdin.isatty():
            raise AudioError("standard input is a terminal; pipe or redirect audio into it")
        name, source = "standard input", sys.stdin.buffer
    else:
        name = str(getattr(source, "name", "the stream"))
    try:
        seekable = source.seekable() and source.tell() == 0
    except OSError:
        seekable = False
    return name, cast(BinaryIO, _Borrowed(source)), seekable


def _open_path(path: str) -> BinaryIO:
    if os.path.isdir(path):
        raise AudioError(f"{path} is a folder, not an audio file")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise AudioError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _open_backend(name: str, stream: BinaryIO, source: object, seekable: bool, raw: RawFormat | None) -> Backend:
    if raw is not None:
        return WavSource(name, stream, raw.layout, None)
    if not seekable:
        return _from_pipe(name, stream)
    is_path = isinstance(source, (str, os.PathLike)) and os.fspath(source) != "-"
    return open_file(name, stream, name if is_path else None)


def _from_pipe(name: str, stream: BinaryIO) -> Backend:
    recorder = _Recorder(stream)
    try:
        layout = read_wav_header(cast(BinaryIO, recorder))
        expected = None if layout.data_bytes is None else layout.data_bytes // layout.frame_bytes
        return ChainSource(name, wav_links(name, stream, layout), stream, expected)
    except UnsupportedWavError:
        pass
    except AudioError as error:
        raise AudioError(f"cannot read {name}: {error}") from None
    start = b"".join(recorder.parts)
    if not start:
        raise AudioError(f"{name} is empty (0 bytes)")
    refuse_nac(name, start)
    is_mpeg = len(start) >= 2 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0  # MP3, or AAC
    if not is_mpeg and not start.startswith(_MAGICS) and start[4:8] != b"ftyp":
        raise AudioError(f"{name} is not audio in a known format; convert it to WAV or FLAC first")
    spool = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the backend closes it
    try:
        spool.write(start)
        shutil.copyfileobj(stream, spool, 1 << 20)
        return open_file(name, spool)
    except BaseException as error:
        spool.close()
        if isinstance(error, OSError):
            where = tempfile.gettempdir()
            raise AudioError(f"cannot copy {name} to {where}: {error.strerror or error}") from None
        raise


class _Recorder(io.RawIOBase):
    """Keeps what was read, so that a pipe can be started over once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.parts: list[bytes] = []

    def read(self, size: int = -1, /) -> bytes:
        part = self._stream.read(size)
        self.parts.append(part)
        return part


class _Borrowed(io.BufferedIOBase):
    """A stream of somebody else: closing leaves it open, and short reads are completed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        parts = []
        left = -1 if size is None or size < 0 else size
        while left != 0:
            part = self._stream.read(left)
            if not part:
                break
            parts.append(part)
            left = left - len(part) if left > 0 else left
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return self._stream.seekable()
