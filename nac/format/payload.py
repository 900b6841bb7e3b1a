"""Payload coders: codes of blocks to the bytes of their payloads and back.

A coder takes many blocks at a time, all with the same number of frames: codes `[blocks, frames, codebooks]`, the
channels side by side, mid first; and the side lag of each block. Another coding is another class with these two methods
in `CODERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nac.format.bits import Codes, pack_rows, unpack_rows
from nac.format.codebooks import first_codebooks
from nac.format.entropy import EntropyPayload
from nac.format.header import Metadata
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, PACKED


class PayloadCoder(Protocol):
    """What a coding of payloads has to do."""

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        """Codes `[blocks, frames, codebooks]` to the payload of each block."""

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        """Payloads to codes, uint16 `[blocks, frames, codebooks]`. Raises DamagedError when they cannot be codes.

        codebooks: how many of them, over all channels, are left when the bit rate is lowered; None: all.
        """


class PackedPayload:
    """Codes one after another, frame by frame, each in the same number of bits.

    >>> meta = Metadata(24000, 1, samples=960, kbps=1, codebooks=2, bits=8, fingerprint=7, model="test")
    >>> PackedPayload(meta).encode(np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]), [0, 0])
    [b'\\x01\\x02\\x03\\x04', b'\\x05\\x06\\x07\\x08']
    """

    def __init__(self, meta: Metadata) -> None:
        self.channels = meta.channels
        self.codebooks = meta.codebooks
        self.bits = meta.bits

    def encode(self, codes: npt.NDArray[np.integer], lags: Sequence[int]) -> list[bytes]:
        rows = pack_rows(codes.reshape(len(codes), -1), self.bits)
        return [row.tobytes() for row in rows]

    def decode(
        self, payloads: Sequence[bytes], frames: int, lags: Sequence[int], codebooks: int | None = None
    ) -> Codes:
        rows = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1)
        codes = unpack_rows(rows, frames * self.codebooks, self.bits).reshape(-1, frames, self.codebooks)
        return first_codebooks(codes, lags, self.channels, codebooks or self.codebooks)


CODERS: dict[int, Callable[[Metadata], PayloadCoder]] = {
    PACKED: PackedPayload,
    ENTROPY_WHOLE: EntropyPayload,
    ENTROPY: EntropyPayload,
}


def payload_coder(meta: Metadata) -> PayloadCoder:
    """The coder for a file's payloads."""
    return CODERS[meta.coding](meta)
