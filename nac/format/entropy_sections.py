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
import numpy.typing as npt

from nac.errors import DamagedError
from nac.format.bits import packed_bytes
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, split_codebooks

ANCHORS: dict[int, tuple[int, ...]] = {ENTROPY_WHOLE: (), ENTROPY: (6, 12, 24)}
"""For each coding the codebooks, over all channels, behind which a section ends, if there are more."""
LENGTH_BYTES = 2
BATCH = 64
"""Blocks taken together where that makes arrays with an element for every code: a bound on memory."""

Numbers = npt.NDArray[np.intp]


def joined(numbers: Sequence[Numbers]) -> Numbers:
    """All numbers, sorted."""
    return numbers[0] if len(numbers) == 1 else np.sort(np.concatenate(numbers))


class Part(NamedTuple):
    """The codebooks of one channel in the sections that are needed of a block.

    first: place of the first one in a row of those wanted of all channels; wanted: how many; read: how many are to be
    read for it, more where what is wanted of another channel follows them; bounds: where the channel's codebooks begin
    in each section, and where they end in the last; before: codebooks of other channels before them in each section.
    """

    first: int
    wanted: int
    read: int
    bounds: tuple[int, ...]
    before: tuple[int, ...]


class Share:
    """One channel's parts of some blocks.

    parts: by block; kinds: blocks with the same part, `BATCH` at most together; read: the most to be read of any.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        alike: dict[Part, list[int]] = {}
        for block, part in enumerate(parts):
            alike.setdefault(part, []).append(block)
        self.kinds: list[tuple[Part, Numbers]] = [
            (part, np.array(blocks[first : first + BATCH], np.intp))
            for part, blocks in alike.items()
            for first in range(0, len(blocks), BATCH)
        ]
        self.read = max((part.read for part in alike), default=0)

    def groups(self, codebook: int) -> list[tuple[int, Numbers]]:
        """The sections that hold a codebook of the channel, each with the blocks where it does, if it is to be read."""
        found: dict[int, list[Numbers]] = {}
        for part, blocks in self.kinds:
            if codebook < part.read:
                found.setdefault(bisect_right(part.bounds, codebook) - 1, []).append(blocks)
        return [(section, joined(blocks)) for section, blocks in found.items()]


class Sections:
    """How payloads of so many codebooks, over all channels, are cut.

    >>> sections = Sections(ENTROPY, 18, 2, 10)
    >>> sections.ends
    (6, 12, 18)
    >>> sections.columns(4)  # the split is 11 and 7; at 12 codebooks 8 and 4, at 6 it is 5 and 1
    [[0, 1, 2, 3, 4, 11], [5, 6, 7, 12, 13, 14], [8, 9, 10, 15, 16, 17]]
    """

    def __init__(self, coding: int, codebooks: int, channels: int, bits: int) -> None:
        self.coding = coding
        self.channels = channels
        self.bits = bits
        #: Codebooks, over all channels, up to the end of each section.
        self.ends = (*(anchor for anchor in ANCHORS[coding] if anchor < codebooks), codebooks)
        self._head = LENGTH_BYTES * (len(self.ends) - 1)

    def of_first(self, codebooks: int) -> Sections:
        """Those of payloads with the first codebooks alone."""
        return self if codebooks == self.ends[-1] else Sections(self.coding, codebooks, self.channels, self.bits)

    def needed(self, codebooks: int) -> int:
        """How many sections hold so many first codebooks."""
        return bisect_left(self.ends, codebooks) + 1

    def packed_sizes(self, frames: int) -> tuple[int, ...]:
        """Bytes of each section with packed codes, of a block with so many frames."""
        return _packed_sizes(self.ends, frames, self.bits)

    def columns(self, lag: int) -> list[list[int]]:
        """The codebooks of each section, as places in a row of all: mid, then side."""
        return _columns(self.ends, self.channels, lag)

    def shares(self, lags: Sequence[int], codebooks: int) -> list[Share]:
        """Each channel's share in the first codebooks of blocks with these lags."""
        ends = self.ends[: self.needed(codebooks)]
        rows = [_block_parts(ends, codebooks, self.channels, lag) for lag in lags]
        return [Share([row[channel] for row in rows]) for channel in range(self.channels)]

    def cut(self, payload: bytes, frames: int, count: int) -> list[bytes]:
        """The first sections of a payload. Raises DamagedError when it cannot be cut into as many as it must have."""
        found, place = [], self._head
        for length in self._lengths(payload, frames)[:count]:
            found.append(payload[place : place + length])
            place += length
        return found

    def first(self, payload: bytes, frames: int, codebooks: int) -> bytes:
        """The payload of the first codebooks, which must be those of whole sections. Raises DamagedError as `cut`."""
        count = self.needed(codebooks)
        end = self._head + sum(self._lengths(payload, frames)[:count])
        return payload[: LENGTH_BYTES * (count - 1)] + payload[self._head : end]

    def join(self, sections: Sequence[bytes]) -> bytes:
        """A payload of all its sections."""
        lengths = [len(section).to_bytes(LENGTH_BYTES, "big") for section in sections[:-1]]
        return b"".join([*lengths, *sections])

    def _lengths(self, payload: bytes, frames: int) -> list[int]:
        if len(payload) < self._head:
            raise DamagedError("the payload has no room for the lengths of its sections")
        lengths = [int.from_bytes(payload[at : at + LENGTH_BYTES], "big") for at in range(0, self._head, LENGTH_BYTES)]
        lengths.append(len(payload) - self._head - sum(lengths))
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
def _block_parts(ends: tuple[int, ...], codebooks: int, channels: int, lag: int) -> list[Part]:
    """The part of each channel."""
    wanted, bounds = split_codebooks(codebooks, channels, lag), _bounds(ends, channels, lag)
    parts: list[Part] = []
    before = (0,) * len(ends)
    for channel, (count, own) in enumerate(zip(wanted, bounds, strict=True)):
        later = zip(wanted[channel + 1 :], bounds[channel + 1 :], strict=True)
        follows = any(more > limits[-2] for more, limits in later)
        parts.append(Part(sum(wanted[:channel]), count, own[-1] if follows else count, own, before))
        before = tuple(more + end - start for more, start, end in zip(before, own, own[1:], strict=False))
    return parts
