"""Augmentation changes what it says, by no more than it says, and repeats with its seed."""

import numpy as np
import pytest

from nac.synthetic import speech_like
from nac.training.data.augment import Augmentation, add_noise, augment, change_speed, equalise, reverberate
from nac.training.data.corpus import Crops
from tests.training.test_training import corpus

RATE = 24_000


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE).astype(np.float32) * 0.5


def peak_frequency(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))) * RATE / len(samples)


@pytest.mark.parametrize("ratio", [0.9, 1.15])
def test_speed_moves_the_pitch(ratio: float) -> None:
    out = change_speed(tone(1000, ratio), RATE, RATE)
    assert len(out) == RATE and peak_frequency(out) == pytest.approx(1000 * ratio, abs=2)


def test_equalising_stays_within_its_bounds() -> None:
    rng = np.random.default_rng(0)
    impulse = np.zeros(RATE, np.float32)
    impulse[0] = 1
    for _ in range(20):
        level = 20 * np.log10(np.abs(np.fft.rfft(equalise(impulse, RATE, rng))))
        assert 0.1 < np.abs(level).max() < 18.5


def test_a_room_keeps_the_direct_sound_and_adds_a_tail() -> None:
    impulse = np.zeros(RATE, np.float32)
    impulse[0] = 1
    for seed in range(10):
        out = reverberate(impulse, RATE, np.random.default_rng(seed))
        assert out[0] == pytest.approx(1, abs=1e-4) and not np.abs(out[1:40]).max() > 1e-4
        tail = 10 * np.log10(np.sum(out[1:] ** 2))
        assert -20.1 < tail < -2.9


def test_noise_is_as_far_below_as_it_says() -> None:
    sound = tone(440)
    for seed in range(10):
        noise = add_noise(sound, np.random.default_rng(seed)) - sound
        assert 14.5 < 10 * np.log10(np.mean(sound**2) / np.mean(noise**2)) < 40.5


def test_gain_stays_in_range_and_nothing_clips() -> None:
    rng = np.random.default_rng(0)
    sound = tone(440) * 2
    levels = [20 * np.log10(np.abs(augment(sound, RATE, Augmentation(gain=(-18, 0)), rng)).max()) for _ in range(50)]
    assert max(levels) < 1e-3 and -18.1 < min(levels) < -10


def test_crops_repeat_with_their_seed_and_differ_between_seeds() -> None:
    plan = Augmentation(0.5, 0.5, 0.5, 0.5, 0.5)
    first, again, other = (Crops(corpus(), 9600, (), 0.5, seed, plan).batch(8) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (8, 9600) and first.dtype == np.float32 and np.isfinite(first).all()


def test_plain_crops_are_pieces_of_the_audio() -> None:
    sound = speech_like(30_000, seed=0)
    crop = Crops(corpus(), 9600, (("speech", 1.0),), 0.0, 0).one()
    assert crop.shape == (9600,) and np.abs(crop).max() <= np.abs(sound).max() * 1.2
