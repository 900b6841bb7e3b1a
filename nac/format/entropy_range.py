"""The coder of binary decisions: a range coder (Martin 1979) with 32 bits and whole bytes.

A probability is a number from 1 to 16383, in 16384ths, that the decision is 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from nac.errors import DamagedError

PROBABILITY_BITS = 14
FULL = (1 << 32) - 1
LOW = 1 << 24
"""A range below this takes a byte in or out."""
HEAD = 4
"""Bytes that the decoder has in hand."""


def encode_decisions(decisions: Sequence[int]) -> bytes:
    """Bytes for decisions, each given as twice its probability of 1, plus the decision itself (0 or 1).

    >>> encode_decisions([2 * 12288 + 1] * 20 + [2 * 12288]).hex()
    '009c'
    """
    out = bytearray()
    start, size = 0, FULL
    for taken in decisions:
        one = (size >> 14) * (taken >> 1)
        if taken & 1:
            size = one
        else:
            start += one
            size -= one
        while size < LOW:
            if start > FULL:
                start -= FULL + 1
                _carry(out)
            out.append(start >> 24)
            start = (start & 0xFFFFFF) << 8
            size <<= 8
    # The shortest end: the one value of the range whose lower bytes are zero.
    start += LOW - 1
    if start > FULL:
        start -= FULL + 1
        _carry(out)
    out.append(start >> 24)
    # Zero bytes at the end go without saying.
    return bytes(out).rstrip(b"\0")


def _carry(out: bytearray) -> None:
    place = len(out) - 1
    while out[place] == 0xFF:
        out[place] = 0
        place -= 1
    out[place] += 1


def first_value(data: bytes) -> int:
    """What the decoder begins with. Raises DamagedError for bytes that no encoder makes."""
    if data and not data[-1]:
        raise DamagedError("the payload ends with a zero byte, which no writer leaves")
    value = int.from_bytes(data[:HEAD].ljust(HEAD, b"\0"), "big")
    if value >= FULL:
        raise DamagedError("the payload is no entropy coded one")
    return value


def taken_bytes(data: bytes, place: int, value: int) -> bytes:
    """The bytes of the decisions that a decoder has taken which stands at byte `place` of `data`, with `value`."""
    # The lower end of the range, as one long number, is what the bytes say less what they are beyond it.
    start = int.from_bytes(data[:place].ljust(place, b"\0"), "big") - value
    return ((start + LOW - 1) >> 24).to_bytes(place - HEAD + 1, "big").rstrip(b"\0")


def check_end(data: bytes, place: int) -> None:
    """Raises DamagedError if bytes are left over by a decoder that stands at byte `place` after the last decision."""
    if len(data) > place - HEAD + 1:
        raise DamagedError("the payload is longer than its codes")


class Decoder:
    """Takes decisions out of what `encode_decisions` made. Raises DamagedError when it cannot be that.

    probability: of a 1, for each sum of scores, at `[sum]` (negative ones from the end).
    """

    def __init__(self, data: bytes, probability: Sequence[int]) -> None:
        self._value = first_value(data)
        self._data = data
        self._size = FULL
        self._next = HEAD
        self._probability = probability

    def paths(
        self, scores: memoryview | Sequence[int], frames: int, bits: int, more: Sequence[Sequence[int]], shift: int
    ) -> list[int]:
        """Walk down the tree, from node 1, once for each frame; returns the leaves (0 to 2**bits - 1).

        scores: of each node, frame after frame; more: rows with what the first nodes have besides (all of one length, a
        power of two, or empty). The first frame takes the last row, each other one the row that its predecessor's leaf,
        shifted by `shift`, says.
        """
        value, size, probability = self._value, self._size, self._probability
        data, at, end = self._data, self._next, len(self._data)
        whole = 1 << bits
        upper = range(len(more[-1]).bit_length() - 1 if more[-1] else 0)
        lower = range(bits - len(upper))
        found = []
        row = more[-1]
        for first in range(0, frames << bits, whole):
            line = scores[first : first + whole]
            node = 1
            for _ in upper:
                one = (size >> 14) * probability[line[node] + row[node]]
                if value < one:
                    size = one
                    node += node + 1
                else:
                    value -= one
                    size -= one
                    node += node
                while size < LOW:
                    size <<= 8
                    value = value << 8 | (data[at] if at < end else 0)
                    at += 1
            for _ in lower:
                one = (size >> 14) * probability[line[node]]
                if value < one:
                    size = one
                    node += node + 1
                else:
                    value -= one
                    size -= one
                    node += node
                while size < LOW:
                    size <<= 8
                    value = value << 8 | (data[at] if at < end else 0)
                    at += 1
            node -= whole
            found.append(node)
            row = more[node >> shift]
        self._value, self._size, self._next = value, size, at
        return found

    def taken(self) -> bytes:
        """The bytes that `encode_decisions` makes of the decisions taken so far."""
        return taken_bytes(self._data, self._next, self._value)

    def finish(self) -> None:
        """After the last decision. Raises DamagedError if bytes are left over."""
        check_end(self._data, self._next)
