"""Packets for datagrams: some frames, coded for themselves, and perhaps the first codebooks of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nac.arrays import Codes
from nac.errors import FormatError, OptionError
from nac.format.bits import pack_codes, packed_bytes, unpack_codes
from nac.format.codebooks import first_codebooks
from nac.format.layout import check_side_lag, split_codebooks

VERSION = 1
BITS = 10
"""Of a code in packets of this version; 50 frames are a second."""
MAX_BYTES = 1200
"""What passes every network of today in one piece."""
NUMBERS = 1 << 16
"""Frames are numbered modulo this."""
STEREO = 1
"""The flag in the first byte; the other three low bits are zero."""
HEAD_BYTES = 7
MAX_DISTANCE = 255


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive frames in a packet.

    Attributes:
        first: number of the first frame, 0 to 65,535.
        codes: uint16 `[frames, codebooks]`, mid before side.
        side_lag: by how many codebooks side has fewer than mid; 0 for mono.
    """

    first: int
    codes: Codes
    side_lag: int = 0

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.codes)

    def channels(self, channels: int) -> list[Codes]:
        """The codes of each channel, `[codebooks of the channel, frames]`."""
        mid = split_codebooks(self.codes.shape[1], channels, self.side_lag)[0]
        parts = [self.codes[:, :mid], self.codes[:, mid:]][:channels]
        return [np.ascontiguousarray(part.T) for part in parts]

    def reduced(self, channels: int, codebooks: int) -> Run:
        """The same frames with their first codebooks, over all channels."""
        codes = first_codebooks(self.codes[None], [self.side_lag], channels, codebooks)[0]
        return Run(self.first, codes, self.side_lag)


@dataclass(frozen=True, eq=False)
class Packet:
    """A packet.

    Attributes:
        model: the first 16 bits of the fingerprint of the model's quantizer.
        channels: 1 or 2.
        own: the frames that the packet is for.
        earlier: frames before them, with fewer codebooks, for when their own packet is lost.

    >>> run = Run(5, np.array([[1, 1023]], np.uint16))
    >>> Packet(0x0123, 1, run).pack().hex()
    '10012300050102007ff0'
    """

    model: int
    channels: int
    own: Run
    earlier: Sequence[Run] = ()

    def pack(self) -> bytes:
        """The bytes.

        Raises:
            OptionError: they are more than 1,200, or a value does not fit.
        """
        head = bytes([VERSION << 4 | (STEREO if self.channels == 2 else 0)])
        head += (self.model % NUMBERS).to_bytes(2, "big") + (self.own.first % NUMBERS).to_bytes(2, "big")
        parts = [head, self._run(self.own)]
        for run in self.earlier:
            distance = (self.own.first - run.first) % NUMBERS
            if not 1 <= distance <= MAX_DISTANCE:
                raise OptionError(f"frames {distance} before those of a packet cannot go with it; 1 to {MAX_DISTANCE}")
            parts += [bytes([distance]), self._run(run)]
        data = b"".join(parts)
        if len(data) > MAX_BYTES:
            raise OptionError(f"the packet takes {len(data)} bytes; {MAX_BYTES} is the most: use fewer frames or kbps")
        return data

    def _run(self, run: Run) -> bytes:
        check_side_lag(run.side_lag, self.channels)
        frames, codebooks = run.codes.shape
        if not (1 <= frames <= 255 and 1 <= codebooks <= 255):
            raise OptionError(f"{frames} frames of {codebooks} codebooks do not fit a packet; 1 to 255 of each do")
        lag = bytes([run.side_lag]) if self.channels == 2 else b""
        return bytes([frames, codebooks]) + lag + pack_codes(run.codes.reshape(-1), BITS)


def parse_packet(data: bytes) -> Packet:
    """Read a packet.

    Args:
        data: of one datagram.

    Raises:
        FormatError: these are not the bytes of a packet that this program knows.
    """
    if not HEAD_BYTES <= len(data) <= MAX_BYTES:
        raise FormatError(f"a packet has {HEAD_BYTES} to {MAX_BYTES} bytes, not {len(data)}")
    if data[0] >> 4 != VERSION or data[0] & 0xF & ~STEREO:
        raise FormatError(f"the packet begins with {data[0]:02x}: it is not one of version {VERSION}")
    channels = 2 if data[0] & STEREO else 1
    model, first = (int.from_bytes(data[at : at + 2], "big") for at in (1, 3))
    own, position = _parse_run(data, 5, first, channels)
    earlier = []
    while position < len(data):
        if data[position] == 0:
            raise FormatError("frames that go with a packet lie before its own")
        run, position = _parse_run(data, position + 1, (first - data[position]) % NUMBERS, channels)
        earlier.append(run)
    return Packet(model, channels, own, earlier)


def _parse_run(data: bytes, position: int, first: int, channels: int) -> tuple[Run, int]:
    start = position + 1 + channels
    if start > len(data):
        raise FormatError("the packet is cut short")
    frames, codebooks = data[position : position + 2]
    lag = data[position + 2] if channels == 2 else 0
    count = frames * codebooks
    end = start + packed_bytes(count, BITS)
    if not count or end > len(data):
        raise FormatError(f"the packet states {frames} frames of {codebooks} codebooks, which it does not hold")
    if data[end - 1] & ((1 << -count * BITS % 8) - 1):
        raise FormatError("the padding of the packet is not zero")
    codes = unpack_codes(data[start:end], count, BITS).reshape(frames, codebooks)
    return Run(first, codes, lag), end
