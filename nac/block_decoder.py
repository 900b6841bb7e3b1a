"""Blocks of a file to samples at its sample rate, in constant memory; lost blocks are concealed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from nac.arrays import Samples
from nac.audio import Resampler
from nac.errors import WeightsError
from nac.format.blocks import Block, Damage
from nac.format.header import Metadata
from nac.models.model import NacModel
from nac.models.streaming import FrameDecoder
from nac.packaged import advice

#: Frames concealed at a time.
CONCEALED = 500
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


class BlockDecoder:
    """Blocks in, samples `[channels, n]` at the original sample rate out.

    Attributes:
        metadata: of the file.
        report: the damage that came so far.
        cut_short: whether the end of the file is missing, and too long to be made up.
    """

    def __init__(self, codec: LoadedModel, metadata: Metadata, first_frame: int = 0) -> None:
        """A decoder for the blocks of one file.

        Args:
            codec: the loaded model.
            metadata: of the file.
            first_frame: number of the first frame that will come; it must begin with a whole sample.

        Raises:
            WeightsError: the file was made with other weights.
        """
        check_weights(codec, metadata)
        config = codec.model.config
        self.metadata = metadata
        self.report = DecodeReport(metadata)
        self.cut_short = False
        self._frames = FrameDecoder(codec.model, metadata.channels, first_frame)
        self._resampler = Resampler(config.sample_rate, metadata.sample_rate, metadata.channels)
        #: Samples still to be returned, where that is known.
        self._remaining = metadata.samples
        if self._remaining is not None:
            self._remaining -= first_frame * metadata.sample_rate // metadata.frame_rate

    def push(self, item: Block | Damage) -> Samples:
        """Decode a block, or conceal its loss; return the samples that are ready."""
        return np.concatenate([np.zeros((self.metadata.channels, 0), np.float32), *self.pieces(item)], 1)

    def pieces(self, item: Block | Damage) -> Iterator[Samples]:
        """As `push`, but concealment comes in pieces too: it may be most of a long file."""
        if isinstance(item, Block):
            yield self._out(self._frames.push(item.codes))
            return
        self.report.damage.append(item)
        # A file that was cut short, or lies about its length, must not be made whole with hours of silence.
        if item.at_end and item.frames > MISSING_END * self.metadata.frame_rate:
            self.cut_short = True
            return
        for first in range(0, item.frames, CONCEALED):
            yield self._out(self._frames.conceal(min(CONCEALED, item.frames - first)))

    def flush(self) -> Samples:
        """Return the last samples, from the decoder and the sample rate conversion."""
        return np.concatenate([self._out(self._frames.flush()), self._cut(self._resampler.flush())], 1)

    def _out(self, samples: Samples) -> Samples:
        return self._cut(self._resampler.push(samples))

    def _cut(self, samples: Samples) -> Samples:
        if self._remaining is not None:
            samples = samples[:, : self._remaining]
            self._remaining -= samples.shape[1]
        return samples


def check_weights(codec: LoadedModel, metadata: Metadata) -> None:
    """Check that codes with this metadata are those of the model.

    Raises:
        WeightsError: they were made with other weights.
    """
    config = codec.model.config
    if metadata.fingerprint != codec.fingerprint:
        raise WeightsError(
            f"the file was made with other weights: model {metadata.model!r}, fingerprint "
            f"{metadata.fingerprint:08x}; these are {config.name!r}, {codec.fingerprint:08x}; "
            + advice(metadata.fingerprint)
        )
    kind = (metadata.frame_rate, metadata.bits)
    if kind != (config.frame_rate, config.bits) or metadata.codebooks > config.codebooks:
        raise WeightsError("the file's frames are not of the kind that these weights make; it is damaged or new")
