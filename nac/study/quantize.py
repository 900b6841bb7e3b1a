"""Numbers to bytes and back: latents, phases and codes as integers of any width, packed without gaps."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nac.errors import DamagedError
from nac.format.bits import pack_codes, packed_bytes, unpack_codes

Values = npt.NDArray[np.float32]
Coding = Literal["uniform", "max-norm", "cyclic", "codes"]


@dataclass(frozen=True)
class Part:
    """A table of numbers `[channels, count]` in a coded file, each `bits` bits wide.

    "uniform": even steps between the `bounds` of each channel, which the decoder knows. "max-norm": even steps up to
    the largest magnitude of each channel, which goes before them as a float32. "cyclic": angles, -π to π. "codes":
    whole numbers from 0 to 2**bits - 1.
    """

    channels: int
    count: int
    bits: int
    coding: Coding
    bounds: tuple[Values, Values] | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return packed_bytes(self.channels * self.count, self.bits) + 4 * self.channels * (self.coding == "max-norm")


def pack(parts: Sequence[Part], values: Sequence[npt.NDArray[np.generic]]) -> bytes:
    """The bytes of tables `[channels, count]`.

    >>> part = Part(1, 3, 8, "max-norm")
    >>> unpack([part], pack([part], [np.array([[0.5, -1.0, 0.0]], np.float32)]))[0].round(2).tolist()
    [[0.5, -1.0, 0.0]]
    """
    return b"".join(_write(part, table) for part, table in zip(parts, values, strict=True))


def unpack(parts: Sequence[Part], data: bytes) -> list[Values]:
    """The tables back as float32, "codes" too.

    Raises:
        DamagedError: The bytes are too few or too many.
    """
    if len(data) != sum(part.size for part in parts):
        raise DamagedError(f"{len(data)} bytes are not the {sum(part.size for part in parts)} that were coded")
    out, start = [], 0
    for part in parts:
        out.append(_read(part, data[start : start + part.size]))
        start += part.size
    return out


def deflate(data: bytes) -> tuple[bytes, bool]:
    """The data deflated and True, or as they are and False, whichever is smaller."""
    small = zlib.compress(data, 9)
    return (small, True) if len(small) < len(data) else (data, False)


def inflate(data: bytes, size: int) -> bytes:
    """The `size` bytes back that `deflate` made small.

    Raises:
        DamagedError: They are not so many.
    """
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise DamagedError(f"the payload is damaged ({error})") from None
    if len(out) != size or not stream.eof:
        raise DamagedError("the payload is damaged: it has another length than its header says")
    return out


def _write(part: Part, table: npt.NDArray[np.generic]) -> bytes:
    x = np.asarray(table, np.float64).reshape(part.channels, part.count)
    head, top = b"", (1 << part.bits) - 1
    if part.coding == "codes":
        codes = x
    elif part.coding == "cyclic":
        codes = np.round((x / (2 * np.pi) + 0.5) * (top + 1)) % (top + 1)
    elif part.coding == "max-norm":
        scale = np.abs(x).max(1, initial=0.0).astype(">f4")
        head, half = scale.tobytes(), top // 2
        codes = np.round(x / np.maximum(scale.astype(np.float64), 1e-30)[:, None] * half) + half
    else:
        low, width = _range(part)
        codes = np.round((x - low) / width * top)
    return head + pack_codes(np.clip(codes, 0, top).astype(np.uint16).reshape(-1), part.bits)


def _read(part: Part, data: bytes) -> Values:
    top, head = (1 << part.bits) - 1, 4 * part.channels * (part.coding == "max-norm")
    codes = unpack_codes(data[head:], part.channels * part.count, part.bits).reshape(part.channels, part.count)
    x = codes.astype(np.float64)
    if part.coding == "cyclic":
        x = (x / (top + 1) - 0.5) * 2 * np.pi
    elif part.coding == "max-norm":
        scale = np.frombuffer(data[:head], ">f4").astype(np.float64)
        if not np.isfinite(scale).all():
            raise DamagedError("the payload is damaged: a scale is not a number")
        x = (x - top // 2) / (top // 2) * scale[:, None]
    elif part.coding == "uniform":
        low, width = _range(part)
        x = low + x / top * width
    return x.astype(np.float32)


def _range(part: Part) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if part.bounds is None:
        raise ValueError("a uniform part needs bounds")
    low, high = (bound.astype(np.float64)[:, None] for bound in part.bounds)
    return low, np.maximum(high - low, 1e-6)
