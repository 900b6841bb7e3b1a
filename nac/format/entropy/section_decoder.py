"""Entropy coded payloads of some blocks to codes, or to payloads of their first codebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from nac.arrays import Codes, Indices
from nac.errors import DamagedError
from nac.format.bits import unpack_codes
from nac.format.entropy.contexts import Symbols
from nac.format.entropy.sections import ChannelSlice, Sections, merged
from nac.format.entropy.tables import EntropyTables


class LaneDecoder(Protocol):
    """Range decoders of sections, one lane each: `ScalarDecoder` or `VectorizedDecoder`."""

    errors: dict[int, str]

    def read(self, symbols: Symbols, codebook: int, lanes: Indices, blocks: Indices) -> None:
        """Decode a codebook of `blocks`, from `lanes`, into symbols `[codebooks, blocks, frames]`."""

    def consumed_prefix(self, lane: int) -> bytes:
        """The encoded bytes of the decisions consumed so far."""

    def finish(self, lane: int) -> None:
        """Check the end of a lane; raises DamagedError if bytes remain."""


class SectionDecoder:
    """Decodes payloads up to some codebook of all channels. Section s of block b is lane s * blocks + b."""

    def __init__(
        self,
        sections: Sections,
        tables: EntropyTables,
        make_decoder: Callable[[Sequence[bytes], EntropyTables], LaneDecoder],
        payloads: Sequence[bytes],
        lags: Sequence[int],
        codes: Codes,
    ) -> None:
        """Split payloads into sections; nothing is decoded yet.

        Args:
            sections: how payloads of this kind are split.
            tables: that the codes were encoded with.
            make_decoder: makes the range decoders of all sections.
            payloads: of each block.
            lags: side lag of each block.
            codes: receives the codes, `[blocks, frames, codebooks]`; only the first codebooks if it has fewer than the
                payloads.
        """
        self._sections, self._tables, self._codes = sections, tables, codes
        self._n_blocks, self._n_frames, self._n_kept = codes.shape
        self._n_sections = sections.needed(self._n_kept)
        self._packed_sizes = sections.packed_sizes(self._n_frames)[: self._n_sections]
        self._channels = sections.channel_slices(lags, self._n_kept)
        self._is_packed = np.zeros(self._n_sections * self._n_blocks, np.bool_)
        #: Codes `[frames, codebooks]` of the sections that are packed, by lane.
        self._packed_codes: dict[int, Codes] = {}
        #: Why a block cannot be decoded.
        self._errors: dict[int, str] = {}
        self._parts = [self._split(block, payload) for block, payload in enumerate(payloads)]
        coded = [parts[section] for section in range(self._n_sections) for parts in self._parts]
        for lane in self._packed_codes:
            coded[lane] = b""
        self._decoder = make_decoder(coded, tables)
        for lane, error in self._decoder.errors.items():
            self._errors.setdefault(lane % self._n_blocks, error)

    @property
    def _complete(self) -> bool:
        """Whether the last section is decoded to its end."""
        return self._n_kept in self._sections.ends

    def _split(self, block: int, payload: bytes) -> list[bytes]:
        try:
            parts = self._sections.split(payload, self._n_frames, self._n_sections)
            for section, (part, size) in enumerate(zip(parts, self._packed_sizes, strict=True)):
                if len(part) == size:
                    self._unpack(section, block, part)
        except DamagedError as error:
            self._errors[block] = str(error)
            return [b""] * self._n_sections
        return parts

    def _unpack(self, section: int, block: int, data: bytes) -> None:
        ends, bits = self._sections.ends, self._sections.bits
        count = self._n_frames * (ends[section] - (ends[section - 1] if section else 0))
        if data[-1] & (1 << -count * bits % 8) - 1:
            raise DamagedError("the padding of the payload is not zero")
        lane = section * self._n_blocks + block
        self._packed_codes[lane] = unpack_codes(data, count, bits).reshape(self._n_frames, -1)
        self._is_packed[lane] = True

    def run(self, code_of_symbol: Codes) -> None:
        """Decode the codes.

        Args:
            code_of_symbol: the code of each symbol, `[codebooks, codes]`.

        Raises:
            DamagedError: the first error in the order of the blocks.
        """
        self._raise_error(0)
        lane_of = np.empty(self._n_blocks, np.intp)
        for channel in self._channels:
            symbols = np.zeros((channel.n_decoded, self._n_blocks, self._n_frames), np.int64)
            self._fill_packed(channel, symbols)
            for index in range(channel.n_decoded):
                groups = channel.sections_with(index)
                for section, group in groups:
                    lane_of[group] = section * self._n_blocks + group
                blocks = merged([group for _, group in groups])
                if self._packed_codes:
                    blocks = blocks[~self._is_packed[lane_of[blocks]]]
                if len(blocks):
                    self._decoder.read(symbols, index, lane_of[blocks], blocks)
            for part, group in channel.groups:
                found = code_of_symbol[np.arange(part.n_wanted)[:, None, None], symbols[: part.n_wanted, group]]
                self._codes[group, :, part.first : part.first + part.n_wanted] = found.transpose(1, 2, 0)
        for block in range(self._n_blocks):
            self._raise_error(block)
            for section in range(self._n_sections - (not self._complete)):
                lane = section * self._n_blocks + block
                if not self._is_packed[lane]:
                    self._decoder.finish(lane)

    def _raise_error(self, block: int) -> None:
        if block in self._errors:
            raise DamagedError(self._errors[block])

    def _fill_packed(self, channel: ChannelSlice, symbols: Symbols) -> None:
        """Fill in the symbols `[codebooks, blocks, frames]` of packed sections, which are known without decoding."""
        for lane, codes in self._packed_codes.items():
            section, block = divmod(lane, self._n_blocks)
            part = channel.parts[block]
            start, stop = part.bounds[section], min(part.bounds[section + 1], part.n_decoded)
            if start < stop:
                at = part.before[section]
                codebooks = np.arange(start, stop)[:, None]
                symbols[start:stop, block] = self._tables.symbols[codebooks, codes[:, at : at + stop - start].T]

    def truncated_payloads(self) -> list[bytes | None]:
        """After `run`: the payload of the decoded codebooks of each block, None where it must be encoded again."""
        kept = self._sections.of_first(self._n_kept)
        packed_size = kept.packed_sizes(self._n_frames)[-1]
        found: list[bytes | None] = []
        for block, parts in enumerate(self._parts):
            last = parts[-1] if self._complete else self._last_prefix(block, packed_size)
            found.append(None if last is None else kept.join([*parts[:-1], last]))
        return found

    def _last_prefix(self, block: int, packed_size: int) -> bytes | None:
        """The consumed prefix of the last section; None if that is not the encoding of the wanted codebooks.

        It is not where the section is packed, where unwanted codebooks were decoded, or where it would not be smaller
        than packed codes.
        """
        lane = (self._n_sections - 1) * self._n_blocks + block
        parts = [channel.parts[block] for channel in self._channels]
        if self._is_packed[lane] or any(part.n_decoded != part.n_wanted for part in parts):
            return None
        prefix = self._decoder.consumed_prefix(lane)
        return prefix if len(prefix) < packed_size else None
