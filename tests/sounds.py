"""Sounds that tests make, the same at every run."""

import numpy as np


def voice(seconds: float, rate: int, pitch: float = 130.0) -> np.ndarray:
    """Gliding harmonics through three moving resonances, in syllables: float32 `[samples]`, peak 0.5.

    Sines alone, so that it is the same to the last audible bit with every version of everything.
    """
    time = np.arange(int(seconds * rate)) / rate
    glide = pitch * (1 + 0.2 * np.sin(2 * np.pi * 0.4 * time))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    out = np.zeros(len(time))
    for k in range(1, 60):
        frequency = k * glide
        gain = sum(
            1 / (i + 1) / (1 + ((frequency - centre) / width) ** 2)
            for i, (centre, width) in enumerate(
                (
                    (500 + 250 * np.sin(2.1 * time), 80),
                    (1500 + 500 * np.sin(1.3 * time), 120),
                    (2500 + 200 * np.sin(0.7 * time), 180),
                )
            )
        )
        out += np.where(frequency < 0.45 * rate, gain, 0) * np.sin(k * phase + k * k)
    out *= np.clip(np.sin(2 * np.pi * 1.7 * time) + 0.1, 0, None) ** 0.5
    return (0.5 * out / np.abs(out).max()).astype(np.float32)


def golden_sound(name: str) -> tuple[np.ndarray, int]:
    """What the golden file of this name was coded from, `[channels, samples]`, and its rate."""
    if name.endswith("stereo"):
        left, right = voice(2.5, 44_100), voice(2.5, 44_100, 180.0)
        return np.stack([left + 0.3 * right, 0.4 * left + right]) * 0.5, 44_100
    if name.endswith("slow"):
        return voice(3.0, 16_000)[None], 16_000
    return voice(3.01, 24_000)[None], 24_000
