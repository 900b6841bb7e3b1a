"""Audio to the bytes of a `.nac` file, and such bytes to audio, piece by piece in constant memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from nac.arrays import Samples
from nac.audio import Resampler, as_samples
from nac.block_decoder import BlockDecoder, DecodeReport, LoadedModel, check_weights
from nac.errors import AudioError, OptionError
from nac.format.blocks import BlockReader, BlockWriter
from nac.format.entropy.tables import TableLibrary, has_tables, tables_beside, tables_field
from nac.format.header import Metadata, header_bytes, pack_header, read_header
from nac.format.layout import ENTROPY, ENTROPY_CODINGS, ENTROPY_FROM, PACKED, default_block_frames, split_codebooks
from nac.format.scan import is_seekable
from nac.models.streaming import CodedFrames, FrameEncoder
from nac.packaged import table_library
from nac.settings import ENTROPY_DEFAULT, Tags, as_sample_rate, as_tags, beam_width, codebooks_for

#: Frames decoded, and dropped, before a point that is sought: the decoders have forgotten what was before them.
PREROLL = 100
#: Blocks read ahead in a file that is decoded to its end.
AHEAD = 255


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
        block_frames: int | None = None,
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
            entropy: whether to entropy code; None: if the weights have tables for it, and blocks are long enough.
            block_frames: frames of a block, of 20 ms each, 1 to 255: nothing is known of a block before its last
                sample, so few make a stream with little delay, and many a small file; None: a second.

        Raises:
            OptionError: `kbps`, `effort`, `tags` or `block_frames` is not possible.
            AudioError: the number of channels is not.
            WeightsError: `entropy` is set, and the weights have no tables.
        """
        codebooks, config = codebooks_for(kbps), codec.model.config
        kbps, sample_rate = int(kbps), as_sample_rate(sample_rate)
        frames = default_block_frames(channels, kbps) if block_frames is None else block_frames
        if entropy is None:
            entropy = ENTROPY_DEFAULT and frames >= ENTROPY_FROM and has_tables(codec.path, codec.fingerprint)
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
            block_frames=frames,
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
    """Bytes of a `.nac` file in, samples `[channels, n]` at the original sample rate out, whatever the cut.

    Where the header does not state the length, the last 20 ms are held back until the end block has told how many of
    them are padding. A live one holds nothing back: where the end block comes later than the last frame, up to 20 ms of
    padding follow the sound.

    >>> import nac
    >>> codec = nac.Codec.load()
    >>> data = codec.encode(np.zeros(8_000, np.float32), 16_000)
    >>> stream = StreamDecoder(codec)
    >>> parts = [stream.push(data[:100]), stream.push(data[100:]), stream.flush()]
    >>> sum(part.shape[1] for part in parts), stream.metadata.sample_rate
    (8000, 16000)

    """

    def __init__(self, codec: LoadedModel, metadata: Metadata | None = None, live: bool = False) -> None:
        """A decoder for one file.

        Args:
            codec: the loaded model.
            metadata: of the file, if its header has been read already: the bytes then begin with the first block.
            live: hold nothing back.

        Raises:
            WeightsError: the file was made with other weights.
        """
        self._codec = codec
        self._live = live
        self._header = b""  # what has come of it
        self._metadata: Metadata | None = None
        self._given = 0
        self._ended = False
        if metadata is not None:
            self._begin(metadata)

    @property
    def metadata(self) -> Metadata:
        """What the header says.

        Raises:
            OptionError: it is not known before enough bytes have come: see `begun`.
        """
        if self._metadata is None:
            raise OptionError("the header of the stream has not come yet: push more of it first")
        return self._metadata

    @property
    def length(self) -> int:
        """Samples per channel, from the start of the file to where decoding has come: in the end, those of the file."""
        return self._given

    @property
    def begun(self) -> bool:
        """Whether the whole header has come, so that the metadata are known."""
        return self._metadata is not None

    @property
    def report(self) -> DecodeReport:
        """What was lost so far. Raises OptionError before the header has come."""
        _ = self.metadata
        return self._decoder.report

    def _begin(self, metadata: Metadata) -> None:
        check_weights(self._codec, metadata)
        self._metadata = metadata
        # The most that the end block can take away: what the last frame is padded with, and what rounding adds.
        rate = metadata.sample_rate
        self._hold = (
            0 if self._live else -(-rate // metadata.frame_rate) - (-rate // self._codec.model.config.sample_rate) + 1
        )
        self._tables = table_library(self._codec.path)
        self._held: Samples = np.zeros((metadata.channels, 0), np.float32)
        self._decoder = BlockDecoder(self._codec, metadata)
        self._reader = BlockReader(None, metadata, AHEAD, self._tables)

    def push(self, data: bytes) -> Samples:
        """Add bytes.

        Args:
            data: any number of them.

        Returns:
            The samples that are ready, maybe none: float32 `[channels, n]`, full scale 1. Before the header is
            complete, and the number of channels known, `[1, 0]`.

        Raises:
            FormatError: this is not a `.nac` file that can be read. Damaged blocks are in the report instead.
            WeightsError: it was made with other weights.
            OptionError: the end has been told already.
        """
        if self._ended:
            raise OptionError("the stream has been flushed: begin another decoder for another file")
        try:
            self._feed(bytes(memoryview(data)))
        except TypeError:
            raise OptionError(f"a decoder takes bytes, not {type(data).__name__}") from None
        return self._joined(self._ready())

    def flush(self) -> Samples:
        """Tell that this is the end; return the rest of the samples.

        Raises:
            FormatError: the file ends inside its header.
        """
        if self._metadata is None:
            self._begin(read_header(io.BytesIO(self._header)))
        if self._ended:
            return self._joined(())
        self._ended = True
        self._reader.feed(b"")
        return self._joined(self._rest())

    def _feed(self, data: bytes) -> None:
        if self._metadata is None:
            self._header += data
            size = header_bytes(self._header)
            if len(self._header) < size:
                return
            data, self._header = self._header[size:], self._header[:size]
            self._begin(read_header(io.BytesIO(self._header)))
        if data:
            self._reader.feed(data)

    def _joined(self, pieces: Iterable[Samples]) -> Samples:
        empty = np.zeros((1 if self._metadata is None else self._metadata.channels, 0), np.float32)
        return np.concatenate([empty, *pieces], 1)

    def follow(self, stream: BinaryIO) -> Iterator[Samples]:
        """Push what comes from a stream as soon as it is there, to its end.

        Args:
            stream: stands at the first block, or, if no metadata were given, at the header.

        Yields:
            `[channels, n]` samples, n > 0.

        Raises:
            FormatError: as `push`.
            WeightsError: as `push`.
        """
        some = getattr(stream, "read1", stream.read)  # hands over what a pipe has
        while data := some(1 << 16):
            if (samples := self.push(data)).size:
                yield samples
        if (samples := self.flush()).size:
            yield samples

    def read(self, stream: BinaryIO, first: int = 0, count: int | None = None) -> Iterator[Samples]:
        """Decode the blocks that follow in a stream; of a file, only those that are needed are read.

        Args:
            stream: stands at the first block, or, if no metadata were given, at the header.
            first: the first sample to return.
            count: samples to return; None: all that follow.

        Yields:
            `[channels, n]` samples.

        Raises:
            FormatError: this is not a `.nac` file, or the tables of an entropy coded file are not here.
            WeightsError: it was made with other weights.
        """
        if self._metadata is None:
            self._begin(read_header(stream))
        self._ended = True  # nothing can be pushed any more
        # Nobody waits for a block of a file; a pipe may be live.
        ahead = AHEAD if count is None and is_seekable(stream) and self.metadata.coding in ENTROPY_CODINGS else 0
        self._reader = BlockReader(stream, self.metadata, ahead, self._tables)
        self._given = position = self._seek(first)
        end = None if count is None else first + count
        for samples in self._rest():
            yield _window(samples, position, first, end)
            position += samples.shape[1]
            if end is not None and position >= end:
                return

    def _ready(self) -> Iterator[Samples]:
        """Decode what the reader has; give all but what is held back."""
        if self._metadata is None:
            return
        for item in self._reader:
            for piece in self._decoder.pieces(item):
                yield self._withholding(piece)

    def _withholding(self, piece: Samples) -> Samples:
        total = self._reader.samples
        joined = np.concatenate([self._held, piece], 1)
        ready = joined.shape[1] - self._hold if total is None else min(joined.shape[1], total - self._given)
        out, self._held = np.split(joined, [max(0, ready)], 1)
        self._given += out.shape[1]
        return out

    def _rest(self) -> Iterator[Samples]:
        """As `_ready`, and then what was held back, to the end that the file states."""
        yield from self._ready()
        rest = np.concatenate([self._held, self._decoder.flush()], 1)
        total = self._reader.samples
        if total is not None and not self._decoder.cut_short:
            rest = _fitted(rest, total - self._given)
        self._held, self._given = rest[:, :0], self._given + rest.shape[1]
        yield rest

    def _seek(self, first: int) -> int:
        """Go to a block before sample `first`; returns the sample that decoding then begins with."""
        rate, size = self.metadata.sample_rate, self.metadata.block_frames
        index = (first * self.metadata.frame_rate // rate - PREROLL) // size
        # A block's start must fall on a whole sample of the original rate, or all that follows would be shifted.
        while index > 0 and index * size * rate % self.metadata.frame_rate:
            index -= 1
        frames = self.metadata.frames
        if index <= 0 or frames is None or index * size >= frames:
            return 0
        frame = self._reader.seek(index * size)
        self._decoder = BlockDecoder(self._codec, self.metadata, frame)
        return frame * rate // self.metadata.frame_rate


def _window(samples: Samples, position: int, first: int, end: int | None) -> Samples:
    stop = samples.shape[1] if end is None else max(0, end - position)
    return samples[:, max(0, first - position) : stop]


def _fitted(samples: Samples, count: int) -> Samples:
    if samples.shape[1] >= count:
        return samples[:, : max(0, count)]
    return np.pad(samples, ((0, 0), (0, count - samples.shape[1])))
