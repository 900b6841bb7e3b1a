"""Where things lie in a file: sizes of blocks, frames of a block, codebooks of a channel. Arithmetic only."""

from __future__ import annotations

from functools import lru_cache

from nac.errors import FormatError, OptionError
from nac.format.header import Metadata

PACKED = 0
ENTROPY_WHOLE = 1
"""Entropy coded, a payload as a whole: what was written before there were sections."""
ENTROPY = 2
"""Entropy coded in sections."""
ENTROPY_CODINGS = frozenset({ENTROPY_WHOLE, ENTROPY})
CODINGS = {PACKED, *ENTROPY_CODINGS}
"""Codings of the payload that this program knows. A new one needs its number here and an entry in `payload.CODERS`."""
ENTROPY_FROM = 3
"""Frames of a block from which on entropy coding makes it smaller: what it adds to every block, the lengths of the
payload and of its sections, then is less than what it saves."""
END_BYTES = 10
"""Size of the end block: a zero byte, the number of samples (5 bytes), the checksum (4)."""
CRC_BYTES = 4
MAX_LAG = 255
"""The most that its byte can state."""
MAX_PAYLOAD = 0xFFFF
"""Bytes of a payload whose length is stated: the most that two bytes can state."""
MAX_BLOCKS = 1 << 32
"""The number of a block takes four bytes; the end block has one too."""


def default_block_frames(channels: int, kbps: int) -> int:
    """Frames of a block for an encoder: one second, but more at mono 1 kbps, where overhead would exceed 5 %."""
    return 128 if channels == 1 and kbps == 1 else 50


@lru_cache(maxsize=4096)
def split_codebooks(codebooks: int, channels: int, side_lag: int) -> tuple[int, ...]:
    """Codebooks of each channel: all for mono; for stereo mid, then side, which has `side_lag` fewer (or none).

    With an odd number to be divided mid has one more.

    Args:
        codebooks: over all channels.
        channels: 1 or 2.
        side_lag: 0 to 255.

    >>> split_codebooks(12, 1, 0), split_codebooks(12, 2, 6), split_codebooks(12, 2, 3), split_codebooks(12, 2, 200)
    ((12,), (9, 3), (8, 4), (12, 0))
    """
    if channels == 1:
        return (codebooks,)
    side = max(0, codebooks - side_lag) // 2
    return (codebooks - side, side)


class Layout:
    """Sizes in a file with this metadata.

    What depends on the coding of the payload is here and in `payload`: a payload whose size does not follow from its
    number of frames (`fixed` is False) states it in two bytes after the block's first one or two.
    """

    def __init__(self, meta: Metadata) -> None:
        """The layout of a file.

        Raises:
            FormatError: this program does not know the coding.
        """
        if meta.coding not in CODINGS:
            raise FormatError(
                f"the codes are stored in a way (coding {meta.coding}) that is newer than this program: update nac"
            )
        self.meta = meta
        self.stereo = meta.channels == 2
        self.block_frames = meta.block_frames
        self.blocks = meta.blocks
        self.fixed = meta.coding == PACKED
        self.lag_bytes = 1 if self.stereo else 0
        self.head_bytes = 1 + self.lag_bytes + (0 if self.fixed else 2)
        self.frame_bits = meta.codebooks * meta.bits
        self.full_bytes = self.block_bytes(meta.block_frames)
        frames, blocks = meta.frames or 0, meta.blocks or 0
        self.last_frames = frames - (blocks - 1) * meta.block_frames if blocks else 0
        self.max_bytes = self.full_bytes if self.fixed else self.head_bytes + 0xFFFF + CRC_BYTES

    def payload_bytes(self, frames: int) -> int:
        """Bytes of packed codes of a block of this many frames."""
        return (frames * self.frame_bits + 7) // 8

    def padding_mask(self, frames: int) -> int:
        """The bits of a packed payload's last byte that must be zero."""
        return (1 << (-frames * self.frame_bits) % 8) - 1

    def block_bytes(self, frames: int) -> int:
        """Size of a block of packed codes, checksum included."""
        return self.head_bytes + self.payload_bytes(frames) + CRC_BYTES

    def stated_bytes(self, head: bytes) -> int:
        """Size of a block that states the size of its payload in the last two of its `head_bytes`."""
        return self.head_bytes + int.from_bytes(head[-2:], "big") + CRC_BYTES

    def frames_of(self, index: int) -> int:
        """Frames of block `index` of a file whose number of blocks is known."""
        return self.last_frames if index + 1 == self.blocks else self.block_frames

    def total_bytes(self, frames: int) -> int:
        """Size of all packed blocks of a file of this many frames, without header or end block."""
        whole, rest = divmod(frames, self.block_frames)
        return whole * self.full_bytes + (self.block_bytes(rest) if rest else 0)

    def split(self, side_lag: int) -> tuple[int, ...]:
        """Codebooks of each channel."""
        return split_codebooks(self.meta.codebooks, self.meta.channels, side_lag)


def check_side_lag(side_lag: int, channels: int) -> None:
    """Check a side lag.

    Raises:
        OptionError: it is not 0 to 255, or not 0 for mono.
    """
    highest = MAX_LAG if channels == 2 else 0
    if not 0 <= side_lag <= highest:
        raise OptionError(f"side_lag must be from 0 to {highest} with {channels} channel(s), not {side_lag}")
