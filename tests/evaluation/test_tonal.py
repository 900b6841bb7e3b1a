import numpy as np
import pytest

from nac.evaluation.metrics.tonal import tonal_lines
from nac.synthetic import buzz_speech, noise


def line(samples: int, hertz: float, rate: int, level: float) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_a_whistle_that_is_added_stands_out_by_its_level_over_the_noise(rate: int) -> None:
    clip = noise(6 * rate, level=0.01)
    found = [tonal_lines(clip, clip + line(len(clip), 3000, rate, level), rate) for level in (0.0, 0.003, 0.03)]
    assert found[0] == 0.0
    assert 8 < found[1] < found[2] - 12


def test_noise_in_place_of_noise_has_no_lines() -> None:
    assert tonal_lines(noise(24_000 * 6, 0), noise(24_000 * 6, 1), 24_000) < 2.5


def test_a_line_that_the_original_has_or_that_is_lost_is_none_of_the_decoders() -> None:
    clip = noise(24_000 * 4, level=0.01)
    whistle = clip + line(len(clip), 3000, 24_000, 0.02)
    assert tonal_lines(whistle, whistle + noise(len(clip), 5, 0.0005), 24_000) < 2
    assert tonal_lines(whistle, clip, 24_000) < 2


def test_what_comes_and_goes_is_no_line() -> None:
    clip = noise(24_000 * 6, level=0.001)
    beep = line(len(clip), 3000, 24_000, 0.05)
    steady = tonal_lines(clip, clip + beep, 24_000)
    beep[len(beep) // 3 :] = 0
    assert tonal_lines(clip, clip + beep, 24_000) < 6 and steady > 40


def test_a_faint_whistle_under_a_voice_is_found_in_its_pauses() -> None:
    clip = buzz_speech(6, 24_000) + noise(24_000 * 6, level=0.0003)
    assert tonal_lines(clip, clip + line(len(clip), 3000, 24_000, 0.003), 24_000) > 12


def test_silence_and_short_sounds_are_undefined() -> None:
    assert tonal_lines(np.zeros(24_000, np.float32), noise(24_000), 24_000) is None
    assert tonal_lines(noise(1000), noise(1000), 24_000) is None
