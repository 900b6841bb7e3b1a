"""Entropy coded sections of many blocks, read and written in lock step: each section of a block is a lane, and one
operation on arrays takes the same decision in a lane of every block.

It is the range coder of `entropy_range`, to the byte. Its numbers fit 32 bits without a sign, but for the encoder's
`start`, which has one bit more until the carry is taken out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nac.errors import DamagedError
from nac.format.entropy_contexts import Context, Ranks, contexts_of, looks_back
from nac.format.entropy_range import FULL, HEAD, LOW, PROBABILITY_BITS, check_end, first_value, taken_bytes
from nac.format.entropy_tables import SCORES, EntropyTables

Numbers = npt.NDArray[np.intp]
State = npt.NDArray[np.uint32]
_LOW = np.uint32(LOW)
_BYTE = np.uint32(8)
_STEP = np.uint32(PROBABILITY_BITS)


class _Tables:
    """The tables of one codebook as one flat array, in which the score of a node is at a table's base plus the node.

    Tables with more nodes come first, so those that have a say in a decision are the first ones. The sum of what they
    say is never negative here.
    """

    def __init__(self, tables: EntropyTables, codebook: int) -> None:
        own = tables.codebooks[codebook]
        bias = own.bias[None].astype(np.int16) + np.int16(SCORES)
        parts: list[tuple[npt.NDArray[np.int16], Context | None]] = [
            (table.astype(np.int16), context) for table, context in zip(own.scores, contexts_of(codebook), strict=True)
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
        self.back = [looks_back(codebook, context) if context else 0 for context in self.contexts]
        #: Tables that have a say, for each decision of a code.
        self.active = [sum(nodes > 1 << level for nodes in self.nodes) for level in range(tables.bits)]

    def base(self, table: int, rows: Ranks) -> Ranks:
        """Where rows of a table begin."""
        found: Ranks = rows * self.nodes[table] + self.first[table]
        return found


class Lanes:
    """Range decoders, one for each section.

    wrong: why a section cannot be what a writer makes, by its lane; such lanes yield codes without a meaning.
    """

    def __init__(self, sections: Sequence[bytes], tables: EntropyTables) -> None:
        self.wrong: dict[int, str] = {}
        self._sections = sections
        self._tables = tables
        # Probabilities of sums that begin with the lowest.
        self._probability = np.roll(tables.probability, SCORES).astype(np.uint32)
        lengths = np.array([len(section) for section in sections], np.intp)
        # A zero byte behind each section: it goes on with zeros for ever.
        self._data = np.frombuffer(b"".join([section + b"\0" for section in sections]), np.uint8).astype(np.uint32)
        self._end = np.cumsum(lengths + 1) - 1
        self._first = self._end - lengths
        self._next = self._first + HEAD
        self._size = np.full(len(sections), FULL, np.uint32)
        self._value = np.array([self._start(lane) for lane in range(len(sections))], np.uint32)

    def _start(self, lane: int) -> int:
        try:
            return first_value(self._sections[lane])
        except DamagedError as error:
            self.wrong[lane] = str(error)
            return 0

    def taken(self, lane: int) -> bytes:
        """As `entropy_range.Decoder.taken`, of one lane."""
        return taken_bytes(self._sections[lane], int(self._next[lane] - self._first[lane]), int(self._value[lane]))

    def finish(self, lane: int) -> None:
        """As `entropy_range.Decoder.finish`, of one lane."""
        check_end(self._sections[lane], int(self._next[lane] - self._first[lane]))

    def read(self, ranks: Ranks, codebook: int, lanes: Numbers, blocks: Numbers) -> None:
        """Read a codebook of some blocks, which these lanes are at, into ranks `[codebooks, blocks, frames]`, where
        those before it are."""
        frames, bits = ranks.shape[2], self._tables.bits
        tables = _Tables(self._tables, codebook)
        base = np.zeros((frames, len(tables.first), len(lanes)), np.intp)
        for number, context in enumerate(tables.contexts):
            if context and not tables.back[number]:
                rows = context.rows(ranks, tables.rows[number], bits)
                base[:, number] = tables.base(number, rows if len(blocks) == len(rows) else rows[blocks]).T
        own = [number for number, back in enumerate(tables.back) if back]
        found = np.empty((frames, len(lanes)), np.intp)
        walk = _Walk(self, tables, lanes)
        for frame, (bases, nodes) in enumerate(zip(base, found, strict=True)):
            for number in own:
                last = tables.rows[number] - 1
                if frame < tables.back[number]:
                    bases[number] = tables.first[number] + last * tables.nodes[number]
                else:
                    rows = found[frame - tables.back[number]] >> (bits + 1 - last.bit_length())
                    bases[number] = tables.base(number, rows)
            walk.down(bases, nodes)
        walk.store()
        ranks[codebook, blocks] = found.T


class _Walk:
    """Some lanes on their way down the trees of one codebook, with room for what each decision needs."""

    def __init__(self, lanes: Lanes, tables: _Tables, which: Numbers) -> None:
        self._lanes, self._tables, self._which = lanes, tables, which
        self._data, self._probability = lanes._data, lanes._probability
        self._size, self._value = lanes._size[which], lanes._value[which]
        self._next, self._end = lanes._next[which], lanes._end[which]
        count, most = len(which), len(tables.first)
        self._at = np.empty((most, count), np.intp)
        self._scores = np.empty((most, count), np.int16)
        self._sum = np.empty(count, np.int16)
        self._one, self._less = np.empty(count, np.uint32), np.empty(count, np.uint32)
        self._bit = np.empty(count, np.bool_)

    def store(self) -> None:
        """Give the state back."""
        lanes = self._lanes
        lanes._size[self._which], lanes._value[self._which] = self._size, self._value
        lanes._next[self._which] = self._next

    def down(self, bases: Numbers, node: Numbers) -> None:
        """One code: `node` becomes the leaf that each lane comes to. bases: `[tables, lanes]`."""
        flat, size, value, one, less, bit = self._tables.flat, self._size, self._value, self._one, self._less, self._bit
        node.fill(1)
        for active in self._tables.active:
            at, scores, total = self._at[:active], self._scores[:active], self._sum
            np.add(bases[:active], node, out=at)
            flat.take(at, out=scores, mode="clip")
            if active == 1:
                total = scores[0]
            else:
                np.add.reduce(scores, axis=0, out=total, dtype=np.int16)
            self._probability.take(total, out=one, mode="clip")
            np.right_shift(size, _STEP, out=less)
            np.multiply(one, less, out=one)
            np.less(value, one, out=bit)
            # What is too little to take away from wraps around to more than it was.
            np.subtract(value, one, out=less)
            np.minimum(value, less, out=value)
            np.subtract(size, one, out=size)
            size = np.where(bit, one, size)
            np.add(node, node, out=node)
            np.add(node, bit, out=node)
            low = (size < _LOW).nonzero()[0]
            while len(low):
                place, left = self._next[low], size[low] << _BYTE
                size[low] = left
                value[low] = value[low] << _BYTE | self._data[np.minimum(place, self._end[low])]
                self._next[low] = place + 1
                low = low[left < _LOW]
        node -= 1 << len(self._tables.active)
        self._size = size


class LaneEncoder:
    """Range encoders, one for each lane."""

    def __init__(self, lanes: int) -> None:
        self._start = np.zeros(lanes, np.uint64)
        self._size = np.full(lanes, FULL, np.uint32)
        self._place = np.zeros(lanes, np.intp)
        #: What was put out: bytes, and carries into the byte before as 256.
        self._out = np.zeros((lanes, 1), np.uint16)

    def write(self, taken: npt.NDArray[np.uint16], lanes: Numbers) -> None:
        """Encode decisions `[lanes, decisions]`, as `entropy_range.encode_decisions` takes them, of some lanes."""
        start, size, place = self._start[lanes], self._size[lanes], self._place[lanes]
        columns = np.ascontiguousarray(taken.T)
        # No decision puts out more than two bytes; the last one follows at the end.
        self._grow(int(place.max(initial=0)) + 2 * len(columns) + 1)
        one, other = np.empty_like(size), np.empty_like(size)
        # All bits set where the decision is 0: choosing by arithmetic is the fastest way.
        masks = (columns & 1).astype(np.uint32) - np.uint32(1)
        for chance, zero in zip((columns >> 1).astype(np.uint32), masks, strict=True):
            np.right_shift(size, _STEP, out=one)
            np.multiply(one, chance, out=one)
            np.subtract(size, one, out=size)
            np.bitwise_xor(size, one, out=size)
            np.bitwise_and(size, zero, out=size)
            np.bitwise_xor(size, one, out=size)
            np.bitwise_and(one, zero, out=other)
            np.add(start, other, out=start)
            low = (size < _LOW).nonzero()[0]
            while len(low):
                full, left = start[low], size[low] << _BYTE
                self._out[lanes[low], place[low]] = full >> np.uint64(24)
                start[low] = (full & np.uint64(0xFFFFFF)) << np.uint64(8)
                size[low] = left
                place[low] += 1
                low = low[left < _LOW]
        self._start[lanes], self._size[lanes], self._place[lanes] = start, size, place

    def _grow(self, count: int) -> None:
        missing = count - self._out.shape[1]
        if missing > 0:
            self._out = np.pad(self._out, ((0, 0), (0, missing)))

    def sections(self) -> list[bytes]:
        """The bytes of every lane, after the last decision."""
        self._out[np.arange(len(self._place)), self._place] = (self._start + np.uint64(LOW - 1)) >> np.uint64(24)
        found = []
        for row, count in zip(self._out, (self._place + 1).tolist(), strict=True):
            digits = row[:count]
            carries = int.from_bytes((digits >> 8).astype(np.uint8).tobytes(), "big") << 8
            whole = int.from_bytes(digits.astype(np.uint8).tobytes(), "big") + carries
            found.append(whole.to_bytes(count, "big").rstrip(b"\0"))
        return found
