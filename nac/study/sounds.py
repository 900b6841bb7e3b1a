"""Sounds that need no recordings, for the quick study: voices, chords, noises, and a tone of 440 Hz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nac.arrays import Samples
from nac.audio import AudioWriter

RATE = 16_000
RECORDINGS = 5  # of each kind, to learn from


def write_sounds(folder: Path) -> tuple[Path, Path]:
    """Write `train` and `clips` below `folder`, each with a folder for each kind of sound; returns both.

    The clips are one of each kind that is not in `train`, and one second of a tone of 440 Hz.
    """
    makers = {"speech": voice, "music": chords, "environmental": noises}
    for kind, make in makers.items():
        for seed in range(RECORDINGS):
            _write(folder / "train" / kind / f"{kind}{seed}.wav", make(4.0, seed))
        _write(folder / "clips" / kind / f"{kind}.wav", make(2.0, RECORDINGS))
    _write(folder / "clips" / "tone" / "tone-440.wav", tone(1.0, 440.0))
    return folder / "train", folder / "clips"


def tone(seconds: float, hertz: float) -> Samples:
    """A sine of half of full scale, `[samples]` at 16 kHz."""
    return (0.5 * np.sin(2 * np.pi * hertz * _times(seconds))).astype(np.float32)


def voice(seconds: float, seed: int) -> Samples:
    """Harmonics of a gliding pitch through two moving resonances, in syllables."""
    rng, time = np.random.default_rng([1, seed]), _times(seconds)
    pitch = rng.uniform(90, 240) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.3, 0.9) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    centres = [f * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(1, 3) * time + rng.uniform(0, 6))) for f in (600, 1800)]
    out = np.zeros(len(time))
    for k in range(1, 25):
        gain = sum(1 / (1 + ((k * pitch - centre) / 150) ** 2) for centre in centres) + 0.02
        out += np.where(k * pitch < RATE / 2, gain, 0) * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2.5, 4) * time + rng.uniform(0, 6)) + 0.3, 0, None)
    return _levelled(out * syllables + 0.003 * rng.standard_normal(len(time)))


def chords(seconds: float, seed: int) -> Samples:
    """Three notes at a time, each with four partials, struck twice a second and dying away."""
    rng, time = np.random.default_rng([2, seed]), _times(seconds)
    out = np.zeros(len(time))
    for start in np.arange(0, seconds, 0.5):
        after = np.clip(time - start, 0, None)
        root = 110 * 2 ** (rng.integers(0, 24) / 12)
        for step in (0, rng.choice([3, 4]), 7):
            for k in range(1, 5):
                hertz = k * root * 2 ** (step / 12)
                out += (time >= start) * np.exp(-3 * k * after) / k * np.sin(2 * np.pi * hertz * after)
    return _levelled(out)


def noises(seconds: float, seed: int) -> Samples:
    """Coloured noise that swells, with bursts."""
    rng, time = np.random.default_rng([3, seed]), _times(seconds)
    spectrum = np.fft.rfft(rng.standard_normal(len(time)))
    frequency = np.fft.rfftfreq(len(time), 1 / RATE)
    centre = rng.uniform(300, 4000)
    spectrum *= 1 / (1 + ((frequency - centre) / (0.5 * centre)) ** 2) + 0.02
    swell = 1 + 0.7 * np.sin(2 * np.pi * rng.uniform(0.2, 0.8) * time)
    bursts = sum(np.exp(-30 * np.abs(time - at)) for at in rng.uniform(0, seconds, 4))
    return _levelled(np.fft.irfft(spectrum, len(time)) * (swell + 2 * bursts))


def _times(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(round(seconds * RATE)) / RATE


def _levelled(x: npt.NDArray[np.float64]) -> Samples:
    return np.asarray(0.5 * x / np.abs(x).max(), np.float32)


def _write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, RATE, 1, subtype="float") as writer:
        writer.write(samples[None])
