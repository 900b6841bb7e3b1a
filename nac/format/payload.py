"""Payload coders: codes of blocks to the bytes of their payloads and back.

A coder takes many blocks at a time, all with the same number of frames: codes `[blocks, frames, codebooks]`, the
channels side by side, mid first; and the side lag of each block. A new coding is another class with these two methods,
made by an entry of `CODERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nac.arrays import Codes
from nac.format.bits import pack_rows, unpack_rows
from nac.format.codebooks import first_codebooks
from nac.format.entropy.payload import EntropyPayload
from nac.format.entropy.tables import TableLibrary
from nac.format.header import Metadata
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, PACKED


class PayloadCoder(Protocol):
    """Interface of all codings."""

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Encode blocks.

        Args:
            codes: `[blocks, frames, codebooks]`, each from 0 to 2**bits - 1.
            lags: side lag of each block.

        Returns:
            The payload of each block.
        """

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        """Decode blocks.

        Args:
            payloads: of blocks with the same number of frames.
            frames: that number.
            lags: side lag of each block.
            codebooks: keep the first ones over all channels; None: all.

        Returns:
            Codes, uint16 `[blocks, frames, codebooks]`.

        Raises:
            DamagedError: a payload is not one that an encoder makes.
        """


class PackedPayload:
    r"""Payload coder for packed codes: frame by frame, each code in the same number of bits.

    >>> meta = Metadata(24000, 1, samples=960, kbps=1, codebooks=2, bits=8, fingerprint=7, model="test")
    >>> PackedPayload(meta).encode(np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]), [0, 0])
    [b'\x01\x02\x03\x04', b'\x05\x06\x07\x08']
    """

    def __init__(self, meta: Metadata) -> None:
        """A coder for the payloads of one file."""
        self.channels = meta.channels
        self.codebooks = meta.codebooks
        self.bits = meta.bits

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """As `PayloadCoder.encode`."""
        rows = pack_rows(codes.reshape(len(codes), -1), self.bits)
        return [row.tobytes() for row in rows]

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        """As `PayloadCoder.decode`."""
        rows = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1)
        codes = unpack_rows(rows, frames * self.codebooks, self.bits).reshape(-1, frames, self.codebooks)
        return first_codebooks(codes, lags, self.channels, codebooks or self.codebooks)


def _packed(meta: Metadata, tables: TableLibrary | None) -> PayloadCoder:
    return PackedPayload(meta)


def _entropy_coded(meta: Metadata, tables: TableLibrary | None) -> PayloadCoder:
    return EntropyPayload(meta, (tables or TableLibrary()).for_file(meta))


CODERS: dict[int, Callable[[Metadata, TableLibrary | None], PayloadCoder]] = {
    PACKED: _packed,
    ENTROPY_WHOLE: _entropy_coded,
    ENTROPY: _entropy_coded,
}
"""Makes the payload coder of each coding."""


def payload_coder(meta: Metadata, tables: TableLibrary | None = None) -> PayloadCoder:
    """Make the coder for a file's payloads.

    Args:
        meta: of the file.
        tables: needed where the codes are entropy coded.

    Raises:
        FormatError: the tables that the file names are not among `tables`.
    """
    return CODERS[meta.coding](meta, tables)
