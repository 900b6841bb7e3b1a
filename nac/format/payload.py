"""Payload coders: codes of a block to the bytes of its payload and back. Packed codes are the only coding so far.

A coder takes the codes of all channels together, `[frames, codebooks]`, the channels side by side, mid first. Another
coding is another class with these two methods, chosen in `payload_coder`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from nac.format.bits import Codes, pack_codes, unpack_codes
from nac.format.layout import Layout


class PayloadCoder(Protocol):
    """What a coding of payloads has to do."""

    def encode(self, codes: npt.NDArray[np.integer]) -> bytes:
        """Codes `[frames, codebooks]` to bytes."""

    def decode(self, payload: bytes, frames: int) -> Codes:
        """Bytes to codes, uint16 `[frames, codebooks]`. Raises DamagedError when the bytes cannot be codes."""


class PackedPayload:
    """Codes one after another, frame by frame, each in the same number of bits."""

    def __init__(self, codebooks: int, bits: int) -> None:
        self.codebooks = codebooks
        self.bits = bits

    def encode(self, codes: npt.NDArray[np.integer]) -> bytes:
        return pack_codes(codes.reshape(-1), self.bits)

    def decode(self, payload: bytes, frames: int) -> Codes:
        return unpack_codes(payload, frames * self.codebooks, self.bits).reshape(frames, self.codebooks)


def payload_coder(layout: Layout) -> PayloadCoder:
    """The coder for a file's payloads."""
    return PackedPayload(layout.meta.codebooks, layout.meta.bits)
