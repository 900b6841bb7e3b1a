"""Synthetic voices whose pitch, envelope and aperiodicity are known."""

import numpy as np
import numpy.typing as npt

RATE, HOP, STEP = 24_000, 480, 120
Signal = npt.NDArray[np.float32]


def centres(hops: int) -> npt.NDArray[np.float64]:
    """Sample numbers of the centres of the frames of 5 ms of so many hops."""
    return np.asarray((np.arange(4 * hops) + 0.5) * STEP, np.float64)


def glide(start: float, stop: float, seconds: float, level: float = 0.3) -> tuple[Signal, Signal]:
    """Harmonics up to 10 kHz, 6 dB down per octave, on a pitch that moves from start to stop Hz; and the pitch."""
    n = round(seconds * RATE)
    f0 = start * (stop / start) ** (np.arange(n) / n)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    rng = np.random.default_rng(1)
    sound = sum(
        np.sin(k * phase + rng.uniform(0, 2 * np.pi)) * np.clip((10_000 - k * f0) / 1000, 0, 1) / k
        for k in range(1, int(10_000 / f0.min()) + 1)
    )
    return (level * sound / np.abs(sound).max()).astype(np.float32), f0.astype(np.float32)


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Signal:
    """White noise."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def pulses(f0: float, seconds: float) -> Signal:
    """Harmonics of equal strength below 11.5 kHz, with the power 1 per sample that white noise of variance 1 has."""
    t = np.arange(round(seconds * RATE)) / RATE
    harmonics = sum(np.cos(2 * np.pi * k * f0 * t) for k in range(1, int(11_500 / f0) + 1))
    return np.asarray(np.sqrt(4 * f0 / RATE) * harmonics, np.float32)
