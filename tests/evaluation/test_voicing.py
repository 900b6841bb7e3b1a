import numpy as np
import pytest

from nac.evaluation.metrics.voicing import f0_error, voicing_kept
from nac.synthetic import noise

pytest.importorskip("pyworld")
RATE = 24_000


def buzz(pitch: float, seconds: float = 1.5) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 15))).astype(np.float32)


def test_equal_voices_keep_their_voicing_and_pitch() -> None:
    voice = buzz(140)
    assert voicing_kept(voice, voice, RATE) == 1.0 and f0_error(voice, voice, RATE) == 0.0


@pytest.mark.parametrize("cents", [-50.0, 20.0, 100.0])
def test_a_shift_of_the_pitch_is_told_in_cents(cents: float) -> None:
    assert f0_error(buzz(140), buzz(140 * 2 ** (cents / 1200)), RATE) == pytest.approx(abs(cents), abs=2)


def test_a_voice_that_turns_into_noise_for_half_the_time_is_half_kept() -> None:
    voice = buzz(140)
    half = voice.copy()
    half[len(half) // 2 :] = noise(len(half) - len(half) // 2)
    assert 0.4 < voicing_kept(voice, half, RATE) < 0.7


def test_without_a_voice_nothing_is_said() -> None:
    silence = np.zeros(RATE, np.float32)
    assert voicing_kept(silence, buzz(140, 1), RATE) is None
    assert f0_error(silence, silence, RATE) is None
    assert voicing_kept(buzz(140, 1), silence, RATE) == 0.0 and f0_error(buzz(140, 1), silence, RATE) is None
