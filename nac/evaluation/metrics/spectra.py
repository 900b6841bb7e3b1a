"""Scores of the magnitude spectrum: what is missing or added in time and frequency, whatever the phases do.

All functions take two aligned signals of one channel and equal length, `[samples]`, full scale 1.0. Signals shorter
than a window are extended by reflection (or by silence where there is nothing to reflect).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft
from scipy.signal import get_window

from nac.arrays import Samples, Spectrum

LOG_WINDOW = 2048  # samples, for log_spectral_distance and log_spectrum_rmse
LOG_FLOOR = 1e-5  # of the power |STFT|²: 104 dB below a full-scale sine
MEL_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))  # (window, bands)
MEL_FLOOR = 1e-5  # of the mel magnitude
BLOCK_SAMPLES = 1 << 20  # of windowed samples held at once: the memory stays small for hour-long files


def log_spectral_distance(reference: Samples, decoded: Samples) -> float:
    """Log-spectral distance: the root mean square over the bins of a frame, averaged over the frames.

    With D = 10·log10(max(|X|², 1e-5) / max(|Y|², 1e-5)) for every bin of a Hann-windowed STFT (2048 samples, hop 512,
    unnormalised: the floor lies 104 dB below a full-scale sine): mean over frames of sqrt(mean over bins of D²). dB; 0
    (equal) upwards, lower is better. Bands that one signal lacks weigh heavily, and the more the lower the floor, so
    compare only scores with the same floor. Source: Gray and Markel, "Distance measures for speech processing", 1976.
    """
    total, frames = 0.0, 0
    for difference in _log_differences(reference, decoded):
        total += float(np.sqrt(np.mean(np.square(difference), axis=1)).sum())
        frames += len(difference)
    return total / frames


def log_spectrum_rmse(reference: Samples, decoded: Samples) -> float:
    """Root mean square error of the log spectrum over all frames and bins together.

    The same D as in `log_spectral_distance`; sqrt(mean of D²). dB; 0 (equal) upwards, lower is better. Single very
    wrong frames weigh more than in the log-spectral distance, which it never falls below.
    """
    total, count = 0.0, 0
    for difference in _log_differences(reference, decoded):
        total += float(np.square(difference).sum())
        count += difference.size
    return float(np.sqrt(total / count))


def mel_distance(reference: Samples, decoded: Samples, sample_rate: int) -> float:
    """Multi-scale log-mel distance with the settings of the Descript Audio Codec's training loss.

    For each of the windows 32, 64, ... 2048 (periodic Hann, hop a quarter of it, frames centred with reflected ends,
    unnormalised STFT magnitudes, power 1) with 5, 10, ... 320 mel bands (Slaney's scale and area normalisation, 0 Hz to
    half the sample rate): the mean of |log10(max(M_x, 1e-5)) - log10(max(M_y, 1e-5))|; the score is the sum over the
    seven windows. Unit: sum of seven mean decades; 0 (equal) upwards, lower is better. The windows are in samples, so
    compare scores at one sample rate only (24 kHz here). Source: Kumar and others, "High-fidelity audio compression
    with improved RVQGAN", 2023 (`MelSpectrogramLoss` with pow 1, clamp_eps 1e-5, mag_weight 0).
    """
    total = 0.0
    for window, bands in MEL_SCALES:
        filters = slaney_mel_filters(sample_rate, window, bands).T
        summed, count = 0.0, 0
        pairs = zip(stft_magnitudes(reference, window), stft_magnitudes(decoded, window), strict=True)
        for x, y in pairs:
            difference = np.log10(np.maximum(x @ filters, MEL_FLOOR)) - np.log10(np.maximum(y @ filters, MEL_FLOOR))
            summed += float(np.abs(difference).sum(dtype=np.float64))
            count += difference.size
        total += summed / count
    return total


def stft_magnitudes(signal: Samples, window: int, hop: int | None = None) -> Iterator[Spectrum]:
    """|STFT| of `[samples]` in blocks of frames, each `[frames, window // 2 + 1]`.

    Frame i is centred on sample i·hop (hop: a quarter of the window unless given); the signal is reflected at its ends;
    periodic Hann window, no normalisation.
    """
    hop = hop or window // 4
    signal = np.asarray(signal, dtype=np.float32)
    half = window // 2
    if len(signal) < 2:
        signal = np.pad(signal, (0, 2 - len(signal)))
    padded = np.pad(signal, half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    shape = get_window("hann", window).astype(np.float32)
    step = max(1, BLOCK_SAMPLES // window)
    for start in range(0, len(frames), step):
        yield np.abs(rfft(frames[start : start + step] * shape, axis=1))


@lru_cache(maxsize=64)
def slaney_mel_filters(sample_rate: int, window: int, bands: int) -> Spectrum:
    """Triangular mel filters `[bands, window // 2 + 1]`, 0 Hz to half the sample rate, Slaney's scale and norm.

    The edges are evenly spaced on a scale that is linear to 1 kHz (3/200 mel per Hz) and logarithmic above (27 mel for
    a factor of 6.4); each triangle has unit area over frequency in Hz. A band between two bins may be all zero.
    """
    frequencies = np.linspace(0, window // 2 * sample_rate / window, window // 2 + 1)
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(sample_rate / 2), bands + 2))
    rising = (frequencies[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies[None]) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: Spectrum = (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    filters.setflags(write=False)
    return filters


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * float(np.log(hz / 1000) / np.log(6.4))


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * (np.log(6.4) / 27)))


def _log_differences(reference: Samples, decoded: Samples) -> Iterator[Spectrum]:
    """Blocks of D `[frames, bins]` in dB, reference over decoded."""
    pairs = zip(stft_magnitudes(reference, LOG_WINDOW), stft_magnitudes(decoded, LOG_WINDOW), strict=True)
    for x, y in pairs:
        yield 10 * (np.log10(np.maximum(np.square(x), LOG_FLOOR)) - np.log10(np.maximum(np.square(y), LOG_FLOOR)))
