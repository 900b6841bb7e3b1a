"""The sounds that the golden files were coded from."""

import numpy as np

from nac.synthetic import formant_voice

#: Bit rate of each golden file of the packaged weights, in kbps.
GOLDEN_KBPS = {"nac-24k-mono": 6, "nac-24k-stereo": 12, "nac-24k-slow": 1, "nac-24k-music": 3}


def golden_sound(name: str) -> tuple[np.ndarray, int]:
    """What the golden file of this name was coded from, `[channels, samples]`, and its rate."""
    if name.endswith("stereo"):
        left, right = formant_voice(2.5, 44_100), formant_voice(2.5, 44_100, 180.0)
        return np.stack([left + 0.3 * right, 0.4 * left + right]) * 0.5, 44_100
    if name.endswith("slow"):
        return formant_voice(3.0, 16_000)[None], 16_000
    if name.endswith("music"):
        return bells(2.0, 32_000)[None], 32_000
    return formant_voice(3.01, 24_000)[None], 24_000


def bells(seconds: float, rate: int) -> np.ndarray:
    """Three bells at a time, four times a second: partials that are not harmonic, each dying away. Peak 0.5.

    Sines alone, as in `formant_voice`.

    Args:
        seconds: length.
        rate: sample rate in Hz.

    Returns:
        `[samples]`.
    """
    time = np.arange(int(seconds * rate)) / rate
    out = np.zeros(len(time))
    for number, start in enumerate(np.arange(0, seconds, 0.25)):
        after = np.clip(time - start, 0, None)
        for note in (0, 4 + number % 3, 9 - number % 2):
            hertz = 220 * 2 ** ((note + number % 5) / 12)
            for index, ratio in enumerate((0.56, 0.92, 1.19, 1.71, 2.0, 2.74, 3.0, 3.76, 4.07, 5.2, 6.3, 8.1)):
                out += (
                    (time >= start)
                    * np.exp(-(3 + index) * after)
                    / (index + 2)
                    * np.sin(2 * np.pi * hertz * ratio * after)
                )
    return (0.5 * out / np.abs(out).max()).astype(np.float32)
