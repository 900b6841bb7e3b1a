"""Scores of the waveform itself: how far, sample by sample, the decoded signal is from the reference.

All functions take two aligned signals of one channel and equal length, `[samples]`, full scale 1.0. They punish codecs
that resynthesise (vocoders, neural decoders) far more than the ear does: read them beside the spectral scores.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import LinAlgError, solve_toeplitz

from nac.arrays import Samples

SDR_TAPS = 512
DIAGONAL_LOADING = 1e-10  # of the power, so that band-limited references keep a solvable equation


def mse(reference: Samples, decoded: Samples) -> float:
    """Mean squared error: mean((reference - decoded)²). Full scale squared; 0 (equal) upwards, lower is better.

    >>> mse(np.array([0.5, 0.0], np.float32), np.array([0.0, 0.0], np.float32))
    0.125
    """
    return float(np.mean(np.square(_double(reference) - _double(decoded))))


def l1(reference: Samples, decoded: Samples) -> float:
    """Mean absolute error: mean(|reference - decoded|). Full scale; 0 (equal) upwards, lower is better.

    >>> l1(np.array([0.5, 0.0], np.float32), np.array([0.0, 0.0], np.float32))
    0.25
    """
    return float(np.mean(np.abs(_double(reference) - _double(decoded))))


def snr(reference: Samples, decoded: Samples) -> float | None:
    """Signal-to-noise ratio: 10·log10(sum(reference²) / sum((reference - decoded)²)).

    dB, any value, higher is better; infinite for equal signals, undefined (None) for a silent reference. A wrong level
    counts as noise: a decoder that answers with silence has 0 dB.

    >>> round(snr(np.array([1.0, -1.0], np.float32), np.array([0.9, -0.9], np.float32)), 3)
    20.0
    """
    x, y = _double(reference), _double(decoded)
    return _ratio(float(x @ x), float((x - y) @ (x - y)))


def si_sdr(reference: Samples, decoded: Samples) -> float | None:
    """Scale-invariant signal-to-distortion ratio, after removing each signal's mean.

    The reference is scaled to fit the decoded signal best, a = <decoded, reference> / <reference, reference>; the score
    is 10·log10(|a·reference|² / |decoded - a·reference|²). dB, any value, higher is better; infinite where they differ
    by a factor only, minus infinite where they are orthogonal, undefined (None) when either is silent. Source: Le Roux
    and others, "SDR: half-baked or well done?", ICASSP 2019.

    >>> si_sdr(np.array([1.0, -1.0], np.float32), np.array([0.25, -0.25], np.float32))
    inf
    """
    x, y = _double(reference), _double(decoded)
    x, y = x - x.mean(), y - y.mean()
    power = float(x @ x)
    if power <= 0 or float(y @ y) <= 0:
        return None
    target = x * (float(x @ y) / power)
    signal = float(target @ target)
    return _ratio(signal, float((y - target) @ (y - target))) if signal > 0 else -math.inf


def sdr(reference: Samples, decoded: Samples, taps: int = SDR_TAPS) -> float | None:
    """Signal-to-distortion ratio of BSS Eval: everything that a filter of `taps` taps can undo is forgiven.

    The reference is filtered by the FIR filter (causal, `taps` long) that brings it nearest to the decoded signal; the
    score is 10·log10(|filtered reference|² / |decoded - filtered reference|²). So a delay below `taps` samples, a level
    and an equaliser's curve cost nothing. dB, any value, higher is better; undefined (None) when either is silent or
    the signals are shorter than the filter. Source: Vincent, Gribonval and Févotte, "Performance measurement in blind
    audio source separation", 2006 (one source, no interference).
    """
    x, y = _double(reference), _double(decoded)
    if len(x) < taps or not x.any() or not y.any():
        return None
    size = next_fast_len(len(x) + taps, real=True)
    spectrum = rfft(x, size)
    autocorrelation = irfft(np.abs(spectrum) ** 2, size)[:taps]
    crosscorrelation = irfft(np.conj(spectrum) * rfft(y, size), size)[:taps]
    autocorrelation[0] *= 1 + DIAGONAL_LOADING
    try:
        response = solve_toeplitz(autocorrelation, crosscorrelation)
    except LinAlgError:
        return None
    # The filter's tail past the end of the signal is part of the target, so the decoded signal is extended by silence.
    target = irfft(spectrum * rfft(response, size), size)[: len(x) + taps - 1]
    error = target.copy()
    error[: len(y)] -= y
    return _ratio(float(target @ target), float(error @ error))


def _double(signal: Samples) -> npt.NDArray[np.float64]:
    return np.asarray(signal, dtype=np.float64)


def _ratio(signal: float, noise: float) -> float | None:
    """10·log10(signal / noise); None when the signal is silent, infinite when there is no noise."""
    if signal <= 0:
        return None
    return math.inf if noise <= 0 else 10 * math.log10(signal / noise)
