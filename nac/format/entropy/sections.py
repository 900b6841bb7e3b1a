"""Sections of entropy coded payloads: which codebooks each one holds, and where its bytes are.

A section ends where a lower bit rate does, so a file can be reduced to that rate by copying bytes. No tables are
needed for what is here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nac.arrays import Indices
from nac.errors import DamagedError
from nac.format.bits import packed_bytes
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, split_codebooks

SECTION_ENDS: dict[int, tuple[int, ...]] = {ENTROPY_WHOLE: (), ENTROPY: (6, 12, 24)}
"""For each coding the numbers of codebooks, over all channels, after which a section ends if there are more."""
LENGTH_BYTES = 2
BATCH = 64
"""Blocks processed together where that takes arrays with an element for every code: a bound on memory."""


def merged(indices: Sequence[Indices]) -> Indices:
    """All indices, sorted."""
    return indices[0] if len(indices) == 1 else np.sort(np.concatenate(indices))


class BlockSlice(NamedTuple):
    """The codebooks of one channel of a block in the sections that are needed.

    Attributes:
        first: column of the first wanted one among the wanted codebooks of all channels.
        n_wanted: how many are wanted.
        n_decoded: how many must be decoded; more where wanted codebooks of another channel follow them.
        bounds: where the channel's codebooks begin in each section, and where they end in the last.
        before: codebooks of other channels before them in each section.
    """

    first: int
    n_wanted: int
    n_decoded: int
    bounds: tuple[int, ...]
    before: tuple[int, ...]


class ChannelSlice:
    """One channel's codebooks in some blocks.

    Attributes:
        parts: of each block.
        groups: blocks with equal parts, at most `BATCH` in a group.
        n_decoded: the most codebooks to be decoded of any block.
    """

    def __init__(self, parts: Sequence[BlockSlice]) -> None:
        """Group blocks by their parts."""
        self.parts = parts
        equal: dict[BlockSlice, list[int]] = {}
        for block, part in enumerate(parts):
            equal.setdefault(part, []).append(block)
        self.groups: list[tuple[BlockSlice, Indices]] = [
            (part, np.array(blocks[first : first + BATCH], np.intp))
            for part, blocks in equal.items()
            for first in range(0, len(blocks), BATCH)
        ]
        self.n_decoded = max((part.n_decoded for part in equal), default=0)

    def sections_with(self, codebook: int) -> list[tuple[int, Indices]]:
        """The sections that hold a codebook to be decoded, each with the blocks of which it does."""
        found: dict[int, list[Indices]] = {}
        for part, blocks in self.groups:
            if codebook < part.n_decoded:
                found.setdefault(bisect_right(part.bounds, codebook) - 1, []).append(blocks)
        return [(section, merged(blocks)) for section, blocks in found.items()]


class Sections:
    """How payloads are split into sections.

    Attributes:
        ends: codebooks, over all channels, up to the end of each section.

    >>> sections = Sections(ENTROPY, 18, 2, 10)
    >>> sections.ends
    (6, 12, 18)
    >>> sections.columns(4)  # the split is 11 and 7; at 12 codebooks 8 and 4, at 6 it is 5 and 1
    [[0, 1, 2, 3, 4, 11], [5, 6, 7, 12, 13, 14], [8, 9, 10, 15, 16, 17]]
    """

    def __init__(self, coding: int, codebooks: int, channels: int, bits: int) -> None:
        """Args: `coding` of the payload, `codebooks` over all `channels` (1 or 2), and `bits` of a code."""
        self.coding = coding
        self.channels = channels
        self.bits = bits
        self.ends = (*(end for end in SECTION_ENDS[coding] if end < codebooks), codebooks)
        self._head_bytes = LENGTH_BYTES * (len(self.ends) - 1)

    def of_first(self, codebooks: int) -> Sections:
        """The sections of payloads with only the first codebooks."""
        return self if codebooks == self.ends[-1] else Sections(self.coding, codebooks, self.channels, self.bits)

    def needed(self, codebooks: int) -> int:
        """How many sections hold the first `codebooks`."""
        return bisect_left(self.ends, codebooks) + 1

    def packed_sizes(self, frames: int) -> tuple[int, ...]:
        """Bytes of each section with packed codes, of a block of `frames` frames."""
        return _packed_sizes(self.ends, frames, self.bits)

    def columns(self, lag: int) -> list[list[int]]:
        """The codebooks of each section, as columns of a table of all: mid, then side."""
        return _columns(self.ends, self.channels, lag)

    def channel_slices(self, lags: Sequence[int], codebooks: int) -> list[ChannelSlice]:
        """Each channel's slice of the first codebooks, of blocks with these side lags."""
        ends = self.ends[: self.needed(codebooks)]
        rows = [_block_slices(ends, codebooks, self.channels, lag) for lag in lags]
        return [ChannelSlice([row[channel] for row in rows]) for channel in range(self.channels)]

    def split(self, payload: bytes, frames: int, count: int) -> list[bytes]:
        """The first `count` sections of a payload.

        Raises:
            DamagedError: the lengths that it states are impossible.
        """
        found, position = [], self._head_bytes
        for length in self._lengths(payload, frames)[:count]:
            found.append(payload[position : position + length])
            position += length
        return found

    def first(self, payload: bytes, frames: int, codebooks: int) -> bytes:
        """The payload of the first codebooks, which must be those of whole sections.

        Raises:
            DamagedError: as `split`.
        """
        count = self.needed(codebooks)
        end = self._head_bytes + sum(self._lengths(payload, frames)[:count])
        return payload[: LENGTH_BYTES * (count - 1)] + payload[self._head_bytes : end]

    def join(self, sections: Sequence[bytes]) -> bytes:
        """Join all sections to a payload."""
        lengths = [len(section).to_bytes(LENGTH_BYTES, "big") for section in sections[:-1]]
        return b"".join([*lengths, *sections])

    def _lengths(self, payload: bytes, frames: int) -> list[int]:
        head = self._head_bytes
        if len(payload) < head:
            raise DamagedError("the payload is too short for the lengths of its sections")
        lengths = [int.from_bytes(payload[at : at + LENGTH_BYTES], "big") for at in range(0, head, LENGTH_BYTES)]
        lengths.append(len(payload) - head - sum(lengths))
        if lengths[-1] < 0:
            raise DamagedError("the sections of the payload are longer than it is")
        for length, most in zip(lengths, self.packed_sizes(frames), strict=True):
            if length > most:
                raise DamagedError("the payload is longer than packed codes")
        return lengths


@lru_cache(maxsize=64)
def _packed_sizes(ends: tuple[int, ...], frames: int, bits: int) -> tuple[int, ...]:
    return tuple(packed_bytes(frames * (end - start), bits) for start, end in zip((0, *ends), ends, strict=False))


@lru_cache(maxsize=1024)
def _bounds(ends: tuple[int, ...], channels: int, lag: int) -> list[tuple[int, ...]]:
    """For each channel where its codebooks begin and end in each section."""
    splits = [(0,) * channels, *(split_codebooks(end, channels, lag) for end in ends)]
    return list(zip(*splits, strict=True))


@lru_cache(maxsize=1024)
def _columns(ends: tuple[int, ...], channels: int, lag: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in ends]
    first = 0
    for bounds in _bounds(ends, channels, lag):
        for section, columns in enumerate(found):
            columns += range(first + bounds[section], first + bounds[section + 1])
        first += bounds[-1]
    return found


@lru_cache(maxsize=1024)
def _block_slices(ends: tuple[int, ...], codebooks: int, channels: int, lag: int) -> list[BlockSlice]:
    """The slice of each channel."""
    wanted, bounds = split_codebooks(codebooks, channels, lag), _bounds(ends, channels, lag)
    parts: list[BlockSlice] = []
    before = (0,) * len(ends)
    for channel, (count, own) in enumerate(zip(wanted, bounds, strict=True)):
        later = zip(wanted[channel + 1 :], bounds[channel + 1 :], strict=True)
        follows = any(more > limits[-2] for more, limits in later)
        parts.append(BlockSlice(sum(wanted[:channel]), count, own[-1] if follows else count, own, before))
        before = tuple(more + end - start for more, start, end in zip(before, own, own[1:], strict=False))
    return parts
