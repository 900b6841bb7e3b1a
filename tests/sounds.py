"""The sounds that the golden files were coded from."""

import numpy as np

from nac.synthetic import formant_voice


def golden_sound(name: str) -> tuple[np.ndarray, int]:
    """What the golden file of this name was coded from, `[channels, samples]`, and its rate."""
    if name.endswith("stereo"):
        left, right = formant_voice(2.5, 44_100), formant_voice(2.5, 44_100, 180.0)
        return np.stack([left + 0.3 * right, 0.4 * left + right]) * 0.5, 44_100
    if name.endswith("slow"):
        return formant_voice(3.0, 16_000)[None], 16_000
    return formant_voice(3.01, 24_000)[None], 24_000
