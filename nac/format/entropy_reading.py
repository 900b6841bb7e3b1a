"""Entropy coded payloads of some blocks on their way to codes, or to payloads of their first codebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from nac.errors import DamagedError
from nac.format.bits import Codes, unpack_codes
from nac.format.entropy_contexts import Ranks
from nac.format.entropy_sections import Numbers, Sections, Share, joined
from nac.format.entropy_tables import EntropyTables


class Source(Protocol):
    """Decoders of sections: `Lanes` or `Alone`."""

    wrong: dict[int, str]

    def read(self, ranks: Ranks, codebook: int, lanes: Numbers, blocks: Numbers) -> None:
        """Read a codebook of some blocks, which these lanes are at, into ranks `[codebooks, blocks, frames]`."""

    def taken(self, lane: int) -> bytes:
        """The bytes of the decisions taken so far."""

    def finish(self, lane: int) -> None:
        """After the last decision. Raises DamagedError if bytes are left over."""


class Reading:
    """Payloads of blocks, to be read up to some codebook of all channels.

    opened: makes the decoders; codes: where the codes shall go, `[blocks, frames, codebooks]`, the first ones alone if
    it has room for fewer. Section s of block b is lane s * blocks + b.
    """

    def __init__(
        self,
        sections: Sections,
        tables: EntropyTables,
        opened: Callable[[Sequence[bytes], EntropyTables], Source],
        payloads: Sequence[bytes],
        lags: Sequence[int],
        codes: Codes,
    ) -> None:
        self._sections, self._tables, self._codes = sections, tables, codes
        self._blocks, self._frames, self._kept = codes.shape
        self._count = sections.needed(self._kept)
        self._sizes = sections.packed_sizes(self._frames)[: self._count]
        self._shares = sections.shares(lags, self._kept)
        self._packed = np.zeros(self._count * self._blocks, np.bool_)
        #: Codes `[frames, codebooks]` of the sections that are packed, by lane.
        self._plain: dict[int, Codes] = {}
        #: Why a block cannot be read.
        self._wrong: dict[int, str] = {}
        self._parts = [self._cut(block, payload) for block, payload in enumerate(payloads)]
        coded = [parts[section] for section in range(self._count) for parts in self._parts]
        for lane in self._plain:
            coded[lane] = b""
        self._source = opened(coded, tables)
        for lane, why in self._source.wrong.items():
            self._wrong.setdefault(lane % self._blocks, why)

    @property
    def _complete(self) -> bool:
        """Whether the last section is read to its end."""
        return self._kept in self._sections.ends

    def _cut(self, block: int, payload: bytes) -> list[bytes]:
        try:
            parts = self._sections.cut(payload, self._frames, self._count)
            for section, (part, size) in enumerate(zip(parts, self._sizes, strict=True)):
                if len(part) == size:
                    self._unpack(section, block, part)
        except DamagedError as error:
            self._wrong[block] = str(error)
            return [b""] * self._count
        return parts

    def _unpack(self, section: int, block: int, data: bytes) -> None:
        ends, bits = self._sections.ends, self._sections.bits
        count = self._frames * (ends[section] - (ends[section - 1] if section else 0))
        if data[-1] & (1 << -count * bits % 8) - 1:
            raise DamagedError("the padding of the payload is not zero")
        lane = section * self._blocks + block
        self._plain[lane] = unpack_codes(data, count, bits).reshape(self._frames, -1)
        self._packed[lane] = True

    def run(self, code_at: Codes) -> None:
        """Read the codes. Raises the DamagedError of the first block that cannot be read.

        code_at: the code of each rank, `[codebooks, codes]`.
        """
        self._refuse(0)
        lane_of = np.empty(self._blocks, np.intp)
        for share in self._shares:
            ranks = np.zeros((share.read, self._blocks, self._frames), np.int64)
            self._rank(share, ranks)
            for index in range(share.read):
                groups = share.groups(index)
                for section, some in groups:
                    lane_of[some] = section * self._blocks + some
                blocks = joined([some for _, some in groups])
                if self._plain:
                    blocks = blocks[~self._packed[lane_of[blocks]]]
                if len(blocks):
                    self._source.read(ranks, index, lane_of[blocks], blocks)
            for part, some in share.kinds:
                found = code_at[np.arange(part.wanted)[:, None, None], ranks[: part.wanted, some]]
                self._codes[some, :, part.first : part.first + part.wanted] = found.transpose(1, 2, 0)
        for block in range(self._blocks):
            self._refuse(block)
            for section in range(self._count - (not self._complete)):
                lane = section * self._blocks + block
                if not self._packed[lane]:
                    self._source.finish(lane)

    def _refuse(self, block: int) -> None:
        if block in self._wrong:
            raise DamagedError(self._wrong[block])

    def _rank(self, share: Share, ranks: Ranks) -> None:
        """Fill in what is known of a channel's ranks, `[codebooks, blocks, frames]`: those of packed sections."""
        for lane, codes in self._plain.items():
            section, block = divmod(lane, self._blocks)
            part = share.parts[block]
            start, stop = part.bounds[section], min(part.bounds[section + 1], part.read)
            if start < stop:
                at = part.before[section]
                books = np.arange(start, stop)[:, None]
                ranks[start:stop, block] = self._tables.ranks[books, codes[:, at : at + stop - start].T]

    def shortened(self) -> list[bytes | None]:
        """After `run`: the payload of what was read of each block, None where that must be coded anew."""
        cut = self._sections.of_first(self._kept)
        most = cut.packed_sizes(self._frames)[-1]
        found: list[bytes | None] = []
        for block, parts in enumerate(self._parts):
            last = parts[-1] if self._complete else self._begun(block, most)
            found.append(None if last is None else cut.join([*parts[:-1], last]))
        return found

    def _begun(self, block: int, packed: int) -> bytes | None:
        """The bytes of what was read of the last section, if it is coded, nothing was passed over, and they are fewer
        than `packed`."""
        lane = (self._count - 1) * self._blocks + block
        if self._packed[lane] or any(share.parts[block].read != share.parts[block].wanted for share in self._shares):
            return None
        taken = self._source.taken(lane)
        return taken if len(taken) < packed else None
