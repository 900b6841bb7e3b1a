"""What every codec to be measured offers: `encode` to the bytes of a file, `decode` back to samples."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from nac.arrays import Samples

Rates = tuple[float, ...]


class Codec(Protocol):
    """What the sweep needs to know of a codec. Instances are small, hashable and can be sent to other processes."""

    @property
    def name(self) -> str:
        """Shown in tables and charts; no two codecs of a sweep share it."""

    @property
    def rates(self) -> Rates:
        """Kbps that are tried unless others are asked for."""

    @property
    def lossless(self) -> bool:
        """Whether only the size matters: what comes back is equal, and is not scored."""

    def missing(self) -> str | None:
        """One line on what must be installed, None if nothing is missing."""

    def identity(self) -> str:
        """Version and weights: two codecs of equal identity make equal files."""

    def prepare(self) -> None:
        """Load what is kept for all clips, so that it does not count as time of the first."""

    def encode(self, audio: Samples, sample_rate: int, kbps: float, folder: Path) -> bytes:
        """`[channels, samples]` to the bytes of a file. `folder` is empty and may be written to."""

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Samples, int]:
        """The file back to `[channels, samples]` and their rate; `sample_rate` is the rate the original had."""


@lru_cache(maxsize=16)
def file_hash(path: Path) -> str:
    """The start of the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
