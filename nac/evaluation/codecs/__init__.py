"""Codecs to be measured: nac itself, command-line programs, other neural codecs.

Nothing is ever downloaded: a codec whose tool, package or weights are missing says so and is left out.
"""

from nac.evaluation.codecs.base import Codec, Rates
from nac.evaluation.codecs.own import Nac
from nac.evaluation.codecs.registry import known_codecs, parse_codecs, parse_rates

__all__ = ["Codec", "Nac", "Rates", "known_codecs", "parse_codecs", "parse_rates"]
