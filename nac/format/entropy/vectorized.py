"""The range coder vectorised over blocks: each section of a block is a lane.

One array operation makes the same decision in a lane of every block. The bytes are those of `range_coder`. All numbers
fit unsigned 32 bits except the encoder's `start`, which has one bit more until its carry is taken out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nac.arrays import Indices
from nac.errors import DamagedError
from nac.format.entropy.contexts import Context, Symbols, contexts_of, own_distance
from nac.format.entropy.range_coder import (
    INITIAL_BYTES,
    MAX_SIZE,
    MIN_SIZE,
    check_end,
    consumed_prefix,
    initial_value,
)
from nac.format.entropy.tables import LOGIT_SUM_LIMIT, PROBABILITY_BITS, EntropyTables

State = npt.NDArray[np.uint32]
_MIN_SIZE = np.uint32(MIN_SIZE)
_BYTE = np.uint32(8)
_STEP = np.uint32(PROBABILITY_BITS)


class _FlatTables:
    """The tables of one codebook as one flat array, in which the logit of a node is at a row's base plus the node.

    Tables with more nodes come first, so those that affect a decision are the first ones. `LOGIT_SUM_LIMIT` is added
    to one of them, so that sums are never negative.
    """

    def __init__(self, tables: EntropyTables, codebook: int) -> None:
        own = tables.codebooks[codebook]
        bias = own.bias[None].astype(np.int16) + np.int16(LOGIT_SUM_LIMIT)
        parts: list[tuple[npt.NDArray[np.int16], Context | None]] = [
            (table.astype(np.int16), context) for table, context in zip(own.logits, contexts_of(codebook), strict=True)
        ]
        parts.sort(key=lambda part: -part[0].shape[1])
        if parts[0][0].shape[1] == bias.shape[1]:
            parts[0] = (parts[0][0] + bias, parts[0][1])
        else:
            parts.insert(0, (bias, None))
        self.flat = np.concatenate([table.reshape(-1) for table, _ in parts])
        self.contexts = [context for _, context in parts]
        self.rows = [len(table) for table, _ in parts]
        self.nodes = [table.shape[1] for table, _ in parts]
        self.first = np.cumsum([0, *(table.size for table, _ in parts[:-1])]).tolist()
        self.distances = [own_distance(codebook, context) if context else 0 for context in self.contexts]
        #: Number of tables that affect each decision of a code.
        self.active = [sum(nodes > 1 << level for nodes in self.nodes) for level in range(tables.bits)]

    def base(self, table: int, rows: Symbols) -> Symbols:
        """Where rows of a table begin in `flat`."""
        found: Symbols = rows * self.nodes[table] + self.first[table]
        return found


class VectorizedDecoder:
    """Decodes many sections at once.

    Attributes:
        errors: why a section is damaged, by its lane; such lanes give meaningless symbols.
    """

    def __init__(self, sections: Sequence[bytes], tables: EntropyTables) -> None:
        """A decoder with a lane for each section."""
        self.errors: dict[int, str] = {}
        self._sections = sections
        self._tables = tables
        # In the order of the sums, from the lowest.
        self._probability = np.roll(tables.probability, LOGIT_SUM_LIMIT).astype(np.uint32)
        lengths = np.array([len(section) for section in sections], np.intp)
        # A zero byte after each section, which is read again and again at its end.
        self._data = np.frombuffer(b"".join([section + b"\0" for section in sections]), np.uint8).astype(np.uint32)
        self._end = np.cumsum(lengths + 1) - 1
        self._first = self._end - lengths
        self._next = self._first + INITIAL_BYTES
        self._size = np.full(len(sections), MAX_SIZE, np.uint32)
        self._value = np.array([self._start(lane) for lane in range(len(sections))], np.uint32)

    def _start(self, lane: int) -> int:
        try:
            return initial_value(self._sections[lane])
        except DamagedError as error:
            self.errors[lane] = str(error)
            return 0

    def consumed_prefix(self, lane: int) -> bytes:
        """As `RangeDecoder.consumed_prefix`, of one lane."""
        return consumed_prefix(self._sections[lane], int(self._next[lane] - self._first[lane]), int(self._value[lane]))

    def finish(self, lane: int) -> None:
        """As `RangeDecoder.finish`, of one lane."""
        check_end(self._sections[lane], int(self._next[lane] - self._first[lane]))

    def read(self, symbols: Symbols, codebook: int, lanes: Indices, blocks: Indices) -> None:
        """As `ScalarDecoder.read`."""
        frames, bits = symbols.shape[2], self._tables.bits
        tables = _FlatTables(self._tables, codebook)
        base = np.zeros((frames, len(tables.first), len(lanes)), np.intp)
        for number, context in enumerate(tables.contexts):
            if context and not tables.distances[number]:
                rows = context.rows(symbols, tables.rows[number], bits)
                base[:, number] = tables.base(number, rows if len(blocks) == len(rows) else rows[blocks]).T
        own = [number for number, back in enumerate(tables.distances) if back]
        found = np.empty((frames, len(lanes)), np.intp)
        walk = _TreeWalk(self, tables, lanes)
        for frame, (bases, nodes) in enumerate(zip(base, found, strict=True)):
            for number in own:
                last = tables.rows[number] - 1
                if frame < tables.distances[number]:
                    bases[number] = tables.first[number] + last * tables.nodes[number]
                else:
                    rows = found[frame - tables.distances[number]] >> (bits + 1 - last.bit_length())
                    bases[number] = tables.base(number, rows)
            walk.down(bases, nodes)
        walk.store()
        symbols[codebook, blocks] = found.T


class _TreeWalk:
    """Some lanes on their way down the trees of one codebook, with buffers for each decision's intermediate values."""

    def __init__(self, lanes: VectorizedDecoder, tables: _FlatTables, which: Indices) -> None:
        self._lanes, self._tables, self._which = lanes, tables, which
        self._data, self._probability = lanes._data, lanes._probability
        self._size, self._value = lanes._size[which], lanes._value[which]
        self._next, self._end = lanes._next[which], lanes._end[which]
        count, most = len(which), len(tables.first)
        self._at = np.empty((most, count), np.intp)
        self._logits = np.empty((most, count), np.int16)
        self._sum = np.empty(count, np.int16)
        self._one, self._less = np.empty(count, np.uint32), np.empty(count, np.uint32)
        self._bit = np.empty(count, np.bool_)

    def store(self) -> None:
        """Write the state back to the decoder."""
        lanes = self._lanes
        lanes._size[self._which], lanes._value[self._which] = self._size, self._value
        lanes._next[self._which] = self._next

    def down(self, bases: Indices, node: Indices) -> None:
        """Decode one code of each lane: `node` `[lanes]` receives its symbol. `bases` is `[tables, lanes]`."""
        flat, size, value, one, less, bit = self._tables.flat, self._size, self._value, self._one, self._less, self._bit
        node.fill(1)
        for active in self._tables.active:
            at, logits, total = self._at[:active], self._logits[:active], self._sum
            np.add(bases[:active], node, out=at)
            flat.take(at, out=logits, mode="clip")
            if active == 1:
                total = logits[0]
            else:
                np.add.reduce(logits, axis=0, out=total, dtype=np.int16)
            self._probability.take(total, out=one, mode="clip")
            np.right_shift(size, _STEP, out=less)
            np.multiply(one, less, out=one)
            np.less(value, one, out=bit)
            # Where value < one the difference wraps around to more than value, which then stays.
            np.subtract(value, one, out=less)
            np.minimum(value, less, out=value)
            np.subtract(size, one, out=size)
            size = np.where(bit, one, size)
            np.add(node, node, out=node)
            np.add(node, bit, out=node)
            low = (size < _MIN_SIZE).nonzero()[0]
            while len(low):
                place, renormalised = self._next[low], size[low] << _BYTE
                size[low] = renormalised
                value[low] = value[low] << _BYTE | self._data[np.minimum(place, self._end[low])]
                self._next[low] = place + 1
                low = low[renormalised < _MIN_SIZE]
        node -= 1 << len(self._tables.active)
        self._size = size


class VectorizedEncoder:
    """Encodes many sections at once; each is a lane."""

    def __init__(self, lanes: int) -> None:
        """An encoder for so many sections."""
        self._start = np.zeros(lanes, np.uint64)
        self._size = np.full(lanes, MAX_SIZE, np.uint32)
        self._place = np.zeros(lanes, np.intp)
        #: Output: bytes, plus 256 for a carry into the byte before.
        self._out = np.zeros((lanes, 1), np.uint16)

    def write(self, decisions: npt.NDArray[np.uint16], lanes: Indices) -> None:
        """Encode decisions `[lanes, decisions]`, as `encode_decisions` takes them, of some lanes."""
        start, size, place = self._start[lanes], self._size[lanes], self._place[lanes]
        columns = np.ascontiguousarray(decisions.T)
        # No decision writes more than two bytes; the last byte follows at the end.
        self._grow(int(place.max(initial=0)) + 2 * len(columns) + 1)
        one, other = np.empty_like(size), np.empty_like(size)
        # All bits set where the decision is 0: selecting by bitwise operations is the fastest way.
        masks = (columns & 1).astype(np.uint32) - np.uint32(1)
        for probability, zero in zip((columns >> 1).astype(np.uint32), masks, strict=True):
            np.right_shift(size, _STEP, out=one)
            np.multiply(one, probability, out=one)
            np.subtract(size, one, out=size)
            np.bitwise_xor(size, one, out=size)
            np.bitwise_and(size, zero, out=size)
            np.bitwise_xor(size, one, out=size)
            np.bitwise_and(one, zero, out=other)
            np.add(start, other, out=start)
            low = (size < _MIN_SIZE).nonzero()[0]
            while len(low):
                full, renormalised = start[low], size[low] << _BYTE
                self._out[lanes[low], place[low]] = full >> np.uint64(24)
                start[low] = (full & np.uint64(0xFFFFFF)) << np.uint64(8)
                size[low] = renormalised
                place[low] += 1
                low = low[renormalised < _MIN_SIZE]
        self._start[lanes], self._size[lanes], self._place[lanes] = start, size, place

    def _grow(self, count: int) -> None:
        missing = count - self._out.shape[1]
        if missing > 0:
            self._out = np.pad(self._out, ((0, 0), (0, missing)))

    def sections(self) -> list[bytes]:
        """The bytes of every lane, after the last decision."""
        self._out[np.arange(len(self._place)), self._place] = (self._start + np.uint64(MIN_SIZE - 1)) >> np.uint64(24)
        found = []
        for row, count in zip(self._out, (self._place + 1).tolist(), strict=True):
            digits = row[:count]
            carries = int.from_bytes((digits >> 8).astype(np.uint8).tobytes(), "big") << 8
            whole = int.from_bytes(digits.astype(np.uint8).tobytes(), "big") + carries
            found.append(whole.to_bytes(count, "big").rstrip(b"\0"))
        return found
