"""What can be told about a `.nac` file without the model: facts from its header, its bytes and its checksums."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nac.errors import NacError
from nac.format.header import HEADER_BYTES, HOP, Metadata, pack_header, read_any_header
from nac.format.scan import Damage, Scanner
from nac.format.version0 import Version0

# A header of a weights file is a few kilobytes; what claims more is none.
_MAX_WEIGHTS_HEADER = 16 << 20
PCM_BYTES = 2


@dataclass(frozen=True)
class Survey:
    """Facts about one file. Bytes are counted as they lie in the file; times are in seconds."""

    metadata: Metadata
    total_bytes: int
    payload_bytes: int
    blocks: int
    frames: int
    samples: int | None
    damage: tuple[Damage, ...]

    @property
    def duration(self) -> float:
        """Seconds; where the number of samples is lost, estimated from the frames."""
        if self.samples is not None:
            return self.samples / self.metadata.sample_rate
        return max(0, self.frames - 1) / self.metadata.frame_rate

    @property
    def bandwidth(self) -> float:
        """Highest coded frequency in Hz: half the lower one of the sample rates of the original and the model."""
        return min(self.metadata.sample_rate, self.metadata.frame_rate * HOP) / 2

    def kbps(self, count: int) -> float | None:
        """Bit rate of so many bytes over the duration; None for an empty file."""
        return count * 8 / self.duration / 1000 if self.duration else None

    @property
    def ratio(self) -> float | None:
        """How many times smaller than the same audio as 16-bit PCM."""
        if not self.duration:
            return None
        return self.duration * self.metadata.sample_rate * self.metadata.channels * PCM_BYTES / self.total_bytes


@dataclass(frozen=True)
class Survey0:
    """What a version 0 file tells: its header, and a duration estimated from its size."""

    header: Version0
    total_bytes: int
    payload_bytes: int

    @property
    def duration(self) -> float:
        return self.header.duration(self.payload_bytes)


def survey(stream: BinaryIO) -> Survey | Survey0:
    """Read a file or pipe from its start to its end. Raises FormatError if it is no `.nac` file."""
    found = read_any_header(stream)
    if isinstance(found, Version0):
        payload = 0
        while piece := stream.read(1 << 16):
            payload += len(piece)
        return Survey0(found, HEADER_BYTES + len(found.metadata.encode()) + payload, payload)
    scanner = Scanner(stream, found)
    payload = blocks = 0
    damage: list[Damage] = []
    for item in scanner:
        if isinstance(item, Damage):
            damage.append(item)
        else:
            payload += len(item.payload)
            blocks += 1
    total = len(pack_header(found)) + scanner.drain()
    return Survey(found, total, payload, blocks, scanner.frames, scanner.samples, tuple(damage))


@dataclass(frozen=True)
class Weights:
    """Who a weights file is, from its header."""

    fingerprint: int
    generation: str | None


def read_weights_header(path: str | os.PathLike[str]) -> Weights | None:
    """Fingerprint and generation of a safetensors file, without loading it; None if it is no weights file of nac.

    The file begins with the length of a JSON text (8 bytes, little-endian) and that text.
    """
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _MAX_WEIGHTS_HEADER:
                return None
            notes: dict[str, Any] = json.loads(file.read(size))["__metadata__"]
            return Weights(int(notes["fingerprint"], 16), notes.get("generation"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def find_weights(model: str | None) -> tuple[Path | None, Weights | None]:
    """The weights that would decode: those at `model`, else the packaged ones; None where there are none."""
    from nac.packaged import default_weights

    try:
        path = default_weights() if model is None else Path(model)
    except NacError:
        return None, None
    return path, read_weights_header(path)
