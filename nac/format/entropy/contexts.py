"""The contexts of the entropy coding: what is known of a code before it is decoded.

The codes of a block are coded codebook by codebook, each through all frames of the block. So a code of codebook k in
frame t may depend on codebooks before k in any frame of the block, and on codebook k in the frames before t; on
nothing outside the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

MAX_CONTEXTS = 8
"""Most contexts of a codebook."""
SCALE_CODEBOOKS = 8
"""Codebooks just before the one coded, whose symbols tell how large the residual is."""
SCALE_BITS = 4
SCALE_ROWS = 32

Symbols = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbour:
    """The symbol of one other code: of `codebook`, `frames` later.

    Its upper bits select a row; the last row is for frames outside the block.
    """

    codebook: int
    frames: int

    def fits(self, rows: int, bits: int) -> bool:
        """Whether a table may have so many rows: a power of two, up to the number of codes, and one more."""
        return 1 <= rows - 1 <= 1 << bits and not (rows - 1) & (rows - 2)

    def rows(self, symbols: Symbols, rows: int, bits: int) -> Symbols:
        """The row for every frame.

        Args:
            symbols: `[codebooks, blocks, frames]`.
            rows: of the context's table.
            bits: of a code.

        Returns:
            `[blocks, frames]`.
        """
        source: Symbols = symbols[self.codebook] >> (bits + 1 - (rows - 1).bit_length())
        if not self.frames:
            return source
        out = np.full(source.shape, rows - 1, np.int64)
        if self.frames > 0:
            out[:, : -self.frames] = source[:, self.frames :]
        else:
            out[:, -self.frames :] = source[:, : self.frames]
        return out


@dataclass(frozen=True)
class Scale:
    """How large the codes of some codebooks are, in frames at the distances `frames`.

    This is the sum of the upper 4 bits of their symbols. Where there is no such frame, the nearest one of the block
    counts.
    """

    codebooks: tuple[int, ...]
    frames: tuple[int, ...]

    def fits(self, rows: int, bits: int) -> bool:
        """Whether a table may have so many rows."""
        return rows == SCALE_ROWS

    def rows(self, symbols: Symbols, rows: int, bits: int) -> Symbols:
        """As `Neighbour.rows`."""
        sizes = (symbols[self.codebooks[0] : self.codebooks[-1] + 1] >> (bits - SCALE_BITS)).sum(0)
        total = np.zeros_like(sizes)
        for distance in self.frames:
            total += _shifted(sizes, distance)
        most = ((1 << SCALE_BITS) - 1) * len(self.codebooks) * len(self.frames)
        out: Symbols = total * rows // (most + 1)
        return out


def _shifted(values: Symbols, distance: int) -> Symbols:
    """Of `values` `[blocks, frames]`, those `distance` frames later, or the nearest there are."""
    if distance == 0:
        return values
    out = np.empty_like(values)
    if distance > 0:
        out[:, :-distance] = values[:, distance:]
        out[:, -distance:] = values[:, -1:]
    else:
        out[:, -distance:] = values[:, :distance]
        out[:, :-distance] = values[:, :1]
    return out


Context = Neighbour | Scale


@lru_cache(maxsize=256)
def contexts_of(codebook: int) -> tuple[Context, ...]:
    """The contexts of a codebook, in the order of its tables."""
    if codebook == 0:
        return (Neighbour(0, -1), Neighbour(0, -1), Neighbour(0, -2), Neighbour(0, -3))
    found: list[Context] = [Neighbour(0, 0), Neighbour(0, -1), Neighbour(0, 1), Neighbour(codebook, -1)]
    if codebook > 1:
        before = tuple(range(max(1, codebook - SCALE_CODEBOOKS), codebook))
        found += [Neighbour(1, 0), Scale(before, (0,)), Scale(before, (-1, 1))]
    if codebook > 2:
        found.append(Neighbour(codebook - 1, 0))
    return tuple(found)


def own_distance(codebook: int, context: Context) -> int:
    """By how many frames a context looks back at the codebook itself.

    It is 0 for a context of other codebooks, whose rows are known before any code of this codebook is.
    """
    own = isinstance(context, Neighbour) and context.codebook == codebook
    return -context.frames if own and isinstance(context, Neighbour) else 0
