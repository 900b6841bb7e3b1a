"""libsndfile as one of the ways to read and write audio: FLAC, Ogg, MP3, AIFF and the rest."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from nac.arrays import Samples
from nac.audio.common import warn_incomplete
from nac.errors import AudioError

# Ogg writers of libsndfile overflow the stack on very long single writes.
_MAX_WRITE = 16384


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after every read; that makes clicks in Opus and fails in FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class _Guarded:
    """Hands a stream to libsndfile, which cannot pass on exceptions: keeps the first one to be raised afterwards.

    It has no `name`, so that the content alone decides about the format.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            self._error = self._error or error
            return 0
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data) if self._error is None else 0
        except OSError as error:
            self._error = error
            return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._stream.seek(offset, whence)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", errno.EINVAL) == errno.EINVAL:
                return -1  # a place that cannot be: the header is wrong, not the disk
            self._error = self._error or OSError(getattr(error, "errno", None), str(error))
            return -1

    def tell(self) -> int:
        return self._stream.tell()

    def reraise(self) -> None:
        if self._error is not None:
            raise self._error


class SndfileSource:
    """Reads a seekable stream front to back; see `Backend`. Closes the stream.

    Args:
        name: Of the file, for messages.
        stream: At its start.
        expected: Samples per channel, where libsndfile's own count is not to be trusted; it is then a guess.
        count: Samples per channel that there must be, as an Ogg file's own numbers say.

    Raises:
        AudioError: libsndfile cannot read it.
    """

    def __init__(self, name: str, stream: BinaryIO, expected: int | None = None, count: int | None = None) -> None:
        self._name, self._stream, self._guarded = name, stream, _Guarded(stream)
        try:
            with _silent_stderr():
                self._file: Any = _Sequential(self._guarded)
        except soundfile.LibsndfileError as error:
            self._guarded.reraise()
            raise AudioError(
                f"{name} is not audio that can be read ({_reason(error)}); convert it to WAV or FLAC first"
            ) from None
        self.sample_rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        frames = int(self._file.frames)
        self.expected = expected if expected is not None else frames if 0 <= frames < 1 << 60 else None
        kind = self._file.format
        self._is_mpeg = kind == "MP3"
        if count is not None and self.expected is not None:
            self.expected = max(count, self.expected)
        # Ogg counts to the end of its last page, also where pages before it are missing; MP3 guesses.
        self._counts_pages = kind == "OGG" and expected is None
        self.frames = None if kind in ("MP3", "OGG") or expected is not None else self.expected
        self._position = 0

    def read(self, samples: int) -> Samples:
        """`[channels, up to n]` samples, none at the end. Raises AudioError where nothing more can be decoded."""
        try:
            with _silent_stderr() if self._is_mpeg else contextlib.nullcontext():
                block = self._file.read(samples, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            self._guarded.reraise()
            time = self._position / self.sample_rate
            raise AudioError(f"{self._name} is damaged or cut off after {time:.1f} s ({_reason(error)})") from None
        self._guarded.reraise()
        self._position += len(block)
        if not len(block) and self._counts_pages and self.expected is not None:
            self._counts_pages = False
            missing = self.expected - self._position
            if missing > 0:
                warn_incomplete(
                    f"{self._name}: {missing:,} of {self.expected:,} samples ({missing / self.sample_rate:.1f} s) are "
                    "missing or cannot be read; what follows them is moved up"
                )
        return np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Close the file and the stream."""
        self._file.close()
        self._stream.close()


class SndfileSink:
    """Writes `[samples, channels]` arrays of int16, int32 or float32 to a seekable stream, which stays open.

    Raises `AudioError` if the format cannot hold the audio and `OSError` if writing fails (a full disk, say).
    """

    def __init__(self, stream: BinaryIO, sample_rate: int, channels: int, format: str, subtype: str) -> None:
        self._guarded = _Guarded(stream)
        # What an empty file of this format consists of where libsndfile makes none; None once samples came.
        self._empty: bytes | None = None
        try:
            self._file: Any = _Sequential(self._guarded, "w", sample_rate, channels, subtype, format=format)
        except (soundfile.LibsndfileError, ValueError) as error:
            self._guarded.reraise()
            kind = format if subtype.startswith(("PCM", "FLOAT")) else subtype
            raise AudioError(
                f"{kind} cannot be written at {sample_rate} Hz with {channels} channel(s) ({_reason(error)})"
            ) from None
        if format == "FLAC":
            self._empty = _empty_flac(sample_rate, channels, 24 if subtype == "PCM_24" else 16)
        elif subtype in ("OPUS", "MPEG_LAYER_III"):
            self._empty = b""

    def write(self, samples: npt.NDArray[Any]) -> None:
        if len(samples):
            self._empty = None
        for start in range(0, len(samples), _MAX_WRITE):
            try:
                self._file.write(samples[start : start + _MAX_WRITE])
            except (soundfile.LibsndfileError, AssertionError) as error:
                self._guarded.reraise()
                raise OSError(None, f"writing failed ({_reason(error)})") from None
            self._guarded.reraise()

    def finish(self) -> None:
        """Write what is still buffered. Raises `AudioError` for a format that has no empty files, if nothing came."""
        try:
            self._file.close()
        except soundfile.LibsndfileError as error:
            self._guarded.reraise()
            raise OSError(None, f"writing failed ({_reason(error)})") from None
        self._guarded.reraise()
        if self._empty is not None:
            if not self._empty:
                raise AudioError("there is nothing to write, and this format has no empty files; wav and flac have")
            self._guarded.seek(0)
            self._guarded.write(self._empty)

    def abandon(self) -> None:
        """Release libsndfile's memory; what it still writes does not matter."""
        with contextlib.suppress(soundfile.SoundFileError):
            self._file.close()


def _empty_flac(sample_rate: int, channels: int, bits: int) -> bytes:
    """A FLAC file without samples: its one metadata block, of 34 bytes (block sizes, rate, channels, depth)."""
    layout = sample_rate << 44 | (channels - 1) << 41 | (bits - 1) << 36
    info = struct.pack(">HH6xQ16x", 4096, 4096, layout)
    return b"fLaC" + struct.pack(">I", 0x80000000 | len(info)) + info


_silence = threading.Lock()
_silenced = 0
_kept = -1


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what libmpg123 writes about damaged data from the terminal: libsndfile does not tell it to be quiet.

    For all threads of the process, and only while one is inside libsndfile.
    """
    global _silenced, _kept
    with _silence:
        _silenced += 1
        if _silenced == 1:
            with contextlib.suppress(OSError):
                _kept = os.dup(2)
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, 2)
                os.close(nothing)
    try:
        yield
    finally:
        with _silence:
            _silenced -= 1
            if _silenced == 0 and _kept >= 0:
                os.dup2(_kept, 2)
                os.close(_kept)
                _kept = -1


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error) or "short write")
    return text.removeprefix("Error :").strip().rstrip(".").lower()
