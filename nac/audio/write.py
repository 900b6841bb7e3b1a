"""Writing audio: WAV (to files and pipes), FLAC, AIFF, Ogg Vorbis, Opus, MP3 and more, complete or not at all."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from nac.arrays import Samples
from nac.audio.resample import Resampler
from nac.audio.sndfile import SndfileSink
from nac.audio.tags import Tags, write_tags
from nac.audio.wav import wav_header
from nac.errors import AudioError
from nac.files import NewFile, standard_output

# Name on the command line -> libsndfile's format and the subtype it takes unless told otherwise.
_FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "w64": ("W64", "PCM_16"),
}
_EXTENSIONS = {"wave": "wav", "aif": "aiff", "oga": "ogg", "snd": "au", **{name: name for name in _FORMATS}}
_SUBTYPES = {"pcm16": "PCM_16", "pcm24": "PCM_24", "float": "FLOAT"}
# Rates in Hz that these formats have; others are converted to the next higher one.
_RATES = {
    "OPUS": (8000, 12000, 16000, 24000, 48000),
    "MPEG_LAYER_III": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}
# Above, libvorbis cannot encode, and libsndfile crashes.
_MAX_VORBIS_RATE = 200_000
_WIDTHS = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
# Sizes in a WAV header are 32 bits, and the outer one counts the header too.
_MAX_WAV = 0xFFFFFFFF - 1024


def known_formats() -> list[str]:
    """The names that `AudioWriter` takes as `format`."""
    return list(_FORMATS)


class AudioWriter:
    """Writes blocks of samples as an audio file that appears under its name only when it is complete.

    `target` is a path or "-" for standard output (WAV only, as for any pipe or device). The format follows from the
    extension unless `format` (wav, flac, aiff, ogg, opus, mp3, caf, au, w64) names it. `subtype` is "pcm16" (the
    default: rounded to the nearest step, and what is over full scale is clipped), "pcm24" or "float" (neither rounded
    nor clipped). `frames`, the number of samples to come if known, lets a pipe carry a complete WAV header and chooses
    RF64 for what does not fit into 4 GiB; files of unknown length change over by themselves.

    Opus and MP3 know certain sample rates only; others are converted to the next higher one. What is beyond full scale
    is counted: `clipped` values of all channels, the largest being `peak`; `gain` is applied before. `tags` go into
    FLAC, Ogg and MP3 files.

    As a context manager it closes on success and removes the unfinished file on any exception.
    Raises `AudioError` for what cannot be written, be it an option or a full disk; `BrokenPipeError` if nobody reads.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        format: str | None = None,
        subtype: str | None = None,
        frames: int | None = None,
        gain: float = 1.0,
        tags: Tags = (),
    ) -> None:
        path = os.fspath(target)
        self.name = "standard output" if path == "-" else path
        name = format_of(path, format)
        container, kind = _FORMATS[name]
        lossy = not kind.startswith("PCM")
        if subtype is not None:
            if subtype not in _SUBTYPES:
                raise AudioError(f"{subtype!r} is not a type of samples; possible are {', '.join(_SUBTYPES)}")
            if lossy or (name == "flac" and subtype == "float"):
                raise AudioError(f"{name} cannot hold {subtype} samples; wav and aiff can")
            kind = _SUBTYPES[subtype]
        self.channels, self.samples = channels, 0
        self.clipped, self.peak = 0, 0.0
        self._gain, self._tags, self._container = np.float32(gain), tags, container
        self._resampler: Resampler | None = None
        if (rate := _possible_rate(kind, sample_rate)) != sample_rate:
            self._resampler, sample_rate = Resampler(sample_rate, rate, channels), rate
        self._kind = kind
        # AIFF has 32-bit sizes and no way out; the other formats have wider ones or need none.
        self._limit = _MAX_WAV // (channels * _WIDTHS[kind]) if name == "aiff" else None
        self._new: NewFile | None = None
        self._sink: _Sink
        try:
            if path != "-":
                self._new = NewFile(path)
            if name == "wav":
                stream = standard_output() if self._new is None else self._new.file
                seekable = self._new is not None and not self._new.special
                self._sink = _WavSink(stream, seekable, sample_rate, channels, kind, frames)
            elif self._new is None or self._new.special:
                raise AudioError(f"only WAV can be written to {self.name}, not {name}: its end changes its beginning")
            else:
                self._sink = SndfileSink(self._new.file, sample_rate, channels, container, kind)
        except BaseException as error:
            self._discard()
            self._raise(error)

    def write(self, samples: Samples) -> None:
        """Append `[channels, n]` samples, full scale -1..1."""
        if samples.ndim != 2 or samples.shape[0] != self.channels:
            raise AudioError(f"expected samples of shape [{self.channels}, n], got {list(samples.shape)}")
        samples = samples * self._gain if self._gain != 1 else samples
        try:
            self._sink.write(self._prepared(samples if self._resampler is None else self._resampler.push(samples)))
        except BaseException as error:
            self.abort()
            self._raise(error)
        self.samples += samples.shape[1]
        if self._limit is not None and self.samples > self._limit:
            self.abort()
            raise AudioError(f"{self.name} passes the 4 GiB that AIFF can hold; write wav, flac or caf instead")

    def _prepared(self, samples: Samples) -> npt.NDArray[Any]:
        if self._kind != "FLOAT" and samples.size:
            sizes = np.abs(samples)
            self.peak = max(self.peak, float(np.nan_to_num(sizes.max())))
            self.clipped += int(np.count_nonzero(sizes > 1))
        return _stored(samples, self._kind)

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            if self._resampler is not None:
                self._sink.write(self._prepared(self._resampler.flush()))
            self._sink.finish()
            if self._new is not None:
                if self._tags:
                    write_tags(self._new.file, self._container, self._tags)
                self._new.commit()
        except BaseException as error:
            self._discard()
            self._raise(error)

    def abort(self) -> None:
        """Remove the unfinished file; an existing target stays as it was."""
        self._sink.abandon()
        self._discard()

    def _discard(self) -> None:
        if self._new is not None:
            self._new.discard()

    def _raise(self, error: BaseException) -> None:
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise AudioError(f"cannot write {self.name}: {error.strerror or error}") from None
        raise error

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def format_of(path: str, format: str | None = None) -> str:
    """The format a target is written in: `format` if given, else by extension; "-", pipes and devices are WAV.

    >>> format_of("a/b.AIF"), format_of("-"), format_of("x.wav", "flac")
    ('aiff', 'wav', 'flac')
    """
    extension = (format or os.path.splitext(path)[1]).lower().lstrip(".")
    if format is None and not extension and (path == "-" or os.path.exists(path)):
        return "wav"
    if extension not in _EXTENSIONS:
        told = f"{format!r} is not an audio format" if format else f"the name {path} does not tell an audio format"
        raise AudioError(f"{told}; possible are {', '.join(_FORMATS)}")
    return _EXTENSIONS[extension]


def _possible_rate(kind: str, rate: int) -> int:
    """The rate itself, or the one in Hz that takes its place in a format that does not have it."""
    if kind == "VORBIS":
        return rate if rate <= _MAX_VORBIS_RATE else 192_000
    rates = _RATES.get(kind, (rate,))
    return min((known for known in rates if known >= rate), default=rates[-1])


class _Sink(Protocol):
    def write(self, samples: npt.NDArray[Any]) -> None: ...

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


def _stored(samples: Samples, kind: str) -> npt.NDArray[Any]:
    """`[channels, n]` floats as the `[n, channels]` values of a file: int16, int32 (24 bits on top) or float32."""
    frames = samples.T
    if kind == "PCM_16":
        return _rounded(frames, 15).astype(np.int16)
    if kind == "PCM_24":
        return _rounded(frames, 23).astype(np.int32) << 8
    return np.ascontiguousarray(frames, dtype=np.float32)


def _rounded(frames: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    # Converted here and not by libsndfile, which rounds down and so adds half a step of offset. A NaN has no integer.
    steps = np.rint(np.clip(np.nan_to_num(frames.astype(np.float64)), -1, 1) * 2.0**bits)
    return np.minimum(steps, 2.0**bits - 1)


class _WavSink:
    """WAV front to back; sizes are filled in at the end where the stream can seek."""

    def __init__(
        self, stream: BinaryIO, seekable: bool, sample_rate: int, channels: int, kind: str, frames: int | None
    ) -> None:
        self._stream, self._seekable = stream, seekable
        self._bits = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}[kind]
        self._layout = (sample_rate, channels, self._bits)
        expected = None if frames is None else frames * channels * self._bits // 8
        fits = expected is not None and expected <= _MAX_WAV
        # A file that may outgrow 4 GiB reserves the place of 64-bit sizes; all others get the shortest header.
        self._reserves_ds64 = seekable and not fits
        self._written = 0
        self._stream.write(self._header(expected if fits and not seekable else None))

    def _header(self, data_bytes: int | None) -> bytes:
        rate, channels, bits = self._layout
        return wav_header(
            rate, channels, bits, is_float=bits == 32, data_bytes=data_bytes, reserve_ds64=self._reserves_ds64
        )

    def write(self, samples: npt.NDArray[Any]) -> None:
        if self._bits == 24:
            # The three upper bytes of each little-endian 32-bit number.
            data = samples.astype("<i4").reshape(-1, 1).view(np.uint8)[:, 1:].tobytes()
        else:
            data = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
        self._stream.write(data)
        if not self._seekable:
            self._stream.flush()  # somebody may be listening to the other end
        self._written += len(data)
        if self._seekable and not self._reserves_ds64 and self._written > _MAX_WAV:
            raise AudioError("a WAV file announced as shorter than 4 GiB cannot grow beyond it")

    def finish(self) -> None:
        if self._seekable:
            if self._written % 2:
                self._stream.write(b"\0")
            self._stream.seek(0)
            self._stream.write(self._header(self._written))
        self._stream.flush()

    def abandon(self) -> None:
        pass
