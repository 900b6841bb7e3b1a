"""Entropy coded payloads: each code as a path of binary decisions down a tree, each decision with a probability from
integer tables. ENTROPY.md describes every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.errors import OptionError
from nac.format.bits import Codes, pack_codes
from nac.format.entropy_alone import Alone, AloneEncoder
from nac.format.entropy_contexts import contexts_of
from nac.format.entropy_lanes import LaneEncoder, Lanes
from nac.format.entropy_reading import Reading
from nac.format.entropy_sections import BATCH, Sections
from nac.format.entropy_tables import EntropyTables, tables_for
from nac.format.header import Metadata

Ranks = npt.NDArray[np.int64]
LANES = 48
"""From so many blocks on they are decoded in lock step, and encoded from twice as many on: it is faster then."""
WIDE = 2048
"""Blocks in lock step at most, ..."""
CODES = 1024 * 2400
"""... and their codes, to bound memory."""


class EntropyPayload:
    """Codes of a block, in the sections that the coding has, in each channel by channel, each codebook by codebook. A
    section that would not be smaller than packed is packed, which its size tells.

    Raises FormatError when the tables that the file names are not here.
    """

    def __init__(self, meta: Metadata) -> None:
        self._meta = meta
        self._tables: EntropyTables = tables_for(meta)
        self._sections = Sections(meta.coding, meta.codebooks, meta.channels, meta.bits)

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Codes `[blocks, frames, codebooks]`, with the side lag of each block, to the payload of each block.

        With fewer codebooks than the file's they are what is left of them when the bit rate is lowered.
        """
        if codes.size and (codes.min() < 0 or codes.max() >> self._meta.bits):
            raise OptionError(f"codes must be from 0 to {(1 << self._meta.bits) - 1}")
        many = len(codes) >= 2 * LANES
        encoder = LaneEncoder if many else AloneEncoder
        parts = _parts(len(codes), _wide(codes[0].size) if many else BATCH)
        return [payload for part in parts for payload in self._encode(codes[part], lags[part], encoder)]

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        """Payloads to codes, uint16 `[blocks, frames, codebooks]`. Raises DamagedError when they cannot be codes.

        codebooks: how many of them, over all channels, are left when the bit rate is lowered; of what follows the last
        of them in a payload no more than its length is looked at then.
        """
        codes = np.empty((len(payloads), frames, codebooks or self._meta.codebooks), np.uint16)
        for part, opened in self._reading_parts(codes):
            self._read(opened, payloads[part], lags[part], codes[part])
        return codes

    def shorten(self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int) -> list[bytes]:
        """Payloads to those of their first codebooks: what `encode` makes of these codes.

        They are read as far as needed, but few are coded anew: the first bytes do not depend on what follows.
        """
        codes = np.empty((len(payloads), frames, codebooks), np.uint16)
        out: list[bytes | None] = []
        for part, opened in self._reading_parts(codes):
            out += self._read(opened, payloads[part], lags[part], codes[part]).shortened()
        anew = [number for number, payload in enumerate(out) if payload is None]
        again = iter(self.encode(codes[anew], [lags[number] for number in anew]))
        return [next(again) if payload is None else payload for payload in out]

    def _reading_parts(self, codes: Codes) -> Iterator[tuple[slice, type[Lanes] | type[Alone]]]:
        """The blocks to be read at a time, and with what."""
        blocks, frames, kept = codes.shape
        most = kept if self._meta.channels == 1 else self._sections.ends[self._sections.needed(kept) - 1]
        many = blocks >= LANES
        for part in _parts(blocks, _wide(frames * most) if many else 1):
            yield part, Lanes if many else Alone

    def _read(
        self, opened: type[Lanes] | type[Alone], payloads: Sequence[bytes], lags: Sequence[int], codes: Codes
    ) -> Reading:
        """Fill `codes`."""
        reading = Reading(self._sections, self._tables, opened, payloads, lags, codes)
        reading.run(_code_at(self._tables))
        return reading

    def _encode(
        self, codes: npt.NDArray[np.integer], lags: Sequence[int], made: type[LaneEncoder] | type[AloneEncoder]
    ) -> list[bytes]:
        blocks, frames, codebooks = codes.shape
        cut = self._sections.of_first(codebooks)
        encoders = [made(blocks) for _ in cut.ends]
        for share in cut.shares(lags, codebooks):
            ranks = np.zeros((share.read, blocks, frames), np.int64)
            for part, some in share.kinds:
                own = codes[some, :, part.first : part.first + part.read].transpose(2, 0, 1)
                ranks[: part.read, some] = self._tables.ranks[np.arange(part.read)[:, None, None], own]
            for index in range(share.read):
                for section, some in share.groups(index):
                    batches = [some[batch] for batch in _parts(len(some), BATCH)]
                    taken = [self._intervals(ranks[: index + 1, batch], index) for batch in batches]
                    encoders[section].write(np.concatenate(taken).reshape(len(some), -1), some)
        sections = zip(*(encoder.sections() for encoder in encoders), strict=True)
        sizes = cut.packed_sizes(frames)
        out = []
        for number, (lag, whole) in enumerate(zip(lags, sections, strict=True)):
            found = [*whole]
            for section, (size, columns) in enumerate(zip(sizes, cut.columns(lag), strict=True)):
                if len(found[section]) >= size:
                    found[section] = pack_codes(codes[number][:, columns].reshape(-1), self._meta.bits)
            out.append(cut.join(found))
        return out

    def _intervals(self, ranks: Ranks, codebook: int) -> npt.NDArray[np.uint16]:
        """What the encoders take, `[blocks, frames, bits]`, of one codebook in ranks `[codebooks, blocks, frames]`."""
        bits, tables = self._meta.bits, self._tables.codebooks[codebook]
        path = ranks[codebook]
        levels = np.arange(bits)[:, None, None]  # first, for the sake of speed
        nodes = (1 << levels) | path >> (bits - levels)
        total = tables.bias.take(nodes).astype(np.int16)
        for context, scores in zip(contexts_of(codebook), tables.scores, strict=True):
            some = nodes[: scores.shape[1].bit_length() - 1]
            rows = context.rows(ranks, len(scores), bits) * scores.shape[1]
            total[: len(some)] += scores.take(rows + some, mode="clip")
        one: npt.NDArray[np.uint16] = self._tables.probability.take(total, mode="wrap")
        # The lowest bit tells the decision apart.
        out: npt.NDArray[np.uint16] = one << 1 | (path >> (bits - 1 - levels) & 1).astype(np.uint16)
        return np.moveaxis(out, 0, 2)


@lru_cache(maxsize=4)
def _code_at(tables: EntropyTables) -> Codes:
    """The code of each rank, `[codebooks, codes]`."""
    return np.argsort(tables.ranks, axis=1).astype(np.uint16)


def _wide(codes: int) -> int:
    """How many blocks of so many codes are coded in lock step."""
    return min(WIDE, max(LANES, CODES // codes))


def _parts(count: int, step: int) -> list[slice]:
    return [slice(first, first + step) for first in range(0, count, step)]


__all__ = ["EntropyPayload"]
