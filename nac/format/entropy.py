"""Entropy coded payloads: each code as a path of binary decisions down a tree, each decision with a probability from
integer tables. ENTROPY.md describes every step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.errors import DamagedError, OptionError
from nac.format.bits import Codes, pack_codes, pack_rows, packed_bytes, unpack_codes
from nac.format.codebooks import first_codebooks
from nac.format.entropy_contexts import contexts_of, looks_back
from nac.format.entropy_lanes import LaneEncoder, Lanes
from nac.format.entropy_range import Decoder, encode_decisions
from nac.format.entropy_tables import EntropyTables, tables_for
from nac.format.header import Metadata
from nac.format.layout import split_codebooks

Ranks = npt.NDArray[np.int64]
BATCH = 64
"""Blocks encoded at a time, to bound memory."""
LANES = 48
"""From so many blocks on they are decoded in lock step, and encoded from twice as many on: it is faster then."""
WIDE = 2048
"""Blocks in lock step at most, ..."""
CODES = 1024 * 2400
"""... and their codes, to bound memory."""


class EntropyPayload:
    """Codes of a block, channel by channel, each codebook by codebook. A block that would not be smaller than packed
    is packed, which its size tells.

    Raises FormatError when the tables that the file names are not here.
    """

    def __init__(self, meta: Metadata) -> None:
        self._meta = meta
        self._tables: EntropyTables = tables_for(meta)
        self._prepared = _prepare(self._tables)

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Codes `[blocks, frames, codebooks]`, with the side lag of each block, to the payload of each block."""
        if codes.size and (codes.min() < 0 or codes.max() >> self._meta.bits):
            raise OptionError(f"codes must be from 0 to {(1 << self._meta.bits) - 1}")
        if len(codes) >= 2 * LANES:
            parts = self._parts(len(codes), codes[0].size)
            return [payload for part in parts for payload in self._encode_lanes(codes[part], lags[part])]
        out: list[bytes] = [b""] * len(codes)
        order = np.asarray(lags, np.int64)
        for lag in np.unique(order).tolist():
            same = np.flatnonzero(order == lag)
            for first in range(0, len(same), BATCH):
                part = same[first : first + BATCH]
                for index, payload in zip(part.tolist(), self._encode(codes[part], lag), strict=True):
                    out[index] = payload
        return out

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        """Payloads to codes, uint16 `[blocks, frames, codebooks]`. Raises DamagedError when they cannot be codes.

        codebooks: how many of them, over all channels, are left when the bit rate is lowered; what follows the last
        of them in a payload is not looked at then.
        """
        codes = np.empty((len(payloads), frames, codebooks or self._meta.codebooks), np.uint16)
        self._decode_all(payloads, lags, codes)
        return codes

    def shorten(self, payloads: Sequence[bytes], frames: int, codebooks: int) -> list[bytes]:
        """Payloads of mono blocks to those of their first codebooks: what `encode` makes of these codes.

        They are read as far as needed, but not coded anew: the first bytes do not depend on what follows.
        """
        shortest = packed_bytes(frames * codebooks, self._meta.bits)
        codes = np.empty((len(payloads), frames, codebooks), np.uint16)
        taken = self._decode_all(payloads, [0] * len(payloads), codes)
        anew = [number for number, short in enumerate(taken) if short is None]
        again = dict(zip(anew, self.encode(codes[anew], [0] * len(anew)), strict=True))
        out = []
        for number, short in enumerate(taken):
            if short is None:
                out.append(again[number])
            else:
                out.append(short if len(short) < shortest else pack_codes(codes[number].reshape(-1), self._meta.bits))
        return out

    def _decode_all(
        self, payloads: Sequence[bytes], lags: Sequence[int], codes: npt.NDArray[np.uint16]
    ) -> list[bytes | None]:
        """Fill `codes`, `[blocks, frames, codebooks]`; returns, for each payload, the bytes that coding what was read
        makes, None if it is packed. Raises the DamagedError of the first that cannot be read."""
        out: list[bytes | None] = []
        if len(payloads) < LANES:
            for block, payload, lag in zip(codes, payloads, lags, strict=True):
                decoder = self._decode(payload, lag, block)
                out.append(None if decoder is None else decoder.taken())
            return out
        _, frames, kept = codes.shape
        most = frames * (kept if self._meta.channels == 1 else self._meta.codebooks)
        for part in self._parts(len(payloads), most):
            out += self._decode_lanes(payloads[part], lags[part], codes[part])
        return out

    def _decode_lanes(
        self, payloads: Sequence[bytes], lags: Sequence[int], codes: npt.NDArray[np.uint16]
    ) -> list[bytes | None]:
        """As `_decode_all`, in lock step."""
        _, frames, kept = codes.shape
        size = packed_bytes(frames * self._meta.codebooks, self._meta.bits)
        short = [number for number, payload in enumerate(payloads) if len(payload) < size]
        lanes = Lanes([payloads[number] for number in short], self._tables)
        self._read_lanes(lanes, short, lags, codes)
        lane_of = {number: lane for lane, number in enumerate(short)}
        out: list[bytes | None] = []
        for number, (block, payload, lag) in enumerate(zip(codes, payloads, lags, strict=True)):
            lane = lane_of.get(number)
            if lane is None:
                self._decode(payload, lag, block)
                out.append(None)
                continue
            if kept == self._meta.codebooks:
                lanes.finish(lane)
            if lane in lanes.wrong:
                raise DamagedError(lanes.wrong[lane])
            out.append(lanes.taken(lane))
        return out

    @staticmethod
    def _parts(blocks: int, codes: int) -> list[slice]:
        """Blocks of so many codes each, in parts that are not too large."""
        wide = min(WIDE, max(LANES, CODES // codes))
        return [slice(first, first + wide) for first in range(0, blocks, wide)]

    def _read_lanes(
        self, lanes: Lanes, blocks: Sequence[int], lags: Sequence[int], codes: npt.NDArray[np.uint16]
    ) -> None:
        """Read what the lanes hold of these blocks into `codes`, `[blocks, frames, codebooks]`."""
        _, frames, kept = codes.shape
        numbers = np.array(blocks, np.intp)
        first = np.zeros(len(blocks), np.intp)  # codebook in `codes` that the channel begins with
        shares = [(self._split(lags[number]), self._split(lags[number], kept)) for number in blocks]
        for channel in range(self._meta.channels):
            keep = np.array([wanted[channel] for _, wanted in shares], np.intp)
            # All of a channel, if another follows.
            read = np.array([
                count[channel] if any(wanted[channel + 1 :]) else wanted[channel] for count, wanted in shares
            ], np.intp)  # fmt: skip
            ranks = np.zeros((int(read.max(initial=0)), len(blocks), frames), np.int64)
            for index in range(len(ranks)):
                lanes.read(ranks, index, np.flatnonzero(read > index))
                some = np.flatnonzero(keep > index)
                codes[numbers[some], :, first[some] + index] = self._prepared.codes[index][ranks[index, some]]
            first += keep

    def _split(self, lag: int, codebooks: int | None = None) -> tuple[int, ...]:
        return split_codebooks(codebooks or self._meta.codebooks, self._meta.channels, lag)

    def _encode(self, codes: npt.NDArray[np.integer], lag: int) -> list[bytes]:
        """Blocks with the same lag."""
        blocks, frames, codebooks = codes.shape
        taken = np.empty((blocks, codebooks, frames, self._meta.bits), np.uint16)
        first = 0
        for count in self._split(lag, codebooks):
            columns = codes[:, :, first : first + count]
            ranks = np.stack(
                [self._tables.ranks[index][columns[:, :, index]] for index in range(count)]
                or [np.zeros((blocks, frames))]
            ).astype(np.int64)
            for index in range(count):
                taken[:, first + index] = self._intervals(ranks, index)
            first += count
        return self._or_packed(codes, (encode_decisions(row.tolist()) for row in taken.reshape(blocks, -1)))

    def _or_packed(self, codes: npt.NDArray[np.integer], payloads: Iterable[bytes]) -> list[bytes]:
        """The payloads, but packed ones where these are no longer."""
        packed = pack_rows(codes.reshape(len(codes), -1), self._meta.bits)
        pairs = zip(packed, payloads, strict=True)
        return [payload if len(payload) < len(row) else row.tobytes() for row, payload in pairs]

    def _encode_lanes(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Many blocks, in lock step."""
        blocks, frames, codebooks = codes.shape
        lanes = LaneEncoder(blocks)
        first = np.zeros(blocks, np.intp)
        for counts in np.array([self._split(lag, codebooks) for lag in lags], np.intp).T:
            ranks = np.zeros((max(1, int(counts.max())), blocks, frames), np.int64)
            for index in range(int(counts.max())):
                some = np.flatnonzero(counts > index)
                ranks[index, some] = self._tables.ranks[index][codes[some, :, first[some] + index]]
                parts = [some[part : part + BATCH] for part in range(0, len(some), BATCH)]
                taken = [self._intervals(ranks[: index + 1, part], index) for part in parts]
                lanes.write(np.concatenate(taken).reshape(len(some), -1), some)
            first += counts
        return self._or_packed(codes, lanes.payloads())

    def _intervals(self, ranks: Ranks, codebook: int) -> npt.NDArray[np.uint16]:
        """What `encode_decisions` takes, `[blocks, frames, bits]`, of one codebook in ranks `[codebooks, blocks,
        frames]`."""
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

    def _decode(self, payload: bytes, lag: int, out: npt.NDArray[np.uint16]) -> Decoder | None:
        """Fill `out`, `[frames, codebooks]`, with as many codebooks as it has; returns what stands behind the last
        code read, None if the payload is packed."""
        frames, kept = out.shape
        codebooks = self._meta.codebooks
        size = packed_bytes(frames * codebooks, self._meta.bits)
        if len(payload) > size:
            raise DamagedError("the payload is longer than packed codes")
        if len(payload) == size:
            if payload[-1] & (1 << -frames * codebooks * self._meta.bits % 8) - 1:
                raise DamagedError("the padding of the payload is not zero")
            codes = unpack_codes(payload, frames * codebooks, self._meta.bits).reshape(1, frames, codebooks)
            out[:] = first_codebooks(codes, [lag], self._meta.channels, kept)[0]
            return None
        decoder = Decoder(payload, self._prepared.probability)
        first = 0
        wanted = self._split(lag, kept)
        for channel, (count, keep) in enumerate(zip(self._split(lag), wanted, strict=True)):
            more = any(wanted[channel + 1 :])
            ranks = np.zeros((count, 1, frames), np.int64)
            for index in range(count if more else keep):
                ranks[index, 0] = self._ranks(decoder, ranks, index)
                if index < keep:
                    out[:, first + index] = self._prepared.codes[index][ranks[index, 0]]
            first += keep
            if not more:
                break
        if kept == codebooks:
            decoder.finish()
        return decoder

    def _ranks(self, decoder: Decoder, ranks: Ranks, codebook: int) -> list[int]:
        """The ranks of one codebook in all frames; `ranks` holds those of the codebooks before it."""
        bits, tables = self._meta.bits, self._tables.codebooks[codebook]
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


class _Prepared:
    """Tables as reading wants them: made when they are first needed."""

    def __init__(self, tables: EntropyTables) -> None:
        self._tables = tables
        # Where a sum of scores is negative, it counts from the end of the list.
        self.probability: list[int] = tables.probability.tolist()
        self.codes = np.argsort(tables.ranks, axis=1).astype(np.uint16)
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


__all__ = ["EntropyPayload"]
