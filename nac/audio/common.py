"""What the modules of this package share."""

from __future__ import annotations

import warnings
from typing import Protocol

from nac.arrays import Samples
from nac.errors import AudioWarning, IncompleteAudioWarning

MAX_RATE = 0xFFFFFF


def warn(message: str) -> None:
    """Issue an `AudioWarning`."""
    warnings.warn(AudioWarning(message), stacklevel=3)


def warn_incomplete(message: str) -> None:
    """Issue an `IncompleteAudioWarning`."""
    warnings.warn(IncompleteAudioWarning(message), stacklevel=3)


class Backend(Protocol):
    """One way of reading audio. `frames` is exact or None, `expected` a guess or None."""

    sample_rate: int
    channels: int
    frames: int | None
    expected: int | None

    def read(self, samples: int) -> Samples:
        """`[channels, up to n]` samples, none at the end."""
        ...

    def close(self) -> None: ...
