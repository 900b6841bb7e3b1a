"""Sounds that need no recordings: for pictures, benchmarks, the quick study and tests. Equal arguments, equal sounds.

All are float32, full scale 1.0.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from nac.arrays import Floats, Samples

FRAME_SECONDS = 0.01  # after which the resonances of the voice move on
CHORDS = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (196.0, 246.9, 392.0))  # Hz


def tone(seconds: float, hertz: float, rate: int = 16_000, level: float = 0.5) -> Samples:
    """A sine, `[samples]`."""
    return (level * np.sin(2 * np.pi * hertz * _times(seconds, rate))).astype(np.float32)


def noise(samples: int, seed: int = 0, level: float = 0.1) -> Samples:
    """White noise `[samples]` of standard deviation `level`."""
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def modulated_noise(seconds: float, rate: int = 24_000) -> Samples:
    """Noise with a speech-like envelope, `[samples]`: the cost of a codec hardly depends on the sound."""
    rng = np.random.default_rng(0)
    time_axis = np.arange(int(seconds * rate)) / rate
    envelope = 0.1 * (1 + np.sin(2 * np.pi * 3 * time_axis))
    return (envelope * rng.standard_normal(len(time_axis))).astype(np.float32)


def speech_like(samples: int, rate: int = 24_000, seed: int = 0) -> Samples:
    """Harmonics of a gliding pitch under a syllable-like envelope, and a little noise: float32 `[samples]`."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * t) + 0.4, 0, None)
    return (0.1 * envelope * voice + 0.003 * rng.standard_normal(samples)).astype(np.float32)


def formant_voice(seconds: float, rate: int, pitch: float = 130.0) -> Samples:
    """Gliding harmonics through three moving resonances, in syllables; peak 0.5.

    Sines alone, so that it is the same to the last audible bit with every version of everything.

    Args:
        seconds: Length.
        rate: Sample rate in Hz.
        pitch: Mean pitch in Hz.

    Returns:
        `[samples]`.
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
    return _levelled(out)


def buzz_speech(seconds: float, sample_rate: int, seed: int = 0) -> Samples:
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
    return np.asarray(0.3 * out / np.abs(out).max(), np.float32)


def random_voice(seconds: float, seed: int, rate: int = 16_000) -> Samples:
    """Harmonics of a gliding pitch through two moving resonances, in syllables."""
    rng, time = np.random.default_rng([1, seed]), _times(seconds, rate)
    pitch = rng.uniform(90, 240) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.3, 0.9) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    centres = [f * (1 + 0.4 * np.sin(2 * np.pi * rng.uniform(1, 3) * time + rng.uniform(0, 6))) for f in (600, 1800)]
    out = np.zeros(len(time))
    for k in range(1, 25):
        gain = sum(1 / (1 + ((k * pitch - centre) / 150) ** 2) for centre in centres) + 0.02
        out += np.where(k * pitch < rate / 2, gain, 0) * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2.5, 4) * time + rng.uniform(0, 6)) + 0.3, 0, None)
    return _levelled(out * syllables + 0.003 * rng.standard_normal(len(time)))


def random_chords(seconds: float, seed: int, rate: int = 16_000) -> Samples:
    """Three notes at a time, each with four partials, struck twice a second and dying away."""
    rng, time = np.random.default_rng([2, seed]), _times(seconds, rate)
    out = np.zeros(len(time))
    for start in np.arange(0, seconds, 0.5):
        after = np.clip(time - start, 0, None)
        root = 110 * 2 ** (rng.integers(0, 24) / 12)
        for step in (0, rng.choice([3, 4]), 7):
            for k in range(1, 5):
                hertz = k * root * 2 ** (step / 12)
                out += (time >= start) * np.exp(-3 * k * after) / k * np.sin(2 * np.pi * hertz * after)
    return _levelled(out)


def random_noises(seconds: float, seed: int, rate: int = 16_000) -> Samples:
    """Coloured noise that swells, with bursts."""
    rng, time = np.random.default_rng([3, seed]), _times(seconds, rate)
    spectrum = np.fft.rfft(rng.standard_normal(len(time)))
    frequency = np.fft.rfftfreq(len(time), 1 / rate)
    centre = rng.uniform(300, 4000)
    spectrum *= 1 / (1 + ((frequency - centre) / (0.5 * centre)) ** 2) + 0.02
    swell = 1 + 0.7 * np.sin(2 * np.pi * rng.uniform(0.2, 0.8) * time)
    bursts = sum(np.exp(-30 * np.abs(time - at)) for at in rng.uniform(0, seconds, 4))
    return _levelled(np.fft.irfft(spectrum, len(time)) * (swell + 2 * bursts))


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


def _times(seconds: float, rate: int) -> Floats:
    return np.arange(round(seconds * rate)) / rate


def _levelled(x: Floats) -> Samples:
    return np.asarray(0.5 * x / np.abs(x).max(), np.float32)


def _voice(samples: int, rate: int, rng: np.random.Generator) -> Floats:
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


def _music(samples: int, rate: int, rng: np.random.Generator) -> Floats:
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
