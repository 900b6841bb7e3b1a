"""How loud a sound is, after ITU-R BS.1770, so that versions of a clip can be played at one level."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from nac.arrays import Samples

# The two filters of BS.1770's K-weighting as analogue prototypes: a shelf of +4 dB for the head, and a high pass.
_SHELF_HZ, _SHELF_Q, _SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
_SHELF_SLOPE = 0.4996667741545416
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
BLOCK_SECONDS, HOP_SECONDS = 0.4, 0.1
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0  # LUFS; LU below the mean of what passes the first


def loudness(audio: Samples, sample_rate: int) -> float | None:
    """Integrated loudness of `[channels, samples]` in LUFS, gated as in BS.1770-4; None for silence.

    Clips shorter than a block of 0.4 s are measured whole. Channels count alike.

    >>> tone = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000).astype(np.float32)[None]
    >>> round(loudness(tone, 48000), 1)
    -3.0
    """
    weighted = k_weighted(audio, sample_rate)
    block = min(round(BLOCK_SECONDS * sample_rate), weighted.shape[1])
    hop = max(1, round(HOP_SECONDS * sample_rate))
    if block == 0:
        return None
    total = np.concatenate([[0.0], np.cumsum(np.square(weighted).sum(axis=0))])
    starts = np.arange(0, weighted.shape[1] - block + 1, hop)
    powers = (total[starts + block] - total[starts]) / block
    powers = powers[powers > _power(ABSOLUTE_GATE)]
    if not len(powers):
        return None
    powers = powers[powers > powers.mean() * 10 ** (RELATIVE_GATE / 10)]
    return -0.691 + 10 * math.log10(float(powers.mean()))


def k_weighted(audio: Samples, sample_rate: int) -> npt.NDArray[np.float64]:
    """`[channels, samples]` through both filters."""
    out = np.asarray(audio, dtype=np.float64)
    for numerator, denominator in (_shelf(sample_rate), _high_pass(sample_rate)):
        out = np.asarray(lfilter(numerator, denominator, out, axis=1))
    return out


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _shelf(sample_rate: int) -> tuple[list[float], list[float]]:
    k, q = math.tan(math.pi * _SHELF_HZ / sample_rate), _SHELF_Q
    high = 10 ** (_SHELF_DB / 20)
    band = high**_SHELF_SLOPE
    a0 = 1 + k / q + k * k
    numerator = [(high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0]
    return numerator, [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def _high_pass(sample_rate: int) -> tuple[list[float], list[float]]:
    k, q = math.tan(math.pi * _HIGH_PASS_HZ / sample_rate), _HIGH_PASS_Q
    a0 = 1 + k / q + k * k
    return [1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
