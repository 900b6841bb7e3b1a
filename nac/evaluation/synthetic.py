"""A sound made from nothing, for pictures that may be shown anywhere: a voice-like half, then a music-like one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from nac.arrays import Samples

FRAME_SECONDS = 0.01  # after which the resonances of the voice move on
CHORDS = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (196.0, 246.9, 392.0))  # Hz


def made_sound(seconds: float = 8.0, sample_rate: int = 24_000) -> Samples:
    """The same sound at every call, `[1, samples]`, peak 0.5.

    Its first half has gliding harmonics through moving resonances, in syllables, with hissing consonants between them;
    its second half chords of plucked strings, a low drum and a cymbal.

    >>> sound = made_sound(1.0)
    >>> sound.shape, round(float(abs(sound).max()), 3)
    ((1, 24000), 0.5)
    """
    rng = np.random.default_rng(5)
    half = int(seconds * sample_rate / 2)
    voice, music = _voice(half, sample_rate, rng), _music(int(seconds * sample_rate) - half, sample_rate, rng)
    out = np.concatenate([voice / np.abs(voice).max(), music / np.abs(music).max()])
    return np.asarray(0.5 * out[None], dtype=np.float32)


def _voice(samples: int, rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    time = np.arange(samples) / rate
    pitch = 140 * 2 ** (0.35 * np.sin(2 * np.pi * 0.45 * time))
    pulses = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
    source = pulses + 0.01 * rng.standard_normal(samples)
    out, step = np.zeros(samples), int(FRAME_SECONDS * rate)
    for index, (centre, swing, speed, width) in enumerate(
        ((550, 280, 2.3, 70), (1500, 550, 1.7, 110), (2600, 250, 0.9, 170), (3500, 100, 0.5, 250))
    ):
        state = np.zeros(2)
        radius = np.exp(-np.pi * width / rate)
        for start in range(0, samples, step):
            formant = centre + swing * np.sin(speed * np.pi * start / rate)
            poles = [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2]
            part, state = lfilter([1 - radius], poles, source[start : start + step], zi=state)
            out[start : start + step] += part / (index + 1) ** 0.7
    open_mouth = np.clip(np.sin(2 * np.pi * 1.9 * time), 0, None) ** 0.6
    hiss = sosfilt(butter(4, min(4500, 0.4 * rate), "highpass", fs=rate, output="sos"), rng.standard_normal(samples))
    closed = np.clip(np.sin(2 * np.pi * 1.9 * time + np.pi) - 0.5, 0, None)
    return np.asarray(out / np.abs(out).max() * open_mouth + 0.06 * closed * hiss)


def _music(samples: int, rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    out, beat = np.zeros(samples), max(1, int(0.5 * rate))
    for index, start in enumerate(range(0, samples, beat)):
        time = np.arange(samples - start) / rate
        for note in CHORDS[index // 2 % len(CHORDS)]:
            for k in range(1, 24):
                frequency = k * note * np.sqrt(1 + 2e-4 * k * k)  # stiff strings
                if frequency < 0.45 * rate:
                    out[start:] += np.sin(2 * np.pi * frequency * time) * np.exp(-time * (2 + 0.8 * k)) / k**1.2
        if index % 2 == 0:
            out[start:] += 2 * np.sin(2 * np.pi * (50 * time + 4 * (1 - np.exp(-30 * time)))) * np.exp(-9 * time)
        else:
            out[start:] += 0.5 * rng.standard_normal(len(time)) * np.exp(-14 * time)
    return out
