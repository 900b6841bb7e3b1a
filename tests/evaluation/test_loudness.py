import numpy as np
import pytest

from nac.evaluation.metrics.loudness import loudness
from nac.synthetic import noise


def tone(seconds: float, level_db: float, rate: int = 48000, hz: float = 997) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * time)).astype(np.float32)[None]


def test_tones_of_the_standards_conformance_tests() -> None:
    # A stereo sine of 997 Hz measures its peak level in dB, full scale; a channel alone 3 dB less (ITU-R BS.2217).
    for rate in (16000, 24000, 44100, 48000):
        one = tone(3, -23, rate)
        assert loudness(np.concatenate([one, one]), rate) == pytest.approx(-23.0, abs=0.1)
        assert loudness(one, rate) == pytest.approx(-26.0, abs=0.1)


def test_pauses_do_not_count() -> None:
    sound = tone(10, -20)
    paused = np.concatenate([sound, np.zeros((1, 5 * 48000), np.float32), sound, tone(4, -60)], axis=1)
    assert loudness(paused, 48000) == pytest.approx(loudness(sound, 48000), abs=0.3)


def test_high_notes_are_louder_than_rumble() -> None:
    assert loudness(tone(1, -20, hz=4000), 48000) > loudness(tone(1, -20, hz=997), 48000) + 2
    assert loudness(tone(1, -20, hz=30), 48000) < loudness(tone(1, -20, hz=997), 48000) - 3


def test_gain_is_gain_and_silence_has_none() -> None:
    sound = noise(24000)[None]
    assert loudness(sound * 0.5, 24000) == pytest.approx(loudness(sound, 24000) - 6.02, abs=0.01)
    assert loudness(sound * 0, 24000) is None
    assert loudness(sound[:, :0], 24000) is None
    assert loudness(sound[:, :1000], 24000) == pytest.approx(loudness(sound, 24000), abs=1)
