"""Entropy coded payloads: each code as a path of binary decisions down a tree, each decision with a probability from
integer tables. ENTROPY.md describes every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nac.errors import DamagedError, OptionError
from nac.format.bits import Codes, pack_rows, packed_bytes, unpack_codes
from nac.format.entropy_contexts import contexts_of, looks_back
from nac.format.entropy_range import Decoder, encode_decisions
from nac.format.entropy_tables import EntropyTables, tables_for
from nac.format.header import Metadata
from nac.format.layout import split_codebooks

Ranks = npt.NDArray[np.int64]
BATCH = 64
"""Blocks encoded at a time, to bound memory."""


class EntropyPayload:
    """Codes of a block, channel by channel, each codebook by codebook. A block that would not be smaller than packed
    is packed, which its size tells.

    Raises FormatError when the tables that the file names are not here.
    """

    def __init__(self, meta: Metadata) -> None:
        self._meta = meta
        self._tables: EntropyTables = tables_for(meta)
        # Where a sum of scores is negative, it counts from the end of the list.
        self._probability: list[int] = self._tables.probability.tolist()
        self._rows = [
            next(scores.tolist() for scores, context in zip(one.scores, contexts_of(index), strict=True)
                 if looks_back(index, context))
            for index, one in enumerate(self._tables.codebooks[: meta.codebooks])
        ]
        self._codes = np.argsort(self._tables.ranks, axis=1).astype(np.uint16)

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Codes `[blocks, frames, codebooks]`, with the side lag of each block, to the payload of each block."""
        if codes.size and (codes.min() < 0 or codes.max() >> self._meta.bits):
            raise OptionError(f"codes must be from 0 to {(1 << self._meta.bits) - 1}")
        out: list[bytes] = [b""] * len(codes)
        order = np.asarray(lags, np.int64)
        for lag in np.unique(order).tolist():
            same = np.flatnonzero(order == lag)
            for first in range(0, len(same), BATCH):
                part = same[first : first + BATCH]
                for index, payload in zip(part.tolist(), self._encode(codes[part], lag), strict=True):
                    out[index] = payload
        return out

    def decode(self, payloads: Sequence[bytes], frames: int, lags: Sequence[int]) -> Codes:
        """Payloads to codes, uint16 `[blocks, frames, codebooks]`. Raises DamagedError when they cannot be codes."""
        codes = np.empty((len(payloads), frames, self._meta.codebooks), np.uint16)
        for block, payload, lag in zip(codes, payloads, lags, strict=True):
            self._decode(payload, lag, block)
        return codes

    def _split(self, lag: int) -> tuple[int, ...]:
        return split_codebooks(self._meta.codebooks, self._meta.channels, lag)

    def _encode(self, codes: npt.NDArray[np.integer], lag: int) -> list[bytes]:
        """Blocks with the same lag."""
        blocks, frames, codebooks = codes.shape
        taken = np.empty((blocks, codebooks, frames, self._meta.bits), np.uint16)
        first = 0
        for count in self._split(lag):
            columns = codes[:, :, first : first + count]
            ranks = np.stack(
                [self._tables.ranks[index][columns[:, :, index]] for index in range(count)]
                or [np.zeros((blocks, frames))]
            ).astype(np.int64)
            for index in range(count):
                taken[:, first + index] = self._intervals(ranks, index)
            first += count
        packed = pack_rows(codes.reshape(blocks, -1), self._meta.bits)
        out = []
        for row, decisions in zip(packed, taken.reshape(blocks, -1), strict=True):
            payload = encode_decisions(decisions.tolist())
            out.append(payload if len(payload) < len(row) else row.tobytes())
        return out

    def _intervals(self, ranks: Ranks, codebook: int) -> npt.NDArray[np.uint16]:
        """What `encode_decisions` takes, `[blocks, frames, bits]`, of one codebook in ranks `[codebooks, blocks,
        frames]`."""
        bits, tables = self._meta.bits, self._tables.codebooks[codebook]
        path = ranks[codebook]
        offsets = []
        for context, scores in zip(contexts_of(codebook), tables.scores, strict=True):
            offsets.append(context.rows(ranks, len(scores), bits) * scores.shape[1])
        out = np.empty((*path.shape, bits), np.uint16)
        for level in range(bits):
            node = (1 << level) | path >> (bits - level)
            total = tables.bias[node].astype(np.int64)
            for offset, scores in zip(offsets, tables.scores, strict=True):
                if 1 << level < scores.shape[1]:
                    total += scores.reshape(-1)[offset + node]
            one = self._tables.probability[total]
            out[:, :, level] = one << 1 | (path >> (bits - 1 - level) & 1).astype(np.uint16)
        return out

    def _decode(self, payload: bytes, lag: int, out: npt.NDArray[np.uint16]) -> None:
        frames, codebooks = out.shape
        size = packed_bytes(frames * codebooks, self._meta.bits)
        if len(payload) > size:
            raise DamagedError("the payload is longer than packed codes")
        if len(payload) == size:
            if payload[-1] & (1 << -frames * codebooks * self._meta.bits % 8) - 1:
                raise DamagedError("the padding of the payload is not zero")
            out[:] = unpack_codes(payload, frames * codebooks, self._meta.bits).reshape(frames, codebooks)
            return
        decoder = Decoder(payload, self._probability)
        first = 0
        for count in self._split(lag):
            ranks = np.zeros((count, 1, frames), np.int64)
            for index in range(count):
                ranks[index, 0] = self._ranks(decoder, ranks, index)
                out[:, first + index] = self._codes[index][ranks[index, 0]]
            first += count
        decoder.finish()

    def _ranks(self, decoder: Decoder, ranks: Ranks, codebook: int) -> list[int]:
        """The ranks of one codebook in all frames; `ranks` holds those of the codebooks before it."""
        bits, tables = self._meta.bits, self._tables.codebooks[codebook]
        frames = ranks.shape[2]
        scores = np.empty((frames, 1 << bits), np.int16)
        scores[:] = tables.bias
        back: list[int] = []
        shifts: list[int] = []
        own: list[npt.NDArray[np.int8]] = []
        for context, table in zip(contexts_of(codebook), tables.scores, strict=True):
            if distance := looks_back(codebook, context):
                back.append(distance)
                shifts.append(bits + 1 - (len(table) - 1).bit_length())
                own.append(table)
            else:
                scores[:, : table.shape[1]] += table[context.rows(ranks, len(table), bits)[0]]
        found: list[int] = []
        if len(own) == 1:  # all codebooks but the first: no row needs to be put together
            lists = self._rows[codebook]
            row, levels = lists[-1], own[0].shape[1].bit_length() - 1
            for line in scores:
                rank = decoder.path(line.data, row, levels, bits)
                found.append(rank)
                row = lists[rank >> shifts[0]]
            return found
        for frame, line in enumerate(scores):
            for distance, shift, table in zip(back, shifts, own, strict=True):
                where = len(table) - 1 if frame < distance else found[frame - distance] >> shift
                line[: table.shape[1]] += table[where]
            found.append(decoder.path(line.data, (), 0, bits))
        return found


__all__ = ["EntropyPayload"]
