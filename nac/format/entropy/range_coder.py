"""The coder of binary decisions, a range coder with 32 bits and whole bytes, and its scalar form for sections.

Source: G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a digitised message", 1979. Written
here and not taken from a library because a file's bytes must never change and files must be readable without a
compiled dependency. `vectorized` does the same for many blocks at once.

A probability is a number from 1 to 16383, in 16384ths, that the decision is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.arrays import Indices
from nac.errors import DamagedError
from nac.format.entropy.contexts import Symbols, contexts_of, own_distance
from nac.format.entropy.tables import EntropyTables

MAX_SIZE = (1 << 32) - 1
"""Size of the range at the start."""
MIN_SIZE = 1 << 24
"""A smaller range is renormalised: a byte leaves the encoder, or enters the decoder."""
INITIAL_BYTES = 4
"""Bytes that the decoder reads ahead."""


def encode_decisions(decisions: Sequence[int]) -> bytes:
    """Encode binary decisions.

    Args:
        decisions: each is twice its probability of 1, plus the decision itself (0 or 1).

    >>> encode_decisions([2 * 12288 + 1] * 20 + [2 * 12288]).hex()
    '009c'
    """
    out = bytearray()
    start, size = 0, MAX_SIZE
    for decision in decisions:
        one = (size >> 14) * (decision >> 1)
        if decision & 1:
            size = one
        else:
            start += one
            size -= one
        while size < MIN_SIZE:
            if start > MAX_SIZE:
                start -= MAX_SIZE + 1
                _carry(out)
            out.append(start >> 24)
            start = (start & 0xFFFFFF) << 8
            size <<= 8
    # The shortest end: the one value of the range whose lower bytes are zero.
    start += MIN_SIZE - 1
    if start > MAX_SIZE:
        start -= MAX_SIZE + 1
        _carry(out)
    out.append(start >> 24)
    # The decoder supplies zero bytes at the end itself.
    return bytes(out).rstrip(b"\0")


def _carry(out: bytearray) -> None:
    place = len(out) - 1
    while out[place] == 0xFF:
        out[place] = 0
        place -= 1
    out[place] += 1


def initial_value(data: bytes) -> int:
    """The value that the decoder starts with.

    Raises:
        DamagedError: no encoder makes these bytes.
    """
    if data and not data[-1]:
        raise DamagedError("the payload ends with a zero byte, which no writer leaves")
    value = int.from_bytes(data[:INITIAL_BYTES].ljust(INITIAL_BYTES, b"\0"), "big")
    if value >= MAX_SIZE:
        raise DamagedError("the payload is not an entropy coded one")
    return value


def consumed_prefix(data: bytes, position: int, value: int) -> bytes:
    """The bytes that an encoder makes of the decisions that a decoder has consumed so far.

    Args:
        data: what is being decoded.
        position: of the decoder's next byte.
        value: the decoder's value.
    """
    # The lower end of the range, as one long number, is the bytes read so far less the decoder's value.
    start = int.from_bytes(data[:position].ljust(position, b"\0"), "big") - value
    return ((start + MIN_SIZE - 1) >> 24).to_bytes(position - INITIAL_BYTES + 1, "big").rstrip(b"\0")


def check_end(data: bytes, position: int) -> None:
    """Check that a decoder has used up its bytes after the last decision.

    Raises:
        DamagedError: bytes remain beyond `position`, the decoder's next byte.
    """
    if len(data) > position - INITIAL_BYTES + 1:
        raise DamagedError("the payload is longer than its codes")


class RangeDecoder:
    """Decodes what `encode_decisions` made."""

    def __init__(self, data: bytes, probability: Sequence[int]) -> None:
        """A decoder at the first decision.

        Args:
            data: the encoded decisions.
            probability: of a 1, for each sum of logits, at `[sum]` (negative ones from the end).

        Raises:
            DamagedError: no encoder makes these bytes.
        """
        self._value = initial_value(data)
        self._data = data
        self._size = MAX_SIZE
        self._next = INITIAL_BYTES
        self._probability = probability

    def paths(
        self, logits: memoryview | Sequence[int], frames: int, bits: int, rows: Sequence[Sequence[int]], shift: int
    ) -> list[int]:
        """Walk down the tree from its root, node 1, once for each frame.

        Args:
            logits: of each node, frame after frame.
            frames: how many.
            bits: levels of the tree.
            rows: logits that are added at the first nodes (all rows of one length, a power of two, or empty). The
                first frame takes the last row, each other one the row at its predecessor's symbol >> `shift`.
            shift: see `rows`.

        Returns:
            The symbol (0 to 2**bits - 1) of each frame.
        """
        value, size, probability = self._value, self._size, self._probability
        data, at, end = self._data, self._next, len(self._data)
        whole = 1 << bits
        upper = range(len(rows[-1]).bit_length() - 1 if rows[-1] else 0)
        lower = range(bits - len(upper))
        found = []
        row = rows[-1]
        for first in range(0, frames << bits, whole):
            line = logits[first : first + whole]
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
                while size < MIN_SIZE:
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
                while size < MIN_SIZE:
                    size <<= 8
                    value = value << 8 | (data[at] if at < end else 0)
                    at += 1
            node -= whole
            found.append(node)
            row = rows[node >> shift]
        self._value, self._size, self._next = value, size, at
        return found

    def consumed_prefix(self) -> bytes:
        """The bytes that `encode_decisions` makes of the decisions consumed so far."""
        return consumed_prefix(self._data, self._next, self._value)

    def finish(self) -> None:
        """Check the end, after the last decision.

        Raises:
            DamagedError: bytes remain.
        """
        check_end(self._data, self._next)


class _PreparedTables:
    """Tables in the form that scalar decoding uses; built when first needed."""

    def __init__(self, tables: EntropyTables) -> None:
        self._tables = tables
        # A negative sum of logits indexes from the end of the list.
        self.probability: list[int] = tables.probability.tolist()
        self._rows: dict[int, list[list[int]]] = {}

    def rows(self, codebook: int) -> list[list[int]]:
        """The table of a codebook's one context that is the codebook itself, as lists."""
        if codebook not in self._rows:
            pairs = zip(contexts_of(codebook), self._tables.codebooks[codebook].logits, strict=True)
            self._rows[codebook] = next(logits.tolist() for context, logits in pairs if own_distance(codebook, context))
        return self._rows[codebook]


@lru_cache(maxsize=4)
def _prepare(tables: EntropyTables) -> _PreparedTables:
    return _PreparedTables(tables)


class ScalarDecoder:
    """Decodes sections one after another: each lane has a `RangeDecoder` of its own.

    Attributes:
        errors: why a section is damaged, by its lane; such lanes give meaningless symbols.
    """

    def __init__(self, sections: Sequence[bytes], tables: EntropyTables) -> None:
        """A decoder with a lane for each section."""
        self.errors: dict[int, str] = {}
        self._tables = tables
        self._prepared = _prepare(tables)
        self._decoders = [self._decoder(lane, section) for lane, section in enumerate(sections)]

    def _decoder(self, lane: int, section: bytes) -> RangeDecoder:
        try:
            return RangeDecoder(section, self._prepared.probability)
        except DamagedError as error:
            self.errors[lane] = str(error)
            return RangeDecoder(b"", self._prepared.probability)

    def consumed_prefix(self, lane: int) -> bytes:
        """As `RangeDecoder.consumed_prefix`, of one lane."""
        return self._decoders[lane].consumed_prefix()

    def finish(self, lane: int) -> None:
        """As `RangeDecoder.finish`, of one lane."""
        self._decoders[lane].finish()

    def read(self, symbols: Symbols, codebook: int, lanes: Indices, blocks: Indices) -> None:
        """Decode one codebook of some blocks.

        Args:
            symbols: `[codebooks, blocks, frames]`, which holds the codebooks before, and receives this one.
            codebook: which one.
            lanes: of the sections that hold it, one for each of `blocks`.
            blocks: which ones.
        """
        for lane, block in zip(lanes.tolist(), blocks.tolist(), strict=True):
            symbols[codebook, block] = self._decode(self._decoders[lane], symbols[:, block : block + 1], codebook)

    def _decode(self, decoder: RangeDecoder, symbols: Symbols, codebook: int) -> list[int]:
        """The symbols of one codebook in all frames; `symbols` `[codebooks, 1, frames]` holds those before it."""
        bits, tables = self._tables.bits, self._tables.codebooks[codebook]
        frames = symbols.shape[2]
        logits = np.empty((frames, 1 << bits), np.int16)
        logits[:] = tables.bias
        own: list[tuple[int, int, npt.NDArray[np.int8]]] = []
        for context, table in zip(contexts_of(codebook), tables.logits, strict=True):
            if distance := own_distance(codebook, context):
                own.append((distance, bits + 1 - (len(table) - 1).bit_length(), table))
            else:
                logits[:, : table.shape[1]] += table[context.rows(symbols, len(table), bits)[0]]
        if len(own) == 1:  # all codebooks but the first: no row needs to be put together
            return decoder.paths(logits.reshape(-1).data, frames, bits, self._prepared.rows(codebook), own[0][1])
        found: list[int] = []
        for frame, line in enumerate(logits):
            for distance, shift, table in own:
                where = len(table) - 1 if frame < distance else found[frame - distance] >> shift
                line[: table.shape[1]] += table[where]
            found += decoder.paths(line.data, 1, bits, [()], bits)
        return found


class ScalarEncoder:
    """Encodes sections one after another, at the end; each is a lane."""

    def __init__(self, lanes: int) -> None:
        """An encoder for so many sections."""
        self._decisions: list[list[npt.NDArray[np.uint16]]] = [[] for _ in range(lanes)]

    def write(self, decisions: npt.NDArray[np.uint16], lanes: Indices) -> None:
        """Encode decisions `[lanes, decisions]` of some lanes, as `encode_decisions` takes them."""
        for lane, row in zip(lanes.tolist(), decisions, strict=True):
            self._decisions[lane].append(row)

    def sections(self) -> list[bytes]:
        """The bytes of every lane, after the last decision."""
        return [encode_decisions(np.concatenate(rows).tolist()) if rows else b"" for rows in self._decisions]
