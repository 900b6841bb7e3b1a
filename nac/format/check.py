"""Is a file intact, and what does it hold? Reads every byte and verifies every checksum, without unpacking a code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from nac.format.header import HEADER_BYTES, Metadata, pack_header, read_any_header
from nac.format.scan import Damage, Scanner
from nac.format.version0 import Version0

MOST_LISTED = 1000
READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Report:
    """Result of `check`.

    Attributes:
        version: of the format, 0 or 1.
        metadata: None for version 0.
        kbps: the nominal bit rate.
        total_bytes: of the file.
        payload_bytes: of the codes in intact blocks.
        intact_blocks: how many.
        damaged_blocks: how many, as far as known.
        frames: in blocks and as damage; 0 for version 0.
        lost_frames: those of `frames` that are lost.
        samples: per channel; None if the file does not state it.
        damage: where and why; the first 1000.
        duration: in seconds, estimated where `samples` is None.
    """

    version: int
    metadata: Metadata | None
    kbps: int
    total_bytes: int
    payload_bytes: int
    intact_blocks: int
    damaged_blocks: int
    frames: int
    lost_frames: int
    samples: int | None
    damage: tuple[Damage, ...]
    duration: float

    @property
    def intact(self) -> bool:
        """Whether no damage was found; version 0 has no checksums, so in it none can be."""
        return not self.damage

    @property
    def payload_kbps(self) -> float | None:
        """Bit rate of the codes alone, in kbps; None without duration."""
        return self._rate(self.payload_bytes)

    @property
    def total_kbps(self) -> float | None:
        """Bit rate of the whole file, in kbps; None without duration."""
        return self._rate(self.total_bytes)

    def damage_seconds(self, damage: Damage) -> tuple[float, float]:
        """When the sound that is lost by one of `damage` begins and ends, in seconds."""
        return damage.seconds(self.metadata.frame_rate if self.metadata else 1)

    def _rate(self, size: int) -> float | None:
        return size * 8 / 1000 / self.duration if self.duration else None


def check(source: str | os.PathLike[str] | BinaryIO) -> Report:
    """Read a file or binary stream from its header to its end.

    Args:
        source: a path, or a stream at the start of the file.

    Returns:
        What the file holds, and the damage found.

    Raises:
        FormatError: this is not a `.nac` file, or one of a newer version.
        DamagedError: its metadata are damaged.

    >>> import io
    >>> meta = Metadata(24000, 1, samples=960, kbps=1, codebooks=2, fingerprint=7, model="test")
    >>> report = check(io.BytesIO(pack_header(meta) + bytes.fromhex("03004040080500fff0549db1cf")))
    >>> report.intact, report.frames, report.payload_bytes, report.duration
    (True, 3, 8, 0.04)
    """
    with _opened(source) as stream:
        found = read_any_header(stream)
        return _check_version0(stream, found) if isinstance(found, Version0) else _check_blocks(stream, found)


@contextlib.contextmanager
def _opened(source: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as stream:
            yield stream
    else:
        yield source


def _check_version0(stream: BinaryIO, header: Version0) -> Report:
    payload = 0
    while piece := stream.read(READ_BYTES):
        payload += len(piece)
    return Report(
        version=0,
        metadata=None,
        kbps=header.kbps,
        total_bytes=HEADER_BYTES + len(header.metadata.encode()) + payload,
        payload_bytes=payload,
        intact_blocks=0,
        damaged_blocks=0,
        frames=0,
        lost_frames=0,
        samples=None,
        damage=(),
        duration=header.duration(payload),
    )


def _check_blocks(stream: BinaryIO, meta: Metadata) -> Report:
    scanner = Scanner(stream, meta)
    payload = intact = damaged = lost = 0
    damage: list[Damage] = []
    for item in scanner:
        if isinstance(item, Damage):
            lost += item.frames
            damaged += -(-item.frames // meta.block_frames)
            if len(damage) < MOST_LISTED:
                damage.append(item)
        else:
            intact += 1
            payload += len(item.payload)
    frames, samples = scanner.frames, scanner.samples
    # The last frame only completes the overlap.
    duration = max(0, frames - 1) / meta.frame_rate if samples is None else samples / meta.sample_rate
    return Report(
        version=1,
        metadata=meta,
        kbps=meta.kbps,
        total_bytes=len(pack_header(meta)) + scanner.drain(),
        payload_bytes=payload,
        intact_blocks=intact,
        damaged_blocks=damaged,
        frames=frames,
        lost_frames=lost,
        samples=samples,
        damage=tuple(damage),
        duration=duration,
    )
