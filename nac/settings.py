"""What encoding can be asked for: bit rates and efforts."""

from __future__ import annotations

import operator
from typing import Any

from nac.errors import OptionError

MAX_KBPS = 24
#: Whether codes are entropy coded unless told otherwise, where the weights have tables for it.
ENTROPY_DEFAULT = True
#: Paths kept by the codebook search, by name of the effort.
EFFORTS = {"fast": 1, "default": 10, "best": 32}
MAX_BEAM = 64


def beam_width(effort: str | int) -> int:
    """Paths kept by the codebook search.

    Args:
        effort: "fast" (1, the greedy search), "default", "best", or a number from 1 to 64.

    Raises:
        OptionError: the effort is none of these.

    >>> beam_width("fast"), beam_width(5)
    (1, 5)
    """
    if isinstance(effort, str) and effort in EFFORTS:
        return EFFORTS[effort]
    width = _whole(int(effort) if isinstance(effort, str) and effort.strip().isdecimal() else effort)
    if width is None or not 1 <= width <= MAX_BEAM:
        raise OptionError(
            f"effort {effort!r} is not possible; give fast, default, best or a number from 1 to {MAX_BEAM}"
        )
    return width


def codebooks_for(kbps: float) -> int:
    """Codebooks, over all channels, that make a bit rate: each is half a kbps.

    Args:
        kbps: a whole number from 1 to 24.

    Raises:
        OptionError: `kbps` is not such a number.

    >>> codebooks_for(6)
    12
    """
    rate = _whole(kbps)
    if rate is None or not 1 <= rate <= MAX_KBPS:
        raise OptionError(f"{kbps} kbps is not possible; give a whole number from 1 to {MAX_KBPS}")
    return 2 * rate


def _whole(value: Any) -> int | None:
    """The value as an integer, such as NumPy's or 6.0; None if it is not a whole number."""
    try:
        return operator.index(value)
    except TypeError:
        return int(value) if isinstance(value, float) and value.is_integer() else None
