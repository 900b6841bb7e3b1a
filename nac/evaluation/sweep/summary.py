"""Rows of a sweep summed up: for each kind of sound, codec and bit rate, means, medians and confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nac.evaluation.metrics import METRICS
from nac.evaluation.sweep.runner import Row

RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Statistic:
    """One score over the clips in which it is defined: `low` and `high` bound the mean with 95 % confidence."""

    mean: float
    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Summary:
    """One codec at one nominal bit rate on one kind of sound.

    `kbps` is true: the bytes of all files over the duration of all clips. `encode_cpu` and `decode_cpu` are CPU seconds
    for each second of sound. `failed`: clips without a result, which count in nothing else.
    """

    kind: str
    codec: str
    nominal: float
    kbps: float
    clips: int
    failed: int
    encode_cpu: float
    decode_cpu: float
    statistics: dict[str, Statistic | None] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Codec and nominal rate: `opus 12`; the codec alone where it has no rate to choose."""
        return f"{self.codec} {self.nominal:g}" if self.nominal else self.codec


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """One summary for each kind, codec and nominal rate, in the order of the rows."""
    groups: dict[tuple[str, str, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.codec, row.nominal), []).append(row)
    out = []
    for (kind, codec, nominal), members in groups.items():
        good = [row for row in members if row.error is None]
        seconds = sum(row.seconds for row in good)
        per_second = [sum(getattr(row, name) for row in good) for name in ("bytes", "encode_cpu", "decode_cpu")]
        size, encode_cpu, decode_cpu = ([total / seconds for total in per_second]) if seconds else (0.0, 0.0, 0.0)
        names = [name for name in METRICS if any(name in row.scores for row in good)]
        statistics = {name: statistic([row.scores.get(name) for row in good]) for name in names}
        failed = len(members) - len(good)
        out.append(
            Summary(kind, codec, nominal, size * 8 / 1000, len(good), failed, encode_cpu, decode_cpu, statistics)
        )
    return out


def statistic(values: Sequence[float | None]) -> Statistic | None:
    """Mean, median and the bootstrap's percentile interval of the mean; None if no value is defined.

    The resampling is seeded: equal values give equal intervals. With one value, or an infinite one, the interval is the
    mean itself.

    >>> statistic([1.0, None, 3.0])
    Statistic(mean=2.0, median=2.0, low=1.0, high=3.0, count=2)
    """
    defined = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(defined):
        return None
    mean = float(defined.mean())
    low = high = mean
    if len(defined) > 1 and math.isfinite(mean):
        draws = np.random.default_rng(0).integers(0, len(defined), (RESAMPLES, len(defined)))
        tails = 50 * (1 - CONFIDENCE)
        low, high = (float(bound) for bound in np.percentile(defined[draws].mean(axis=1), [tails, 100 - tails]))
    return Statistic(mean, float(np.median(defined)), low, high, len(defined))
