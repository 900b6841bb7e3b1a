"""What encoding can be asked for: bit rates and efforts."""

from __future__ import annotations

from nac.errors import OptionError

MAX_KBPS = 24
#: Whether codes are entropy coded unless told otherwise, where the weights have tables for it.
ENTROPY_DEFAULT = True
#: Width of the codebook search by name.
EFFORTS = {"fast": 1, "default": 10, "best": 32}


def beam_width(effort: str | int) -> int:
    """Paths kept by the codebook search: "fast" (1, greedy), "default", "best", or a number from 1 to 64.

    Raises:
        OptionError: neither.

    >>> beam_width("fast"), beam_width(5)
    (1, 5)
    """
    if isinstance(effort, str) and effort in EFFORTS:
        return EFFORTS[effort]
    try:
        width = int(effort)
    except ValueError:
        width = 0
    if not 1 <= width <= 64:
        raise OptionError(f"effort {effort!r} is not possible; give fast, default, best or a number from 1 to 64")
    return width


def codebooks_for(kbps: int) -> int:
    """Codebooks, over all channels, that make a bit rate: each is half a kbps.

    Raises:
        OptionError: `kbps` is no whole number from 1 to 24.

    >>> codebooks_for(6)
    12
    """
    if kbps != int(kbps) or not 1 <= kbps <= MAX_KBPS:
        raise OptionError(f"{kbps} kbps is not possible; give a whole number from 1 to {MAX_KBPS}")
    return 2 * int(kbps)
