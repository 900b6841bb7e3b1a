"""Delay between two recordings of the same sound, found by cross-correlation and removed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve

from nac.arrays import Samples

MAX_SECONDS = 1.0  # longest delay looked for
PROBE_SECONDS = 60.0  # of sound that the delay is measured on
#: Correlation below which two waveforms have too little in common to tell a delay, as behind a vocoder.
ALIKE = 0.5
#: Seconds over which loudness is then smoothed, and the least delay that it can tell.
SMOOTHING, LEAST = 0.02, 0.01


def delay(reference: Samples, decoded: Samples, sample_rate: int, max_seconds: float = MAX_SECONDS) -> int:
    """Samples by which `decoded` comes later than `reference` (negative: earlier); 0 when either is silent.

    Both `[samples]` or `[channels, samples]` at one sample rate (channels are summed); lengths may differ. The delay is
    where the absolute cross-correlation is largest, within ±`max_seconds`. The first minute of sound decides. Where the
    waveforms have little in common, as behind a vocoder, that of their loudness is taken instead, if it is not small.

    >>> x = np.random.default_rng(0).standard_normal(4800).astype(np.float32)
    >>> delay(x, np.concatenate([np.zeros(37, np.float32), x]), 24000)
    37
    """
    x, y = _probe(reference, sample_rate), _probe(decoded, sample_rate)
    if not x.any() or not y.any():
        return 0
    reach = max(1, min(int(max_seconds * sample_rate), max(len(x), len(y)) - 1))
    lag, correlation = _best_lag(x, y, reach)
    if correlation >= ALIKE:
        return lag
    size = max(1, round(SMOOTHING * sample_rate))
    lag, _ = _best_lag(_loudness(x, size), _loudness(y, size), reach)
    return lag if abs(lag) >= LEAST * sample_rate else 0


def _best_lag(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], reach: int) -> tuple[int, float]:
    """The lag with the largest absolute correlation, and that, 0 to 1."""
    size = next_fast_len(len(x) + len(y), real=True)
    correlation = np.abs(irfft(np.conj(rfft(x, size)) * rfft(y, size), size))
    lags = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
    best = int(lags[np.argmax(correlation[lags])])
    return best, float(correlation[best] / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-300))


def _loudness(x: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Smoothed magnitude about its mean."""
    smooth = fftconvolve(np.abs(x), np.hanning(size + 2)[1:-1], "same")
    return np.asarray(smooth - smooth.mean())


def align(
    reference: Samples, decoded: Samples, sample_rate: int, max_seconds: float = MAX_SECONDS
) -> tuple[Samples, int]:
    """`decoded` moved by its delay and fitted to the reference's length, and the delay in samples.

    Shapes as in `delay`. Samples missing at either end are zero; samples too many are cut. The result has the shape
    `[..., samples of the reference]`.
    """
    shift = delay(reference, decoded, sample_rate, max_seconds)
    return shifted(decoded, shift, reference.shape[-1]), shift


def shifted(signal: Samples, shift: int, samples: int) -> Samples:
    """`signal[..., shift : shift + samples]`, with zeros where that reaches outside the signal."""
    out = np.zeros((*signal.shape[:-1], samples), dtype=signal.dtype)
    start, stop = max(shift, 0), min(shift + samples, signal.shape[-1])
    if stop > start:
        out[..., start - shift : stop - shift] = signal[..., start:stop]
    return out


def _probe(signal: Samples, sample_rate: int) -> npt.NDArray[np.float64]:
    limited = np.asarray(signal, dtype=np.float64)[..., : int(PROBE_SECONDS * sample_rate)]
    return np.asarray(limited.sum(axis=0) if limited.ndim == 2 else limited)
