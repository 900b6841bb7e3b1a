"""Augmentation: a little audio made into more. Everything is drawn from the generator given, so a seed repeats it."""

from dataclasses import dataclass

import numpy as np
import soxr
from scipy.signal import fftconvolve, lfilter

from nac.arrays import Samples


@dataclass(frozen=True)
class Augmentation:
    """How often (0 to 1) each change is made to a crop, and how large it may be.

    The defaults change gain and polarity alone.
    """

    mix: float = 0.0
    speed: float = 0.0
    equaliser: float = 0.0
    reverb: float = 0.0
    noise: float = 0.0
    #: Gain in dB, lowest and highest.
    gain: tuple[float, float] = (-12.0, 0.0)
    #: Largest change of speed and pitch, as a ratio.
    ratio: float = 1.15


def change_speed(samples: Samples, sample_rate: int, length: int) -> Samples:
    """`samples` played so that they last `length` samples: speed and pitch change together."""
    out = soxr.resample(samples, sample_rate * len(samples) / length, sample_rate)
    return np.pad(np.asarray(out, np.float32)[:length], (0, max(0, length - len(out))))


def equalise(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """One to three gentle peaks or dips of up to 6 dB between 80 Hz and 8 kHz (Bristow-Johnson's peaking filters)."""
    out = samples
    for _ in range(int(rng.integers(1, 4))):
        frequency = min(80 * 100 ** rng.random(), 0.45 * sample_rate)
        root = 10 ** (rng.uniform(-6, 6) / 40)
        angle = 2 * np.pi * frequency / sample_rate
        alpha = np.sin(angle) / (2 * rng.uniform(0.5, 1.5))
        b = np.array([1 + alpha * root, -2 * np.cos(angle), 1 - alpha * root])
        a = np.array([1 + alpha / root, -2 * np.cos(angle), 1 - alpha / root])
        out = lfilter(b / a[0], a / a[0], out)
    return np.asarray(out, np.float32)


def reverberate(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Convolution with decaying noise after a direct sound: a room of 0.1 to 0.6 s, 3 to 20 dB below it."""
    seconds = rng.uniform(0.1, 0.6)
    count = int(seconds * sample_rate)
    time = np.arange(count) / sample_rate
    tail = rng.standard_normal(count) * 10 ** (-3 * time / seconds)
    tail[: int(rng.uniform(0.002, 0.02) * sample_rate)] = 0
    tail *= 10 ** (-rng.uniform(3, 20) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return np.asarray(fftconvolve(samples, tail)[: len(samples)], np.float32)


def add_noise(samples: Samples, rng: np.random.Generator) -> Samples:
    """Noise with a falling or flat spectrum, 15 to 40 dB below the sound."""
    pole = rng.uniform(0, 0.95)
    noise = lfilter([1.0], [1.0, -pole], rng.standard_normal(len(samples)))
    level = np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-rng.uniform(15, 40) / 20)
    return np.asarray(samples + level * noise, np.float32)


def augment(samples: Samples, sample_rate: int, plan: Augmentation, rng: np.random.Generator) -> Samples:
    """Everything but speed and mixing, which need more than the crop, then gain and polarity; never clips."""
    if rng.random() < plan.equaliser:
        samples = equalise(samples, sample_rate, rng)
    if rng.random() < plan.reverb:
        samples = reverberate(samples, sample_rate, rng)
    if rng.random() < plan.noise:
        samples = add_noise(samples, rng)
    gain = 10 ** (rng.uniform(*plan.gain) / 20) * (1 if rng.random() < 0.5 else -1)
    return np.asarray(samples * (gain / max(1.0, float(np.abs(samples).max()) * abs(gain))), np.float32)
