"""Audio to the bytes of a `.nac` file, and blocks of a file to audio, piece by piece in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from nac.arrays import Samples
from nac.audio import Resampler, as_samples
from nac.errors import AudioError, WeightsError
from nac.format.blocks import Block, BlockReader, BlockWriter, Damage
from nac.format.entropy.tables import TableLibrary, has_tables, tables_beside, tables_field
from nac.format.header import Metadata, pack_header
from nac.format.layout import ENTROPY, ENTROPY_CODINGS, PACKED, default_block_frames, split_codebooks
from nac.format.scan import is_seekable
from nac.models.model import NacModel
from nac.models.streaming import CodedFrames, FrameDecoder, FrameEncoder
from nac.packaged import table_library
from nac.settings import ENTROPY_DEFAULT, Tags, as_sample_rate, as_tags, beam_width, codebooks_for

#: Frames decoded, and dropped, before a point that is sought: the decoder looks back so far.
PREROLL = 32
#: Frames concealed at a time.
CONCEALED = 500
#: Blocks read ahead in a file that is decoded to its end.
AHEAD = 255
#: Most seconds that are concealed where the end of a file is missing; if more is, the sound ends where the file does.
MISSING_END = 60


class LoadedModel(Protocol):
    """The attributes of a `nac.Codec` that streams use."""

    model: NacModel
    fingerprint: int
    path: Path


@dataclass
class DecodeReport:
    """Result of decoding.

    Attributes:
        metadata: of the file.
        samples: per channel, that were decoded.
        damage: what was lost.
    """

    metadata: Metadata
    samples: int = 0
    #: Values beyond full scale that were clipped in the audio file, of all channels, and the largest one.
    clipped: int = 0
    peak: float = 0.0
    damage: list[Damage] = field(default_factory=list)

    @property
    def damaged_times(self) -> list[tuple[float, float]]:
        """(start, end) of each stretch of lost audio, in seconds of the whole file."""
        return [item.seconds(self.metadata.frame_rate) for item in self.damage if item.frames]


class StreamEncoder:
    """Samples `[channels, n]` at `sample_rate` in, bytes of a `.nac` file out, whatever the cut.

    >>> import nac
    >>> stream = StreamEncoder(nac.Codec.load(), sample_rate=16_000, channels=1, kbps=6)
    >>> data = stream.push(np.zeros((1, 8_000), np.float32)) + stream.flush()
    >>> data[:3]
    b'NAC'
    """

    def __init__(
        self,
        codec: LoadedModel,
        sample_rate: int,
        channels: int,
        kbps: int = 6,
        effort: str | int = "default",
        tags: Tags | Mapping[str, str] = (),
        samples: int | None = None,
        entropy: bool | None = None,
    ) -> None:
        """An encoder for one file.

        Args:
            codec: the loaded model.
            sample_rate: of the samples, in Hz.
            channels: 1 or 2.
            kbps: whole number from 1 to 24, over all channels.
            effort: "fast", "default", "best", or paths of the codebook search, 1 to 64.
            tags: (key, value) pairs, or a mapping.
            samples: per channel, of the whole signal, if known; the header then states it, and no end block follows.
            entropy: whether to entropy code; None: if the weights have tables for it.

        Raises:
            OptionError: `kbps`, `effort` or `tags` is not possible.
            AudioError: the number of channels is not.
            WeightsError: `entropy` is set, and the weights have no tables.
        """
        codebooks, config = codebooks_for(kbps), codec.model.config
        kbps, sample_rate = int(kbps), as_sample_rate(sample_rate)
        if entropy is None:
            entropy = ENTROPY_DEFAULT and has_tables(codec.path, codec.fingerprint)
        tables = (tables_beside(codec.path, codec.fingerprint),) if entropy else ()
        if channels not in (1, 2):
            raise AudioError(f"{channels} channels cannot be coded; give 1 or 2")
        self.metadata = Metadata(
            sample_rate,
            channels,
            samples,
            kbps,
            codebooks,
            codec.fingerprint,
            config.name,
            block_frames=default_block_frames(channels, kbps),
            tags=as_tags(tags),
            coding=ENTROPY if entropy else PACKED,
            extra=tuple(map(tables_field, tables)),
        )
        self.samples = 0
        self._resampler = Resampler(sample_rate, config.sample_rate, channels)
        self._frames = FrameEncoder(
            codec.model, channels, codebooks, split_codebooks, beam_width(effort), self.metadata.block_frames
        )
        self._writer = BlockWriter(self.metadata, TableLibrary(*tables))
        self._begun = False
        #: Called with the codes of every block before its bytes are returned.
        self.on_coded: Callable[[CodedFrames], None] | None = None

    def push(self, samples: Any) -> bytes:
        """Add samples.

        Args:
            samples: `[channels, n]`, of a type that `Codec.encode` takes.

        Returns:
            The bytes that are ready, maybe none.

        Raises:
            AudioError: another number of channels, or values that are not finite.
        """
        samples = as_samples(samples, self.metadata.channels)
        self.samples += samples.shape[1]
        return self._head() + self._blocks(self._frames.push(self._resampler.push(samples)))

    def finish(self) -> bytes:
        """Return the last blocks, without the end block.

        Raises:
            AudioError: `samples` were announced, and others came.
        """
        announced = self.metadata.samples
        if announced not in (None, self.samples):
            raise AudioError(f"the audio has {self.samples} samples instead of the {announced} that were announced")
        rest = self._frames.push(self._resampler.flush()) + self._frames.flush()
        return self._head() + self._blocks(rest)

    def end(self) -> bytes:
        """Return the end block, which is empty where the length was known at the start."""
        return self._writer.end(self.samples)

    def flush(self) -> bytes:
        """Return the rest of the file.

        Raises:
            AudioError: `samples` were announced, and others came.
        """
        return self.finish() + self.end()

    def _head(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return pack_header(self.metadata)

    def _blocks(self, parts: list[CodedFrames]) -> bytes:
        if self.on_coded is not None:
            for part in parts:
                self.on_coded(part)
        return b"".join(self._writer.block(part.codes, part.side_lag) for part in parts)


class StreamDecoder:
    """Blocks of a `.nac` file in, samples `[channels, n]` at the original sample rate out."""

    def __init__(self, codec: LoadedModel, metadata: Metadata) -> None:
        """A decoder for one file.

        Args:
            codec: the loaded model.
            metadata: of the file.

        Raises:
            WeightsError: the file was made with other weights.
        """
        config = codec.model.config
        if metadata.fingerprint != codec.fingerprint:
            raise WeightsError(
                f"the file was made with other weights: model {metadata.model!r}, fingerprint "
                f"{metadata.fingerprint:08x}; these are {config.name!r}, {codec.fingerprint:08x}. "
                "Give the right ones with --model"
            )
        if (metadata.frame_rate, metadata.bits) != (
            config.frame_rate,
            config.bits,
        ) or metadata.codebooks > config.codebooks:
            raise WeightsError("the file's frames are not of the kind that these weights make; it is damaged or new")
        self.metadata = metadata
        self._model = codec.model
        self._tables = table_library(codec.path)
        self.report = DecodeReport(metadata)
        self._cut_short = False
        #: Samples of the whole file, once `read` has come to its end.
        self.length = 0
        self._start(0)

    def _start(self, first_frame: int) -> None:
        self._frames = FrameDecoder(self._model, self.metadata.channels, first_frame)
        self._resampler = Resampler(self._model.config.sample_rate, self.metadata.sample_rate, self.metadata.channels)
        #: Samples still to be returned, where that is known.
        self._remaining = self.metadata.samples
        if self._remaining is not None:
            self._remaining -= first_frame * self.metadata.sample_rate // self.metadata.frame_rate

    def push(self, item: Block | Damage) -> Samples:
        """Decode a block, or conceal its loss; return the samples that are ready."""
        if isinstance(item, Damage):
            self.report.damage.append(item)
            return self._out(self._frames.conceal(item.frames))
        return self._out(self._frames.push(item.codes))

    def flush(self) -> Samples:
        """Return the last samples, from the sample rate conversion."""
        return self._cut(self._resampler.flush())

    def _out(self, samples: Samples) -> Samples:
        return self._cut(self._resampler.push(samples))

    def _cut(self, samples: Samples) -> Samples:
        if self._remaining is not None:
            samples = samples[:, : self._remaining]
            self._remaining -= samples.shape[1]
        return samples

    def read(self, stream: BinaryIO, first: int = 0, count: int | None = None) -> Iterator[Samples]:
        """Decode the blocks that follow in a stream; of a file, only those that are needed are read.

        Args:
            stream: stands at the first block.
            first: the first sample to return.
            count: samples to return; None: all that follow.

        Yields:
            `[channels, n]` samples.

        Raises:
            FormatError: the tables of an entropy coded file are not here.
        """
        # Nobody waits for a block of a file; a pipe may be live.
        ahead = AHEAD if count is None and is_seekable(stream) and self.metadata.coding in ENTROPY_CODINGS else 0
        reader = BlockReader(stream, self.metadata, ahead, self._tables)
        position = self._seek(reader, first)
        end = None if count is None else first + count
        held: list[Samples] = []  # a stream of unknown length may end in padding: keep a block back
        for samples in self._pieces(reader):
            held.append(samples)
            if len(held) > 1:
                piece = held.pop(0)
                yield _window(piece, position, first, end)
                position += piece.shape[1]
                if end is not None and position >= end:
                    return
        held.append(self.flush())
        rest = np.concatenate(held, 1)
        total = reader.samples
        if total is not None and not self._cut_short:
            rest = _fitted(rest, total - position)
        self.length = position + rest.shape[1]
        yield _window(rest, position, first, end)

    def _pieces(self, items: Iterable[Block | Damage]) -> Iterator[Samples]:
        """As `push`, but concealment comes in pieces too: it may be most of a long file."""
        for item in items:
            if isinstance(item, Damage):
                self.report.damage.append(item)
                # A file that was cut short, or lies about its length, must not be made whole with hours of silence.
                if item.at_end and item.frames > MISSING_END * self.metadata.frame_rate:
                    self._cut_short = True
                    return
                for first in range(0, item.frames, CONCEALED):
                    yield self._out(self._frames.conceal(min(CONCEALED, item.frames - first)))
            else:
                yield self.push(item)

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


def _window(samples: Samples, position: int, first: int, end: int | None) -> Samples:
    stop = samples.shape[1] if end is None else max(0, end - position)
    return samples[:, max(0, first - position) : stop]


def _fitted(samples: Samples, count: int) -> Samples:
    if samples.shape[1] >= count:
        return samples[:, : max(0, count)]
    return np.pad(samples, ((0, 0), (0, count - samples.shape[1])))
