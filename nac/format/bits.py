"""Codes to bytes and back: each code takes `bits` bits, most significant bit first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nac.arrays import Codes
from nac.errors import DamagedError

# Few codes go by way of an array with one number for each bit: five operations.
FEW = 4096
# For many, which that would not be good for: eight codes fill exactly `bits` bytes. Working on such groups, each byte
# of a group is put together from the one to nine codes that reach into it by shifts on whole columns, some twenty
# operations however long the data are.
GROUP = 8


def packed_bytes(count: int, bits: int) -> int:
    """Bytes that hold `count` codes."""
    return (count * bits + 7) // 8


def pack_codes(codes: npt.NDArray[np.integer], bits: int) -> bytes:
    """Pack codes into bytes, padded with zero bits to a whole byte.

    Args:
        codes: `[count]`, each from 0 to 2**bits - 1.
        bits: of a code.

    >>> pack_codes(np.array([1, 1023]), 10).hex()
    '007ff0'
    """
    return pack_rows(codes[None], bits).tobytes()


def unpack_codes(data: bytes | memoryview, count: int, bits: int) -> Codes:
    """Unpack bytes made by `pack_codes`.

    Args:
        data: at least the bytes of `count` codes.
        count: codes to unpack.
        bits: of a code.

    Returns:
        The first codes, uint16 `[count]`.

    Raises:
        DamagedError: there are too few bytes.

    >>> unpack_codes(bytes.fromhex("007ff0"), 2, 10).tolist()
    [1, 1023]
    """
    if len(data) < packed_bytes(count, bits):
        raise DamagedError(f"{len(data)} bytes are too few for {count} codes of {bits} bits")
    return unpack_rows(np.frombuffer(data, np.uint8)[None], count, bits).reshape(-1)


def pack_rows(codes: npt.NDArray[np.integer], bits: int) -> npt.NDArray[np.uint8]:
    """Pack each row of codes `[rows, count]` on its own; bytes `[rows, packed_bytes(count, bits)]`."""
    rows, count = codes.shape
    if codes.size <= FEW:
        single = np.unpackbits(np.ascontiguousarray(codes, ">u2").view(np.uint8), axis=1).reshape(rows, count, 16)
        return np.packbits(single[:, :, 16 - bits :].reshape(rows, count * bits), axis=1)
    groups = -(-count // GROUP)
    padded = np.zeros((rows, groups * GROUP), np.uint16)
    padded[:, :count] = codes
    grouped = padded.reshape(rows, groups, GROUP)
    packed = np.zeros((rows, groups, bits), np.uint8)
    for byte in range(bits):
        for code in range(GROUP):
            # distance from the code's last bit down to the byte's last bit
            shift = 8 * (byte + 1) - bits * (code + 1)
            if -bits < shift < 8:  # the code reaches into the byte
                column = grouped[:, :, code]
                packed[:, :, byte] |= (column << shift if shift >= 0 else column >> -shift).astype(np.uint8)
    return packed.reshape(rows, groups * bits)[:, : packed_bytes(count, bits)]


def unpack_rows(data: npt.NDArray[np.uint8], count: int, bits: int) -> Codes:
    """The first `count` codes of each row of bytes `[rows, bytes]`; uint16 `[rows, count]`."""
    rows = data.shape[0]
    if rows * count <= FEW:
        single = np.zeros((rows, count, 16), np.uint8)
        single[:, :, 16 - bits :] = np.unpackbits(data, axis=1, count=count * bits).reshape(rows, count, bits)
        return np.packbits(single, axis=2).view(">u2").astype(np.uint16).reshape(rows, count)
    groups = -(-count // GROUP)
    size = packed_bytes(count, bits)
    padded = np.zeros((rows, groups * bits), np.uint16)
    padded[:, :size] = data[:, :size]
    grouped = padded.reshape(rows, groups, bits)
    codes = np.zeros((rows, groups, GROUP), np.uint16)
    for code in range(GROUP):
        for byte in range(bits * code // 8, (bits * (code + 1) - 1) // 8 + 1):
            shift = 8 * (byte + 1) - bits * (code + 1)
            column = grouped[:, :, byte]
            codes[:, :, code] |= column >> shift if shift >= 0 else column << -shift
    codes &= np.uint16((1 << bits) - 1)
    return codes.reshape(rows, groups * GROUP)[:, :count]
