"""Resampling: exact length, no delay, indifferent to how the input is cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.audio import Resampler, resampled_length
from nac.errors import AudioError

RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000]


def convert(x, rate_in, rate_out, cuts=()):
    resampler = Resampler(rate_in, rate_out, x.shape[0])
    edges = [0, *sorted(cuts), x.shape[1]]
    parts = [resampler.push(x[:, a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, resampler.flush()], axis=1)


def noise(channels, samples, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, samples)).astype(np.float32)


@pytest.mark.parametrize("rate_in", RATES)
@pytest.mark.parametrize("direction", ["in", "out"])
def test_every_length_is_exact(rate_in, direction):
    rates = (rate_in, 24000) if direction == "in" else (24000, rate_in)
    resampler = Resampler(*rates, 1)
    for n in [*range(0, 200), *range(200, 2001, 37)]:
        x = np.ones((1, n), np.float32)
        made = resampler.push(x).shape[1] + resampler.flush().shape[1]
        assert made == resampled_length(n, *rates) == -(-n * rates[1] // rates[0])


@settings(max_examples=60, deadline=None)
@given(
    rate_in=st.sampled_from(RATES),
    rate_out=st.sampled_from(RATES),
    channels=st.integers(1, 2),
    samples=st.integers(0, 2000),
    data=st.data(),
)
def test_cuts_do_not_matter(rate_in, rate_out, channels, samples, data):
    cuts = data.draw(st.lists(st.integers(0, samples), max_size=6))
    x = noise(channels, samples)
    whole = convert(x, rate_in, rate_out)
    assert whole.shape == (channels, resampled_length(samples, rate_in, rate_out))
    np.testing.assert_array_equal(convert(x, rate_in, rate_out, cuts), whole)


@pytest.mark.parametrize("rate_in", RATES)
def test_there_is_no_delay(rate_in):
    time_in = np.arange(rate_in) / rate_in
    y = convert(np.sin(2 * np.pi * 440 * time_in)[None].astype(np.float32), rate_in, 24000)
    expected = np.sin(2 * np.pi * 440 * np.arange(24000) / 24000)
    # One sample of delay would be an error of 0.1; the ends ring because the sine starts and stops there.
    assert np.abs(y[0] - expected)[2000:-2000].max() < 1e-4


@pytest.mark.parametrize("rate", [11025, 44100, 48000])
def test_there_and_back_returns_the_signal(rate):
    t = np.arange(rate) / rate
    x = (0.4 * np.sin(2 * np.pi * 300 * t) + 0.4 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)[None]
    back = convert(convert(x, rate, 24000), 24000, rate)
    assert back.shape[1] >= x.shape[1]
    assert np.abs(back[:, :rate] - x)[:, 2000:-2000].max() < 1e-3


def test_constant_stays_constant_and_channels_stay_apart():
    x = np.stack([np.full(20000, 0.5), np.zeros(20000)]).astype(np.float32)
    y = convert(x, 44100, 24000)
    assert np.abs(y[0, 500:-500] - 0.5).max() < 1e-4
    assert np.abs(y[1]).max() == 0


def test_peaks_over_full_scale_pass():
    t = np.arange(16000) / 16000
    y = convert((3 * np.sin(2 * np.pi * 100 * t))[None].astype(np.float32), 16000, 24000)
    assert 2.99 < np.abs(y).max() < 3.1


def test_equal_rates_pass_untouched():
    x = noise(2, 777)
    np.testing.assert_array_equal(convert(x, 24000, 24000, [3, 500]), x)


def test_ready_for_a_new_signal_after_flush():
    resampler = Resampler(44100, 24000, 1)
    first = np.concatenate([resampler.push(noise(1, 3000)), resampler.flush()], axis=1)
    second = np.concatenate([resampler.push(noise(1, 3000)), resampler.flush()], axis=1)
    np.testing.assert_array_equal(first, second)


def test_output_arrives_while_input_is_pushed():
    resampler = Resampler(48000, 24000, 1)
    given_out = sum(resampler.push(noise(1, 480)).shape[1] for _ in range(1000))
    assert 240000 - given_out < 2400  # what is held back is bounded, so memory is


def test_wrong_shape_and_rates_are_refused():
    with pytest.raises(AudioError, match=r"shape \[2, n\]"):
        Resampler(8000, 24000, 2).push(np.zeros((1, 5), np.float32))
    with pytest.raises(AudioError, match="0 Hz"):
        Resampler(8000, 0, 1)
