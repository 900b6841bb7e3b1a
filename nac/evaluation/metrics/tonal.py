"""Steady tonal lines: whistles and hums that a decoder adds at frequencies of its own, whatever the sound."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from nac.arrays import Samples, Spectrum
from nac.evaluation.metrics.spectra import stft_magnitudes

WINDOW_SECONDS = 0.085
NEIGHBOURHOOD_HZ = 300.0  # over which the spectrum is smoothed: wide beside a line, narrow beside a resonance
FLOOR_DB = -90.0  # of a full-scale sine: lines below cannot be heard
MAX_FRAMES = 4000  # spread over longer sounds


def tonal_lines(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """How far the most prominent steady line of the decoded sound stands out that the reference does not have.

    The spectrum's median over time, in dB, minus itself smoothed over frequency (a running median over 300 Hz) shows
    narrow peaks that are there all the time. The score is the largest difference of these between the decoded sound and
    the reference, over frequency. dB; about 1 for equally steady noise, 0 (equal) upwards, lower is better; from about
    6 on a line is heard in pauses. Undefined (None) for silence and for sounds under a quarter of a second.
    """
    window = 2 * round(WINDOW_SECONDS * sample_rate / 2)
    if len(reference) < 3 * window or not reference.any() or not decoded.any():
        return None
    x, y = (_prominence(signal, window, sample_rate) for signal in (reference, decoded))
    return float(np.max(y - np.maximum(x, 0), initial=0.0))


def _prominence(signal: Samples, window: int, sample_rate: int) -> Spectrum:
    """The median spectrum `[bins]` over its own smoothed version, in dB."""
    hop = max(window // 2, len(signal) // MAX_FRAMES)
    magnitudes = np.concatenate(list(stft_magnitudes(signal, window, hop)))
    level = 20 * np.log10(np.median(magnitudes, axis=0) / (window / 4) + 10 ** (FLOOR_DB / 20))
    width = 2 * round(NEIGHBOURHOOD_HZ / (sample_rate / window) / 2) + 1
    return np.asarray(level - median_filter(level, width, mode="nearest"), np.float32)
