"""Files of version 0, which can be recognised and explained but not decoded."""

from __future__ import annotations

import json
from dataclasses import dataclass

MAX_KBPS = 24
"""48 codebooks of 0.5 kbps, the most that version 0 knew."""


@dataclass(frozen=True)
class Version0:
    """The header of a version 0 file: a nominal bit rate and a JSON text (in practice `null`)."""

    kbps: int
    metadata: str

    def duration(self, payload_bytes: int) -> float:
        """Estimated length in seconds, from the size of the payload and the nominal bit rate.

        >>> Version0(24, "null").duration(156_000)
        52.0
        """
        return payload_bytes * 8 / (self.kbps * 1000)

    @property
    def refusal(self) -> str:
        """The reason, in one line, why such a file cannot be decoded."""
        return (
            "this is a version 0 .nac file, which names neither its model nor its sample rate, channels or length "
            "and so cannot be decoded; only the program that made it can (nac info explains what it holds)"
        )


def parse_version0(kbps: int, metadata: bytes) -> Version0 | None:
    """The header of a version 0 file, or None when these bytes cannot be one."""
    try:
        text = metadata.decode("utf-8")
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Version0(kbps, text) if 1 <= kbps <= MAX_KBPS else None
