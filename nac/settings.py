"""What encoding can be asked for: bit rates, efforts, sample rates and tags."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, SupportsIndex

from nac.errors import OptionError

Tags = tuple[tuple[str, str], ...]
"""(key, value) pairs in the order of the file."""
MAX_KBPS = 24
MAX_SAMPLE_RATE = (1 << 24) - 1
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


def as_sample_rate(rate: SupportsIndex) -> int:
    """A sample rate in Hz, as an integer of Python.

    Raises:
        OptionError: It is not a whole number from 1 to 16,777,215, the most that a file can state.
    """
    number = _whole(rate)
    if number is None or not 1 <= number <= MAX_SAMPLE_RATE:
        raise OptionError(f"sample_rate must be a whole number from 1 to {MAX_SAMPLE_RATE}, not {rate!r}")
    return number


def as_tags(tags: Tags | Mapping[str, str]) -> Tags:
    """Tags as files hold them.

    Args:
        tags: Pairs of key and value, or a mapping; a value may be a list of several.

    Raises:
        OptionError: They are not texts.

    >>> as_tags({"TITLE": "Rain", "ARTIST": ["A", "B"]})
    (('TITLE', 'Rain'), ('ARTIST', 'A'), ('ARTIST', 'B'))
    """
    pairs = tags.items() if isinstance(tags, Mapping) else tags
    out: list[tuple[str, str]] = []
    try:
        for key, value in pairs:
            out += [(key, item) for item in (value if isinstance(value, (list, tuple)) else [value])]
    except (TypeError, ValueError):
        raise OptionError("tags are pairs of key and value, or a mapping, such as {'TITLE': 'Rain'}") from None
    for key, text in out:
        if not isinstance(key, str) or not isinstance(text, str):
            raise OptionError(f"a tag's key and value are texts, unlike {key!r} and {text!r}")
    return tuple(out)


def _whole(value: Any) -> int | None:
    """The value as an integer, such as NumPy's or 6.0; None if it is not a whole number."""
    try:
        return operator.index(value)
    except TypeError:
        return int(value) if isinstance(value, float) and value.is_integer() else None
