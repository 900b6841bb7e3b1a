"""Entropy coded sections of a few blocks, read and written one after another: what `entropy_lanes` does for many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.errors import DamagedError
from nac.format.entropy_contexts import Ranks, contexts_of, looks_back
from nac.format.entropy_range import Decoder, encode_decisions
from nac.format.entropy_tables import EntropyTables

Numbers = npt.NDArray[np.intp]


class _Prepared:
    """Tables as reading wants them: made when they are first needed."""

    def __init__(self, tables: EntropyTables) -> None:
        self._tables = tables
        # Where a sum of scores is negative, it counts from the end of the list.
        self.probability: list[int] = tables.probability.tolist()
        self._rows: dict[int, list[list[int]]] = {}

    def rows(self, codebook: int) -> list[list[int]]:
        """The table of a codebook's one context that looks back, as lists."""
        if codebook not in self._rows:
            pairs = zip(contexts_of(codebook), self._tables.codebooks[codebook].scores, strict=True)
            self._rows[codebook] = next(scores.tolist() for context, scores in pairs if looks_back(codebook, context))
        return self._rows[codebook]


@lru_cache(maxsize=4)
def _prepare(tables: EntropyTables) -> _Prepared:
    return _Prepared(tables)


class Alone:
    """As `Lanes`, but each lane has a decoder of its own."""

    def __init__(self, sections: Sequence[bytes], tables: EntropyTables) -> None:
        self.wrong: dict[int, str] = {}
        self._tables = tables
        self._prepared = _prepare(tables)
        self._decoders = [self._decoder(lane, section) for lane, section in enumerate(sections)]

    def _decoder(self, lane: int, section: bytes) -> Decoder:
        try:
            return Decoder(section, self._prepared.probability)
        except DamagedError as error:
            self.wrong[lane] = str(error)
            return Decoder(b"", self._prepared.probability)

    def taken(self, lane: int) -> bytes:
        """As `Decoder.taken`, of one lane."""
        return self._decoders[lane].taken()

    def finish(self, lane: int) -> None:
        """As `Decoder.finish`, of one lane."""
        self._decoders[lane].finish()

    def read(self, ranks: Ranks, codebook: int, lanes: Numbers, blocks: Numbers) -> None:
        """Read a codebook of some blocks, which these lanes are at, into ranks `[codebooks, blocks, frames]`, where
        those before it are."""
        for lane, block in zip(lanes.tolist(), blocks.tolist(), strict=True):
            ranks[codebook, block] = self._ranks(self._decoders[lane], ranks[:, block : block + 1], codebook)

    def _ranks(self, decoder: Decoder, ranks: Ranks, codebook: int) -> list[int]:
        """The ranks of one codebook in all frames; `ranks`, `[codebooks, 1, frames]`, holds those before it."""
        bits, tables = self._tables.bits, self._tables.codebooks[codebook]
        frames = ranks.shape[2]
        scores = np.empty((frames, 1 << bits), np.int16)
        scores[:] = tables.bias
        own: list[tuple[int, int, npt.NDArray[np.int8]]] = []
        for context, table in zip(contexts_of(codebook), tables.scores, strict=True):
            if distance := looks_back(codebook, context):
                own.append((distance, bits + 1 - (len(table) - 1).bit_length(), table))
            else:
                scores[:, : table.shape[1]] += table[context.rows(ranks, len(table), bits)[0]]
        if len(own) == 1:  # all codebooks but the first: no row needs to be put together
            return decoder.paths(scores.reshape(-1).data, frames, bits, self._prepared.rows(codebook), own[0][1])
        found: list[int] = []
        for frame, line in enumerate(scores):
            for distance, shift, table in own:
                where = len(table) - 1 if frame < distance else found[frame - distance] >> shift
                line[: table.shape[1]] += table[where]
            found += decoder.paths(line.data, 1, bits, [()], bits)
        return found


class AloneEncoder:
    """As `LaneEncoder`, but each lane is coded by itself, at the end."""

    def __init__(self, lanes: int) -> None:
        self._taken: list[list[npt.NDArray[np.uint16]]] = [[] for _ in range(lanes)]

    def write(self, taken: npt.NDArray[np.uint16], lanes: Numbers) -> None:
        """Encode decisions `[lanes, decisions]` of some lanes, as `encode_decisions` takes them."""
        for lane, row in zip(lanes.tolist(), taken, strict=True):
            self._taken[lane].append(row)

    def sections(self) -> list[bytes]:
        """The bytes of every lane, after the last decision."""
        return [encode_decisions(np.concatenate(rows).tolist()) if rows else b"" for rows in self._taken]
