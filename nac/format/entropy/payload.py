"""Entropy coded payloads: each code is a path of binary decisions down a tree, each with a probability from tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nac.arrays import Codes
from nac.format.bits import pack_codes
from nac.format.entropy.contexts import Symbols, contexts_of
from nac.format.entropy.range_coder import ScalarDecoder, ScalarEncoder
from nac.format.entropy.section_decoder import SectionDecoder
from nac.format.entropy.sections import BATCH, Sections
from nac.format.entropy.tables import EntropyTables
from nac.format.entropy.vectorized import VectorizedDecoder, VectorizedEncoder
from nac.format.header import Metadata

VECTORIZED_FROM = 48
"""From so many blocks on decoding is vectorised, and from twice as many on encoding: it is faster then."""
MAX_LANES = 2048
"""Most blocks in one vectorised batch."""
MAX_CODES = 1024 * 2400
"""Most codes in one vectorised batch: a bound on memory."""

AnyDecoder = type[VectorizedDecoder] | type[ScalarDecoder]
AnyEncoder = type[VectorizedEncoder] | type[ScalarEncoder]


class EntropyPayload:
    """Payload coder for the entropy codings.

    A payload consists of the sections that its coding has; in each the codes follow channel by channel, then codebook
    by codebook. A section that would not be smaller than packed codes is packed, which its size shows.
    """

    def __init__(
        self,
        meta: Metadata,
        tables: EntropyTables,
        *,
        vectorized_from: int = VECTORIZED_FROM,
        max_codes: int = MAX_CODES,
    ) -> None:
        """A coder for the payloads of one file.

        Args:
            meta: of the file.
            tables: the ones that the file names.
            vectorized_from: from how many blocks on decoding is vectorised; encoding from twice as many. The bytes
                are the same either way.
            max_codes: the most codes in one vectorised batch.
        """
        self._meta = meta
        self._tables = tables
        self._vectorized_from, self._max_codes = vectorized_from, max_codes
        self._sections = Sections(meta.coding, meta.codebooks, meta.channels, meta.bits)

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Encode blocks.

        Args:
            codes: `[blocks, frames, codebooks]`, each from 0 to 2**bits - 1; the first codebooks if there are fewer
                than the file has.
            lags: side lag of each block.

        Returns:
            The payload of each block.
        """
        vectorized = len(codes) >= 2 * self._vectorized_from
        encoder: AnyEncoder = VectorizedEncoder if vectorized else ScalarEncoder
        parts = _slices(len(codes), self._max_lanes(codes[0].size) if vectorized else BATCH)
        return [payload for part in parts for payload in self._encode(codes[part], lags[part], encoder)]

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        """Decode blocks.

        Args:
            payloads: of blocks with the same number of frames.
            frames: that number.
            lags: side lag of each block.
            codebooks: keep the first ones over all channels, None: all. Of what follows them in a payload only the
                length is checked.

        Returns:
            Codes, uint16 `[blocks, frames, codebooks]`.

        Raises:
            DamagedError: a payload is not one that an encoder makes.
        """
        codes = np.empty((len(payloads), frames, codebooks or self._meta.codebooks), np.uint16)
        for part, make_decoder in self._batches(codes):
            self._decode(make_decoder, payloads[part], lags[part], codes[part])
        return codes

    def truncate(self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int) -> list[bytes]:
        """Reduce payloads to those of their first codebooks: what `encode` makes of these codes.

        They are decoded as far as needed, but few are encoded again: the first bytes do not depend on what follows.

        Args:
            payloads: of blocks with the same number of frames.
            frames: that number.
            lags: side lag of each block.
            codebooks: how many to keep, over all channels.

        Raises:
            DamagedError: as `decode`.
        """
        codes = np.empty((len(payloads), frames, codebooks), np.uint16)
        out: list[bytes | None] = []
        for part, make_decoder in self._batches(codes):
            out += self._decode(make_decoder, payloads[part], lags[part], codes[part]).truncated_payloads()
        missing = [number for number, payload in enumerate(out) if payload is None]
        encoded = iter(self.encode(codes[missing], [lags[number] for number in missing]))
        return [next(encoded) if payload is None else payload for payload in out]

    def _batches(self, codes: Codes) -> Iterator[tuple[slice, AnyDecoder]]:
        """The blocks to be decoded at a time, and the decoder."""
        blocks, frames, kept = codes.shape
        most = kept if self._meta.channels == 1 else self._sections.ends[self._sections.needed(kept) - 1]
        vectorized = blocks >= self._vectorized_from
        for part in _slices(blocks, self._max_lanes(frames * most) if vectorized else 1):
            yield part, VectorizedDecoder if vectorized else ScalarDecoder

    def _decode(
        self, make_decoder: AnyDecoder, payloads: Sequence[bytes], lags: Sequence[int], codes: Codes
    ) -> SectionDecoder:
        """Fill `codes`."""
        decoder = SectionDecoder(self._sections, self._tables, make_decoder, payloads, lags, codes)
        decoder.run(_code_of_symbol(self._tables))
        return decoder

    def _encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int], make_encoder: AnyEncoder) -> list[bytes]:
        blocks, frames, codebooks = codes.shape
        kept = self._sections.of_first(codebooks)
        encoders = [make_encoder(blocks) for _ in kept.ends]
        for channel in kept.channel_slices(lags, codebooks):
            symbols = np.zeros((channel.n_decoded, blocks, frames), np.int64)
            for part, group in channel.groups:
                own = codes[group, :, part.first : part.first + part.n_decoded].transpose(2, 0, 1)
                symbols[: part.n_decoded, group] = self._tables.symbols[np.arange(part.n_decoded)[:, None, None], own]
            for index in range(channel.n_decoded):
                for section, group in channel.sections_with(index):
                    batches = [group[batch] for batch in _slices(len(group), BATCH)]
                    decisions = [self._decisions(symbols[: index + 1, batch], index) for batch in batches]
                    encoders[section].write(np.concatenate(decisions).reshape(len(group), -1), group)
        sections = zip(*(encoder.sections() for encoder in encoders), strict=True)
        sizes = kept.packed_sizes(frames)
        out = []
        for number, (lag, coded) in enumerate(zip(lags, sections, strict=True)):
            found = [*coded]
            for section, (size, columns) in enumerate(zip(sizes, kept.columns(lag), strict=True)):
                if len(found[section]) >= size:
                    found[section] = pack_codes(codes[number][:, columns].reshape(-1), self._meta.bits)
            out.append(kept.join(found))
        return out

    def _decisions(self, symbols: Symbols, codebook: int) -> npt.NDArray[np.uint16]:
        """The decisions `[blocks, frames, bits]`, as encoders take them, of one codebook.

        `symbols` `[codebooks, blocks, frames]` holds this one and those before it.
        """
        bits, tables = self._meta.bits, self._tables.codebooks[codebook]
        path = symbols[codebook]
        levels = np.arange(bits)[:, None, None]  # first, for the sake of speed
        nodes = (1 << levels) | path >> (bits - levels)
        total = tables.bias.take(nodes).astype(np.int16)
        for context, logits in zip(contexts_of(codebook), tables.logits, strict=True):
            upper = nodes[: logits.shape[1].bit_length() - 1]
            rows = context.rows(symbols, len(logits), bits) * logits.shape[1]
            total[: len(upper)] += logits.take(rows + upper, mode="clip")
        one: npt.NDArray[np.uint16] = self._tables.probability.take(total, mode="wrap")
        # The lowest bit is the decision itself.
        out: npt.NDArray[np.uint16] = one << 1 | (path >> (bits - 1 - levels) & 1).astype(np.uint16)
        return np.moveaxis(out, 0, 2)

    def _max_lanes(self, codes: int) -> int:
        """Most blocks of so many codes each in one vectorised batch."""
        return min(MAX_LANES, max(self._vectorized_from, self._max_codes // codes))


@lru_cache(maxsize=4)
def _code_of_symbol(tables: EntropyTables) -> Codes:
    """The code of each symbol, `[codebooks, codes]`."""
    return np.argsort(tables.symbols, axis=1).astype(np.uint16)


def _slices(count: int, step: int) -> list[slice]:
    return [slice(first, first + step) for first in range(0, count, step)]
