"""Which weights a file holds, read from its header without loading them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nac.errors import NacError

# A header of a weights file is a few kilobytes; what claims more is something else.
_MAX_HEADER = 16 << 20


@dataclass(frozen=True)
class Weights:
    """What tells weights apart: which files they decode (fingerprint), and how often the decoder was improved."""

    fingerprint: int
    generation: str | None


def read_weights_header(path: str | os.PathLike[str]) -> Weights | None:
    """Fingerprint and generation of a safetensors file; None if it is not a weights file of nac.

    The file begins with the length of a JSON text (8 bytes, little-endian) and that text.
    """
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _MAX_HEADER:
                return None
            notes: dict[str, Any] = json.loads(file.read(size))["__metadata__"]
            return Weights(int(notes["fingerprint"], 16), notes.get("generation"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def find_weights(model: str | None) -> Weights | None:
    """The weights that would decode: those at `model`, else the packaged ones; None where there are none."""
    from nac.packaged import default_weights

    try:
        return read_weights_header(default_weights() if model is None else Path(model))
    except NacError:
        return None
