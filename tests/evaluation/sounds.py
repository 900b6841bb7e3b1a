"""Sounds for the tests: made here, always the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]


def noise(samples: int, seed: int = 0, level: float = 0.1) -> Audio:
    """White noise `[samples]` of standard deviation `level`."""
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def speech_like(seconds: float, sample_rate: int, seed: int = 0) -> Audio:
    """A buzz through moving resonances, with pauses, `[samples]`: speech enough for PESQ and STOI."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    out = np.zeros(len(time))
    for harmonic in range(1, 40):
        frequency = harmonic * pitch
        gain = sum(
            np.exp(-(((frequency - centre) / width) ** 2))
            for centre, width in (
                (600 + 300 * np.sin(2 * np.pi * 1.3 * time), 150),
                (1600 + 500 * np.sin(2 * np.pi * 0.9 * time + 1), 250),
                (2800 + 0 * time, 400),
            )
        )
        out += np.where(frequency < sample_rate / 2, gain * np.sin(harmonic * phase), 0)
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, 1) * (np.sin(2 * np.pi * 0.4 * time) > -0.6)
    out = out * syllables + 1e-4 * rng.standard_normal(len(time))
    return (0.3 * out / np.abs(out).max()).astype(np.float32)
