"""Find the next intact block in damaged bytes, in time linear in their number.

A block may begin at any byte. It is recognised by the number for which its checksum is right (see `crc`): one that is
plausible at its place.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nac.format.crc import Positions, block_numbers, registers
from nac.format.header import frame_count
from nac.format.layout import CRC_BYTES, END_BYTES, MAX_BLOCKS, Layout
from nac.format.window import Window

FIRST_SPAN = 1 << 10
LONGEST_SPAN = 1 << 17
FEW = 64
NEAR = 16
"""A single block is accepted if it is at most this many blocks ahead; farther ones only with the block after it."""
FAR = 1 << 16
"""Where the length is unknown, no block farther ahead is accepted at all. Two blocks with the same damage at the same
place confirm each other wrongly: their numbers seem to be consecutive, but are arbitrary."""


@dataclass(frozen=True)
class Found:
    """An intact block, or the end block (then with its number of samples), at the window's position."""

    index: int
    samples: int | None = None


class Finder:
    """Searches a window, a piece at a time. What a piece holds is remembered, as damage seldom comes alone."""

    def __init__(self, window: Window, layout: Layout) -> None:
        """Search `window`, the rest of a file with this layout."""
        self._window = window
        self._layout = layout
        self._piece: _Piece | None = None
        self._span = self._first_span = max(FIRST_SPAN, 2 * layout.max_bytes)

    def find(self, index: int, origin: int) -> Found | None:
        """Move the window to the next intact block numbered `index` or higher, or to the end block.

        Where bytes have to be fed first, it raises MoreNeeded, and goes on from there when called again.

        Args:
            index: the lowest number that can come.
            origin: the position where that block should have been.

        Returns:
            The block; None, with the window at the end of the stream, if there is none.
        """
        found = self._find(index, origin)
        self._span = self._first_span
        return found

    def _find(self, index: int, origin: int) -> Found | None:
        window, longest = self._window, self._layout.max_bytes
        while True:
            piece, span = self._piece, self._span
            if piece is None or not piece.start <= window.position < piece.limit:
                # Candidates begin within the span; what lies beyond shows the blocks after the last of them.
                ahead = window.fill(span + 2 * longest)
                at_end = ahead < span + 2 * longest
                data = window.bytes(0, ahead)
                piece = _Piece(self._layout, data, window.position, ahead if at_end else span, at_end, index)
                self._span = min(2 * span, max(LONGEST_SPAN, 4 * longest))
            self._piece = piece
            hit = piece.first(window.position, index, origin)
            if hit is not None:
                window.skip(hit[0] - window.position)
                return hit[1]
            # A short last block is recognised from the end block after it: keep it in sight.
            passed = piece.limit - window.position - (0 if piece.at_end else longest)
            window.skip(max(0, passed))
            self._piece = None
            if piece.at_end:
                return None


class _Piece:
    """The candidates in a piece of the stream: all positions where a block with a possible number may begin."""

    def __init__(self, layout: Layout, data: bytes, start: int, span: int, at_end: bool, index: int) -> None:
        self.start = start
        self.limit = start + span
        self.at_end = at_end
        self._layout = layout
        self._data = np.frombuffer(data, np.uint8)
        self._registers = registers(self._data)
        self._number_at = np.full(len(data) + 1, -1, np.int64)
        self._at, self._sizes = self._find_blocks(index)
        self._ends = self._find_ends(index) if layout.blocks is None else []

    def first(self, position: int, index: int, origin: int) -> tuple[int, Found] | None:
        """The first block that is accepted from `position` on, and its position.

        index: the lowest number that can come; origin: where the block with that number should have been.
        """
        ends = (end for end in self._ends if end[0] >= position - self.start and end[1] >= index)
        hits = [self._before_end(end, position, index) for end in itertools.islice(ends, 1)]
        low = int(np.searchsorted(self._at, position - self.start))
        few = FEW
        while low < len(self._at):
            at, sizes = self._at[low : low + few], self._sizes[low : low + few]
            accepted = at[self._accepted(at, sizes, index, origin - self.start)]
            if len(accepted):
                hits.append((int(accepted[0]), Found(int(self._number_at[accepted[0]]))))
                break
            low += few
            few *= 2
        hits = [(at + self.start, found) for at, found in hits if at + self.start < self.limit]
        return min(hits, key=lambda hit: hit[0], default=None)

    def _accepted(self, at: Positions, sizes: Positions, index: int, origin: int) -> npt.NDArray[np.bool_]:
        """Which candidates are not explained by chance."""
        numbers = self._number_at[at]
        accepted: npt.NDArray[np.bool_] = (numbers - index <= NEAR) | (self._number_at[at + sizes] == numbers + 1)
        if self._layout.fixed:  # exactly where it would be had nothing been lost or inserted
            accepted |= at - origin == (numbers - index) * self._layout.full_bytes
        if self.at_end and self._layout.blocks is not None:
            accepted |= (numbers == self._layout.blocks - 1) & (at + sizes == len(self._data))
        return accepted & (numbers >= index)

    def _find_blocks(self, index: int) -> tuple[Positions, Positions]:
        """Sorted positions, and sizes, of all blocks with a number that can be; fills in their numbers."""
        layout, data = self._layout, self._data
        if layout.blocks is None:
            wanted = [(layout.block_frames, index, min(index + FAR, MAX_BLOCKS - 1))]
        else:
            wanted = [
                (layout.block_frames, index, layout.blocks - 2),
                (layout.last_frames, max(index, layout.blocks - 1), layout.blocks - 1),
            ]
        found = []
        for frames, low, high in wanted:
            at = np.flatnonzero(data[: max(0, len(data) - layout.head_bytes)] == frames)
            if layout.fixed:
                sizes = np.full(len(at), layout.block_bytes(frames))
            else:
                length = at + layout.head_bytes - 2
                sizes = (data[length].astype(np.int64) << 8 | data[length + 1]) + layout.head_bytes + CRC_BYTES
            inside = at + sizes <= len(data)
            at, sizes = at[inside], sizes[inside]
            numbers = block_numbers(data, self._registers, at, sizes)
            right = (numbers >= low) & (numbers <= high)
            self._number_at[at[right]] = numbers[right]
            found.append((at[right], sizes[right]))
        places = np.concatenate([at for at, _ in found])
        order = np.argsort(places)
        return places[order], np.concatenate([sizes for _, sizes in found])[order]

    def _find_ends(self, index: int) -> list[tuple[int, int, int]]:
        """(position, number, samples) of the end blocks whose samples need as many blocks as their number states."""
        data, meta = self._data, self._layout.meta
        at = np.flatnonzero(data[: max(0, len(data) - END_BYTES + 1)] == 0)
        numbers = block_numbers(data, self._registers, at, np.full(len(at), END_BYTES))
        at, numbers = at[numbers >= index], numbers[numbers >= index]
        self._number_at[at] = numbers
        samples = np.zeros(len(at), np.int64)
        for byte in range(1, 6):
            samples = samples << 8 | data[at + byte]
        # Blocks that the samples need, first roughly and for all (exact numbers may not fit 64 bits) ...
        blocks = samples * (meta.frame_rate / meta.sample_rate / meta.block_frames)
        close = np.abs(blocks - numbers) < 2 + 1e-6 * blocks
        # ... then exactly for the few that are close.
        ends = zip(at[close].tolist(), numbers[close].tolist(), samples[close].tolist(), strict=True)
        return [end for end in ends if -(-self._frames(end[2]) // meta.block_frames) == end[1]]

    def _frames(self, samples: int) -> int:
        return frame_count(samples, self._layout.meta.sample_rate, self._layout.meta.frame_rate)

    def _before_end(self, end: tuple[int, int, int], position: int, index: int) -> tuple[int, Found]:
        """The short last block before an end block, if it is intact, else the end block."""
        at, number, samples = end
        layout = self._layout
        last = self._frames(samples) - (number - 1) * layout.block_frames
        size = layout.block_bytes(last) if layout.fixed and 0 < last < layout.block_frames else 0
        if size and number > index and at - size >= position - self.start and self._data[at - size] == last:
            where, length = np.array([at - size]), np.array([size])
            if block_numbers(self._data, self._registers, where, length)[0] == number - 1:
                return at - size, Found(number - 1)
        return at, Found(number, samples)
