"""All codecs by name, and the texts that choose codecs and their bit rates."""

from __future__ import annotations

from collections.abc import Iterable

from nac.errors import OptionError
from nac.evaluation.codecs.base import Codec, Rates
from nac.evaluation.codecs.neural import NEURAL
from nac.evaluation.codecs.own import Nac
from nac.evaluation.codecs.tools import TOOLS


def known_codecs() -> dict[str, Codec]:
    """Every codec by name, installed or not."""
    return {"nac": Nac(), **TOOLS, **NEURAL}


def parse_codecs(specs: Iterable[str]) -> list[tuple[Codec, Rates]]:
    """Codecs with their bit rates from texts `NAME` or `NAME:KBPS,KBPS`; without rates, the codec's usual ones.

    Raises:
        OptionError: A name that is not a codec or a rate that is not a number above 0.

    >>> [(codec.name, rates) for codec, rates in parse_codecs(["opus:6,12", "flac"])]
    [('opus', (6.0, 12.0)), ('flac', (0,))]
    """
    known = known_codecs()
    out = []
    for spec in specs:
        name, _, listed = spec.partition(":")
        if name not in known:
            raise OptionError(f"no such codec: {name}; there are {', '.join(known)}")
        out.append((known[name], parse_rates(listed) if listed else known[name].rates))
    return out


def parse_rates(text: str) -> Rates:
    """Bit rates in kbps from a text such as `6,12`.

    Raises:
        OptionError: They are not numbers above 0.
    """
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < 10_000 for rate in rates):
        raise OptionError(f"{text!r} is not a list of bit rates; write for example 6,12")
    return rates
