"""Delay between two recordings of the same sound, found by cross-correlation and removed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft

from nac.arrays import Samples

MAX_SECONDS = 1.0  # longest delay looked for
PROBE_SECONDS = 60.0  # of sound that the delay is measured on


def delay(reference: Samples, decoded: Samples, sample_rate: int, max_seconds: float = MAX_SECONDS) -> int:
    """Samples by which `decoded` comes later than `reference` (negative: earlier); 0 when either is silent.

    Both `[samples]` or `[channels, samples]` at one sample rate (channels are summed); lengths may differ. The delay is
    where the absolute cross-correlation is largest, within ±`max_seconds`. The first minute of sound decides.

    >>> x = np.random.default_rng(0).standard_normal(4800).astype(np.float32)
    >>> delay(x, np.concatenate([np.zeros(37, np.float32), x]), 24000)
    37
    """
    x, y = _probe(reference, sample_rate), _probe(decoded, sample_rate)
    if not x.any() or not y.any():
        return 0
    reach = max(1, min(int(max_seconds * sample_rate), max(len(x), len(y)) - 1))
    size = next_fast_len(len(x) + len(y), real=True)
    correlation = np.abs(irfft(np.conj(rfft(x, size)) * rfft(y, size), size))
    lags = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
    return int(lags[np.argmax(correlation[lags])])


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
