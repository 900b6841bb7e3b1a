"""Find the next intact block in damaged bytes, in time linear in their number.

A block may begin at any byte, and its checksum covers its number, which is not stored. Trying numbers would be
hopeless; but CRC-32 is linear, so the number can be solved for. Write S(s, n) for the register s after n zero bytes.
With P[k] the register after the first k bytes of the searched piece (beginning with zero), a window of n bytes at k
that was entered with register x leaves it as S(x ^ P[k], n) ^ P[k + n]. That is known (the stored checksum), and S can
be run backwards: hence x, which the block's number alone decides. One pass makes all P; each candidate then costs a
few table look-ups, whatever the size of a block. A number that is plausible at its place is the proof of a block.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.format.header import frame_count
from nac.format.layout import CRC_BYTES, END_BYTES, MAX_SHARE, Layout
from nac.format.window import Window

FIRST_SPAN = 1 << 13
LONGEST_SPAN = 1 << 17
NEAR = 16
"""A lone block is believed if it is at most this many blocks ahead; farther ones only by a second witness."""

U32 = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
ALL_ONES = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True)
class Found:
    """An intact block, or the end block (then with its number of samples), at the window's position."""

    index: int
    samples: int | None = None


def _crc_table() -> U32:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0xEDB88320), table >> 1).astype(np.uint32)
    return table


TABLE = _crc_table()
# The top byte of an entry names the entry: what running the register backwards needs.
ENTRY_OF_TOP = np.argsort(TABLE >> 24).astype(np.uint32)


def _apply(tables: U32, x: U32) -> U32:
    """A linear map of 32 bits, given as four tables `[4, 256]`, one for each byte of its argument."""
    result: U32 = tables[0][x & 255] ^ tables[1][x >> 8 & 255] ^ tables[2][x >> 16 & 255] ^ tables[3][x >> 24]
    return result


@lru_cache(maxsize=64)
def _back(zeros: int) -> U32:
    """Tables `[4, 256]` of the map that takes back this many zero bytes."""
    x: U32 = np.arange(256, dtype=np.uint32)[None] << (8 * np.arange(4, dtype=np.uint32))[:, None]
    if zeros > 1:
        half = _apply(_back(zeros // 2), _back(zeros // 2))
        return _apply(_back(1), half) if zeros % 2 else half
    entry = ENTRY_OF_TOP[x >> 24]
    return (x ^ TABLE[entry]) << 8 | entry if zeros else x


def take_back(x: U32, zeros: Positions) -> U32:
    """The registers `[count]` as they were before `zeros` `[count]` zero bytes."""
    longest = int(zeros.max(initial=0))
    if (zeros == longest).all():
        return _apply(_back(longest), x)
    for power in range(longest.bit_length()):
        bit = zeros >> power & 1
        if bit.any():
            x = np.where(bit, _apply(_back(1 << power), x), x)
    return x


def registers(data: npt.NDArray[np.uint8]) -> U32:
    """The CRC-32 register `[bytes + 1]` after each number of bytes, starting from zero.

    The bytes are cut into lanes. zlib gives the register at the start of each lane; then all lanes advance together.
    """
    steps = max(1, int(np.sqrt(len(data))))
    lanes = len(data) // steps + 1
    padded = np.zeros(lanes * steps, np.uint8)
    padded[: len(data)] = data
    register = np.zeros(lanes, np.uint32)
    for lane in range(1, lanes):
        piece = padded[(lane - 1) * steps : lane * steps].data
        register[lane] = zlib.crc32(piece, int(register[lane - 1]) ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    columns = np.ascontiguousarray(padded.reshape(lanes, steps).T)
    states = np.empty((steps, lanes), np.uint32)
    for step in range(steps):
        states[step] = register
        register = TABLE[(register ^ columns[step]) & 255] ^ (register >> 8)
    return np.ascontiguousarray(states.T).reshape(-1)[: len(data) + 1]


def block_numbers(data: npt.NDArray[np.uint8], states: U32, positions: Positions, sizes: Positions) -> Positions:
    """The number that each candidate, a block of `sizes` bytes at `positions`, must have for its checksum to match."""
    ends = positions + sizes
    stored = np.zeros(len(positions), np.uint32)
    for byte in range(CRC_BYTES):
        stored = stored << 8 | data[ends - CRC_BYTES + byte]
    covered = sizes - CRC_BYTES
    entered = take_back(~stored ^ states[positions + covered], covered) ^ states[positions]
    number = _apply(_back(4), entered) ^ ALL_ONES  # four bytes back; little-endian
    numbers: Positions = number.byteswap().astype(np.int64)
    return numbers


def find_block(window: Window, layout: Layout, index: int) -> Found | None:
    """Move the window to the next intact block numbered `index` or higher, or to the end block.

    Returns None, with the window at the end of the stream, when there is none.
    """
    search = _Search(window, layout, index)
    span = max(FIRST_SPAN, 4 * layout.max_bytes)
    while True:
        # Candidates begin within the span; what lies beyond lets the last of them be seen with their followers.
        ahead = window.fill(span + 2 * layout.max_bytes)
        at_end = ahead < span + 2 * layout.max_bytes
        hit = search.first(ahead if at_end else span, ahead, at_end)
        if hit is not None:
            window.skip(hit[0])
            return hit[1]
        # A short last block is recognised from the end block after it: keep it in sight.
        window.skip(ahead if at_end else span - layout.max_bytes)
        if at_end:
            return None
        span = max(span, min(2 * span, LONGEST_SPAN))


class _Search:
    """What is being searched for, and the candidates of one piece."""

    def __init__(self, window: Window, layout: Layout, index: int) -> None:
        self.window = window
        self.layout = layout
        self.index = index
        self.origin = window.position

    def first(self, limit: int, ahead: int, at_end: bool) -> tuple[int, Found] | None:
        """The first block to be believed that begins within `limit` bytes, and its offset."""
        data = np.frombuffer(self.window.bytes(0, ahead), np.uint8)
        states = registers(data)
        number_at = np.full(ahead + 1, -1, np.int64)
        candidates = self._blocks(data, states, number_at)
        ends = self._ends(data, states, number_at)
        hits = [(int(at), Found(int(number_at[at]))) for at in self._believed(*candidates, number_at, at_end)[:1]]
        hits += [self._before_end(data, states, *end) for end in ends[:1]]
        hits = [hit for hit in hits if hit[0] < limit]
        return min(hits, key=lambda hit: hit[0], default=None)

    def _blocks(self, data: npt.NDArray[np.uint8], states: U32, number_at: Positions) -> tuple[Positions, Positions]:
        """Positions and sizes of all blocks with a number that can be; `number_at` takes the numbers."""
        layout = self.layout
        if layout.blocks is None:
            wanted = [(layout.block_frames, self.index, (1 << 32) - 1)]
        else:
            wanted = [
                (layout.block_frames, self.index, layout.blocks - 2),
                (layout.last_frames, max(self.index, layout.blocks - 1), layout.blocks - 1),
            ]
        found = []
        for frames, low, high in wanted:
            at = np.flatnonzero(data[: max(0, len(data) - layout.head_bytes)] == frames)
            if layout.stereo:
                at = at[data[at + 1] <= MAX_SHARE]
            if layout.fixed:
                sizes = np.full(len(at), layout.block_bytes(frames))
            else:
                length = at + layout.head_bytes - 2
                sizes = (data[length].astype(np.int64) << 8 | data[length + 1]) + layout.head_bytes + CRC_BYTES
            inside = at + sizes <= len(data)
            at, sizes = at[inside], sizes[inside]
            numbers = block_numbers(data, states, at, sizes)
            right = (numbers >= low) & (numbers <= high)
            number_at[at[right]] = numbers[right]
            found.append((at[right], sizes[right]))
        return np.concatenate([at for at, _ in found]), np.concatenate([sizes for _, sizes in found])

    def _ends(self, data: npt.NDArray[np.uint8], states: U32, number_at: Positions) -> list[tuple[int, int, int]]:
        """(position, number, samples) of the end blocks whose samples need as many blocks as their number says."""
        if self.layout.blocks is not None:
            return []
        at = np.flatnonzero(data[: max(0, len(data) - END_BYTES + 1)] == 0)
        numbers = block_numbers(data, states, at, np.full(len(at), END_BYTES))
        right = numbers >= self.index
        number_at[at[right]] = numbers[right]
        samples = np.zeros(int(right.sum()), np.int64)
        for byte in range(1, 6):
            samples = samples << 8 | data[at[right] + byte]
        # Blocks that the samples need, first roughly and for all (exact numbers may not fit 64 bits) ...
        meta = self.layout.meta
        blocks = samples * (meta.frame_rate / meta.sample_rate / meta.block_frames)
        close = np.abs(blocks - numbers[right]) < 2 + 1e-6 * blocks
        columns = (at[right][close].tolist(), numbers[right][close].tolist(), samples[close].tolist())
        # ... then exactly for the few that are close.
        ends = zip(*columns, strict=True)
        return [end for end in ends if -(-self._frames(end[2]) // meta.block_frames) == end[1]]

    def _frames(self, samples: int) -> int:
        return frame_count(samples, self.layout.meta.sample_rate, self.layout.meta.frame_rate)

    def _believed(self, at: Positions, sizes: Positions, number_at: Positions, at_end: bool) -> Positions:
        """Sorted positions of the candidates that chance does not explain."""
        numbers = number_at[at]
        believed = (numbers - self.index <= NEAR) | (number_at[at + sizes] == numbers + 1)
        if self.layout.fixed:  # exactly where it would be had nothing been lost or inserted
            offset = self.window.position - self.origin
            believed |= at + offset == (numbers - self.index) * self.layout.full_bytes
        if at_end and self.layout.blocks is not None:
            believed |= (numbers == self.layout.blocks - 1) & (at + sizes == len(number_at) - 1)
        return np.sort(at[believed])

    def _before_end(
        self, data: npt.NDArray[np.uint8], states: U32, at: int, number: int, samples: int
    ) -> tuple[int, Found]:
        """The short last block before an end block, if it is intact, else the end block."""
        layout = self.layout
        last = self._frames(samples) - (number - 1) * layout.block_frames
        size = layout.block_bytes(last) if layout.fixed and 0 < last < layout.block_frames else 0
        if size and number > self.index and at >= size and data[at - size] == last:
            here, length = np.array([at - size]), np.array([size])
            if block_numbers(data, states, here, length)[0] == number - 1:
                return at - size, Found(number - 1)
        return at, Found(number, samples)
