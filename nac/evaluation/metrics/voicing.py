"""What becomes of the voice's pitch: frames that stay voiced, and how far their pitch is off.

Pitch is tracked by Harvest (Morise, "Harvest: a high-performance fundamental frequency estimator from speech signals",
2017; package pyworld), which has no weights and is not part of the codec. Both functions take two aligned signals of
one channel and equal length, `[samples]`, at any sample rate.
"""

from __future__ import annotations

import types
import warnings
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from nac.arrays import Floats, Samples
from nac.evaluation.metrics.mos import stubs
from nac.evaluation.metrics.perceptual import SPEECH_RATE, resample

FRAME_MS = 10.0
LOWEST_HZ, HIGHEST_HZ = 60.0, 600.0
SHORTEST = 0.1  # seconds


def voicing_kept(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """Share of the frames voiced in the reference that are voiced in the decoded sound, at 16 kHz.

    No unit; 0 to 1, higher is better. Undefined (None) where the reference has no voiced frame.
    """
    x, y = _pitch(reference, sample_rate), _pitch(decoded, sample_rate)
    voiced = x > 0
    return float((y[voiced] > 0).mean()) if voiced.any() else None


def f0_error(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """Median of |1200·log2(F0 of the decoded sound / F0 of the reference)| over the frames voiced in both, at 16 kHz.

    Cents; 0 (equal) upwards, lower is better. Undefined (None) where no frame is voiced in both.
    """
    x, y = _pitch(reference, sample_rate), _pitch(decoded, sample_rate)
    both = (x > 0) & (y > 0)
    return float(np.median(np.abs(1200 * np.log2(y[both] / x[both])))) if both.any() else None


def _pitch(signal: Samples, sample_rate: int) -> Floats:
    """Hertz for every 10 ms, 0 where there is no voice."""
    at_rate = resample(signal, sample_rate, SPEECH_RATE)
    if len(at_rate) < SHORTEST * SPEECH_RATE or not at_rate.any():
        return np.zeros(int(len(at_rate) / SPEECH_RATE * 1000 / FRAME_MS) + 1)
    return np.frombuffer(_harvest(at_rate.astype(np.float32).tobytes()), np.float64)


@lru_cache(maxsize=4)
def _harvest(samples: bytes) -> bytes:
    """Kept because both scores need the pitch of both sounds."""
    signal = np.frombuffer(samples, np.float32).astype(np.float64)
    pitch, _ = _pyworld().harvest(signal, SPEECH_RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=FRAME_MS)
    return np.asarray(pitch, np.float64).tobytes()


@lru_cache(maxsize=1)
def _pyworld() -> Any:
    # It asks setuptools for its own version, in a way that older ones warn of and newer ones no longer know.
    version = types.SimpleNamespace(version="")
    with warnings.catch_warnings(), stubs(pkg_resources={"get_distribution": lambda _: version}):
        warnings.simplefilter("ignore")
        return import_module("pyworld")
