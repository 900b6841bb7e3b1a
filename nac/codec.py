"""Audio in, `.nac` out, and back: the one room that knows both the model and the format.

A one-shot call is a stream of one piece: `Codec.encode` pushes everything into a `StreamEncoder` at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from nac.audio import AudioWriter, Resampler, open_audio
from nac.errors import AudioError, OptionError, WeightsError
from nac.files import NewFile
from nac.format.blocks import Block, BlockReader, BlockWriter, Damage, patch_samples
from nac.format.header import Metadata, pack_header, read_header
from nac.format.layout import default_block_frames, split_codebooks
from nac.models.streaming import CodedFrames, FrameDecoder, FrameEncoder
from nac.models.weights import load_model
from nac.packaged import default_weights

Samples = npt.NDArray[np.float32]
Progress = Callable[[float], None]
Tags = tuple[tuple[str, str], ...]

MAX_KBPS = 24
#: Width of the codebook search by name.
EFFORTS = {"fast": 1, "default": 4, "best": 24}
#: Frames decoded, and dropped, before a point that is sought: the decoder looks back so far.
PREROLL = 32


def beam_width(effort: str | int) -> int:
    """Paths kept by the codebook search: "fast" (1, greedy), "default", "best", or a number from 1 to 64.

    Raises:
        OptionError: neither.

    >>> beam_width("fast"), beam_width(5)
    (1, 5)
    """
    if isinstance(effort, str) and effort in EFFORTS:
        return EFFORTS[effort]
    try:
        width = int(effort)
    except ValueError:
        width = 0
    if not 1 <= width <= 64:
        raise OptionError(f"effort {effort!r} is not possible; give fast, default, best or a number from 1 to 64")
    return width


@dataclass
class DecodeReport:
    """What decoding found: `damage` lists what was lost; times are in seconds of the whole file."""

    metadata: Metadata
    samples: int = 0
    damage: list[Damage] = field(default_factory=list)

    @property
    def damaged_times(self) -> list[tuple[float, float]]:
        """(start, end) of each stretch of lost audio, in seconds."""
        rate = self.metadata.frame_rate
        return [(max(0.0, (d.first_frame - 1) / rate), (d.first_frame + d.frames) / rate)
                for d in self.damage if d.frames]


class Codec:
    """A loaded model. Made by `Codec.load`.

    >>> codec = Codec.load()
    >>> tone = np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 440).astype(np.float32) * 0.5
    >>> data = codec.encode(tone, 24_000, kbps=6)
    >>> audio, rate = codec.decode(data)
    >>> audio.shape, rate
    ((1, 24000), 24000)
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        model, notes = load_model(path)
        try:
            self.model = model.to(torch.device(device))
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise OptionError(f"device {device!r} cannot be used ({reason}); cpu always can") from error
        self.path = path
        self.fingerprint = int(notes["fingerprint"], 16)
        self.generation = int(notes.get("generation", "0"))

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, device: str = "cpu",
             threads: int | None = None) -> Codec:
        """Load weights: the ones that came with the package, or a file made by training.

        `threads` sets how many CPU threads torch uses in this process.

        Raises:
            WeightsError: no such file, or no usable weights in it.
            OptionError: the device does not exist here, or threads is below 1.
        """
        if threads is not None:
            if threads < 1:
                raise OptionError(f"{threads} threads are not possible; give 1 or more")
            torch.set_num_threads(threads)
        return cls(Path(path) if path is not None else default_weights(), device)

    @property
    def model_name(self) -> str:
        """Name of the model, as files carry it."""
        return self.model.config.name

    @property
    def sample_rate(self) -> int:
        """Rate of the model in Hz; other rates are converted."""
        return self.model.config.sample_rate

    @property
    def hop(self) -> int:
        """Samples of a frame at `sample_rate`."""
        return self.model.config.hop

    # -- arrays ------------------------------------------------------------------------------------------------

    def encode(self, audio: npt.NDArray[np.floating], sample_rate: int, kbps: int = 6,
               effort: str | int = "default", tags: Tags = ()) -> bytes:
        """`[channels, samples]` or `[samples]`, 1 or 2 channels, full scale −1..1, to the bytes of a `.nac` file.

        Raises:
            AudioError: another shape, or values that are no finite numbers.
            OptionError: `kbps` is no whole number from 1 to 24, or `effort` none that there is.
        """
        samples = _two_dimensional(audio)
        stream = StreamEncoder(self, sample_rate, samples.shape[0], kbps, effort, tags, samples=samples.shape[1])
        return stream.push(samples) + stream.flush()

    def decode(self, data: bytes) -> tuple[Samples, int]:
        """The bytes of a `.nac` file to float32 `[channels, samples]` and their rate; lost blocks are concealed.

        Raises:
            FormatError: this is no `.nac` file that can be read.
            WeightsError: it was made with other weights.
        """
        stream = io.BytesIO(data)
        decoder = StreamDecoder(self, read_header(stream))
        pieces = list(decoder.read(stream))
        empty = np.zeros((decoder.metadata.channels, 0), np.float32)
        return np.concatenate([empty, *pieces], 1), decoder.metadata.sample_rate

    def encode_codes(self, audio: npt.NDArray[np.floating], sample_rate: int, kbps: int = 6,
                     effort: str | int = "default") -> npt.NDArray[np.int16]:
        """Codes `[channels, codebooks, frames]`, 50 frames a second; in stereo the channels are mid and side, and
        −1 marks codebooks that a channel does without in that second.

        Raises as `encode` does.
        """
        samples = _two_dimensional(audio)
        codebooks = _codebooks(kbps)
        coder = FrameEncoder(self.model, samples.shape[0], codebooks, split_codebooks, beam_width(effort))
        resampler = Resampler(sample_rate, self.sample_rate, samples.shape[0])
        parts = coder.push(resampler.push(samples)) + coder.push(resampler.flush()) + coder.flush()
        out = [np.zeros((samples.shape[0], codebooks, 0), np.int16)]
        for part in parts:
            table = np.full((samples.shape[0], codebooks, part.frames), -1, np.int16)
            for channel, codes in zip(table, part.codes, strict=True):
                channel[:len(codes)] = codes
            out.append(table)
        return np.concatenate(out, 2)

    def decode_codes(self, codes: npt.NDArray[np.integer]) -> Samples:
        """Codes as `encode_codes` gives them to `[channels, (frames − 1) · 480]` samples at 24 kHz.

        Raises:
            OptionError: not of shape `[1 or 2, 0 to 48, frames]`, or codes outside −1..1023.
        """
        config = self.model.config
        if codes.ndim != 3 or codes.shape[0] not in (1, 2) or codes.shape[1] > config.codebooks:
            raise OptionError(f"codes of shape {list(codes.shape)} are not [channels, codebooks, frames]")
        if codes.size and not -1 <= int(codes.min()) <= int(codes.max()) < config.codebook_size:
            raise OptionError(f"codes must be from -1 (none) to {config.codebook_size - 1}")
        return FrameDecoder(self.model, codes.shape[0]).push(list(codes))

    # -- files -------------------------------------------------------------------------------------------------

    def encode_file(self, source: str | os.PathLike[str], target: str | os.PathLike[str], *, kbps: int = 6,
                    effort: str | int = "default", tags: Tags = (), progress: Progress | None = None) -> Metadata:
        """Encode an audio file, or "-" for standard input, to a file, which appears when it is complete, or "-".

        `progress` is called with the seconds of audio read so far. Returns the file's metadata.

        Raises:
            AudioError: the source cannot be read, or has more than 2 channels.
            OptionError: as `encode`.
            OSError: the target cannot be written.
        """
        with open_audio(source) as reader:
            stream = StreamEncoder(self, reader.sample_rate, reader.channels, kbps, effort, tags)
            if os.fspath(target) == "-":
                self._encode_blocks(reader.blocks(), stream, sys.stdout.buffer, progress)
                sys.stdout.buffer.write(stream.end())
                sys.stdout.buffer.flush()
                return stream.metadata
            with NewFile(target) as new:
                self._encode_blocks(reader.blocks(), stream, new.file, progress)
                if new.special:
                    new.file.write(stream.end())
                    return stream.metadata
                return patch_samples(new.file, stream.metadata, stream.samples)

    @staticmethod
    def _encode_blocks(blocks: Iterator[Samples], stream: StreamEncoder, out: BinaryIO,
                       progress: Progress | None) -> None:
        for block in blocks:
            out.write(stream.push(block))
            if progress is not None:
                progress(stream.samples / stream.metadata.sample_rate)
        out.write(stream.finish())

    def decode_file(self, source: str | os.PathLike[str], target: str | os.PathLike[str], *,
                    format: str | None = None, subtype: str | None = None, start: float = 0.0,
                    duration: float | None = None, progress: Progress | None = None) -> DecodeReport:
        """Decode a `.nac` file, or "-", to an audio file, which appears when it is complete, or "-" (WAV).

        `format` and `subtype` as `AudioWriter` takes them; `start` and `duration` in seconds choose a part, of which
        only the blocks needed are read. `progress` is called with the seconds of audio written.

        Raises:
            FormatError: the source is no `.nac` file that can be read. Damaged blocks are in the report instead.
            WeightsError: it was made with other weights.
            AudioError: the target cannot be written as asked.
            OSError: the source cannot be opened.
        """
        with _open_input(source) as stream:
            metadata = read_header(stream)
            decoder = StreamDecoder(self, metadata)
            length = None if duration is None else round(duration * metadata.sample_rate)
            first = round(start * metadata.sample_rate)
            expected = None if metadata.samples is None else max(0, metadata.samples - first)
            if length is not None:
                expected = length if expected is None else min(length, expected)
            with AudioWriter(target, metadata.sample_rate, metadata.channels, format, subtype, expected) as writer:
                for samples in decoder.read(stream, first, length):
                    writer.write(samples)
                    if progress is not None:
                        progress(writer.samples / metadata.sample_rate)
            decoder.report.samples = writer.samples
            return decoder.report


class StreamEncoder:
    """Samples `[channels, n]` at `sample_rate` in, bytes of a `.nac` file out, whatever the cut.

    >>> stream = StreamEncoder(Codec.load(), sample_rate=16_000, channels=1, kbps=6)
    >>> data = stream.push(np.zeros((1, 8_000), np.float32)) + stream.flush()
    >>> data[:3]
    b'NAC'
    """

    def __init__(self, codec: Codec, sample_rate: int, channels: int, kbps: int = 6, effort: str | int = "default",
                 tags: Tags = (), samples: int | None = None) -> None:
        codebooks = _codebooks(kbps)
        if channels not in (1, 2):
            raise AudioError(f"{channels} channels cannot be coded; give 1 or 2")
        self.metadata = Metadata(sample_rate, channels, samples, kbps, codebooks, codec.fingerprint, codec.model_name,
                                 block_frames=default_block_frames(channels, kbps), tags=tags)
        self.samples = 0
        self._resampler = Resampler(sample_rate, codec.sample_rate, channels)
        self._frames = FrameEncoder(codec.model, channels, codebooks, split_codebooks, beam_width(effort),
                                    self.metadata.block_frames)
        self._writer = BlockWriter(self.metadata)
        self._begun = False

    def push(self, samples: Samples) -> bytes:
        """Take samples; return the bytes that are ready, maybe none.

        Raises:
            AudioError: another number of channels, or values that are no finite numbers.
        """
        if samples.ndim != 2 or samples.shape[0] != self.metadata.channels:
            raise AudioError(f"expected samples of shape [{self.metadata.channels}, n], got {list(samples.shape)}")
        if not np.isfinite(samples).all():
            raise AudioError("the samples contain values that are no finite numbers; replace them first")
        self.samples += samples.shape[1]
        return self._head() + self._blocks(self._frames.push(self._resampler.push(samples)))

    def finish(self) -> bytes:
        """The last blocks, without the end block."""
        rest = self._frames.push(self._resampler.flush()) + self._frames.flush()
        return self._head() + self._blocks(rest)

    def end(self) -> bytes:
        """What follows the last block: the end block of a stream whose length was not known at the start."""
        return self._writer.end(self.samples)

    def flush(self) -> bytes:
        """The rest of the file."""
        return self.finish() + self.end()

    def _head(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return pack_header(self.metadata)

    def _blocks(self, parts: list[CodedFrames]) -> bytes:
        return b"".join(self._writer.block(part.codes, part.side_lag) for part in parts)


class StreamDecoder:
    """Blocks of a `.nac` file in, samples `[channels, n]` at the original rate out.

    Raises:
        WeightsError: the file was made with other weights.
    """

    def __init__(self, codec: Codec, metadata: Metadata) -> None:
        config = codec.model.config
        if metadata.fingerprint != codec.fingerprint:
            raise WeightsError(f"the file was made with other weights: model {metadata.model!r}, fingerprint "
                               f"{metadata.fingerprint:08x}; these are {codec.model_name!r}, {codec.fingerprint:08x}. "
                               "Give the right ones with --model")
        if (metadata.frame_rate, metadata.bits) != (config.frame_rate, config.bits) \
                or metadata.codebooks > config.codebooks:
            raise WeightsError("the file's frames are not of the kind that these weights make; it is damaged or new")
        self.codec, self.metadata = codec, metadata
        self.report = DecodeReport(metadata)
        self._start(0)

    def _start(self, first_frame: int) -> None:
        self._frames = FrameDecoder(self.codec.model, self.metadata.channels, first_frame)
        self._resampler = Resampler(self.codec.sample_rate, self.metadata.sample_rate, self.metadata.channels)
        #: Samples that are still to come, where that is known.
        self._left = self.metadata.samples
        if self._left is not None:
            self._left -= first_frame * self.metadata.sample_rate // self.metadata.frame_rate

    def push(self, item: Block | Damage) -> Samples:
        """A block, or the news of its loss, to the samples that are ready."""
        if isinstance(item, Damage):
            self.report.damage.append(item)
            samples = self._frames.conceal(item.frames)
        else:
            samples = self._frames.push(item.codes)
        return self._cut(self._resampler.push(samples))

    def flush(self) -> Samples:
        """The samples that are left in the rate conversion."""
        return self._cut(self._resampler.flush())

    def _cut(self, samples: Samples) -> Samples:
        if self._left is not None:
            samples = samples[:, :self._left]
            self._left -= samples.shape[1]
        return samples

    def read(self, stream: BinaryIO, first: int = 0, count: int | None = None) -> Iterator[Samples]:
        """Decode the blocks that follow in `stream`: samples from `first` on, `count` of them or all there are.

        In a file that can be sought, only the blocks that are needed are read.
        """
        reader = BlockReader(stream, self.metadata)
        position = self._seek(reader, first)
        end = None if count is None else first + count
        held: list[Samples] = []  # a stream of unknown length may end in padding: keep a block back
        for item in reader:
            held.append(self.push(item))
            if len(held) > 1:
                piece = held.pop(0)
                yield _window(piece, position, first, end)
                position += piece.shape[1]
                if end is not None and position >= end:
                    return
        held.append(self.flush())
        rest = np.concatenate(held, 1)
        total = reader.samples
        if total is not None:
            rest = _fitted(rest, total - position)
        yield _window(rest, position, first, end)

    def _seek(self, reader: BlockReader, first: int) -> int:
        """Go to a block before sample `first`; returns the sample that decoding then begins with."""
        rate, size = self.metadata.sample_rate, self.metadata.block_frames
        index = (first * self.metadata.frame_rate // rate - PREROLL) // size
        # A block's start must fall on a whole sample of the original rate, or all that follows would be shifted.
        while index > 0 and index * size * rate % self.metadata.frame_rate:
            index -= 1
        frames = self.metadata.frames
        if index <= 0 or frames is None or index * size >= frames:
            return 0
        frame = reader.seek(index * size)
        self._start(frame)
        return frame * rate // self.metadata.frame_rate


def _two_dimensional(audio: npt.NDArray[np.floating]) -> Samples:
    array = np.asarray(audio, dtype=np.float32)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[0] not in (1, 2):
        raise AudioError(f"audio of shape {list(array.shape)} cannot be coded; give [samples] or [1 or 2, samples]")
    return array


def _codebooks(kbps: int) -> int:
    if kbps != int(kbps) or not 1 <= kbps <= MAX_KBPS:
        raise OptionError(f"{kbps} kbps is not possible; give a whole number from 1 to {MAX_KBPS}")
    return 2 * int(kbps)


def _window(samples: Samples, position: int, first: int, end: int | None) -> Samples:
    stop = samples.shape[1] if end is None else max(0, end - position)
    return samples[:, max(0, first - position):stop]


def _fitted(samples: Samples, count: int) -> Samples:
    if samples.shape[1] >= count:
        return samples[:, :max(0, count)]
    return np.pad(samples, ((0, 0), (0, count - samples.shape[1])))


def _open_input(source: str | os.PathLike[str]) -> BinaryIO:
    if os.fspath(source) == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return open(source, "rb")


__all__ = ["Codec", "DecodeReport", "StreamDecoder", "StreamEncoder", "beam_width"]
