"""CRC-32 run backwards: solve for the number of a block, which its checksum covers but the file does not store.

Own code, because CRC libraries compute checksums and do not solve for a part of the input.

Trying numbers would be hopeless; but CRC-32 is linear. Write S(s, n) for the register s after n zero bytes. With P[k]
the register after the first k bytes of some data (beginning with zero), a window of n bytes at k that was entered with
register x leaves it as S(x ^ P[k], n) ^ P[k + n]. That is known (the stored checksum), and S can be undone: hence x,
which the number alone decides. One pass makes all P; each window then costs a few table look-ups, whatever its size.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.format.layout import CRC_BYTES

U32 = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
ALL_ONES = np.uint32(0xFFFFFFFF)


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
