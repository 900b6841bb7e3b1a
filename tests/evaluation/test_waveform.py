import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.evaluation.metrics.waveform import l1, mse, sdr, si_sdr, snr
from nac.synthetic import noise


def test_hand_computed_case() -> None:
    reference = np.array([1, -1, 1, -1], np.float32)
    decoded = np.array([0.5, -0.5, 1, -1], np.float32)
    # error: .5, -.5, 0, 0
    assert mse(reference, decoded) == pytest.approx(0.125)
    assert l1(reference, decoded) == pytest.approx(0.25)
    assert snr(reference, decoded) == pytest.approx(10 * math.log10(4 / 0.5))
    # best factor: 3/4; target power 4 · 9/16; what is left: ±.25 four times
    assert si_sdr(reference, decoded) == pytest.approx(10 * math.log10((4 * 9 / 16) / (4 / 16)))


def test_independent_noise_of_known_power_gives_its_ratio() -> None:
    signal, error = noise(48000, seed=1), noise(48000, seed=2)
    for level in (0.5, 0.1, 0.01):
        expected = -20 * math.log10(level)
        for metric in (snr, si_sdr, sdr):
            assert metric(signal, signal + level * error) == pytest.approx(expected, abs=0.3)


@given(gain=st.floats(0.01, 100), offset=st.floats(-1, 1))
def test_si_sdr_ignores_gain_and_offset(gain: float, offset: float) -> None:
    signal, other = noise(2000, seed=1), noise(2000, seed=1) + noise(2000, seed=2, level=0.05)
    moved = (gain * other.astype(np.float64) + offset).astype(np.float64)
    assert si_sdr(signal, moved) == pytest.approx(si_sdr(signal, other), abs=1e-3)


def test_sdr_forgives_a_filter_and_a_delay_but_not_noise() -> None:
    signal = noise(24000, seed=1)
    response = np.zeros(100)
    response[[3, 40, 99]] = 0.8, -0.4, 0.2
    filtered = np.convolve(signal, response)[: len(signal)]
    assert snr(signal, filtered) < 2
    assert sdr(signal, filtered) > 20
    error = noise(24000, seed=2) * np.float32(np.sqrt(np.mean(filtered**2)) / 0.1 / 10)
    assert sdr(signal, (filtered + error).astype(np.float32)) == pytest.approx(20, abs=1.0)


def test_equal_signals() -> None:
    signal = noise(2000)
    assert snr(signal, signal) == math.inf
    assert si_sdr(signal, signal) > 100
    assert sdr(signal, signal) > 80
    assert mse(signal, signal) == l1(signal, signal) == 0


def test_silence_is_undefined() -> None:
    signal, silence = noise(2000), np.zeros(2000, np.float32)
    assert snr(silence, signal) is None
    assert snr(signal, silence) == 0
    for metric in (si_sdr, sdr):
        assert metric(silence, signal) is None
        assert metric(signal, silence) is None
        assert metric(silence, silence) is None


def test_orthogonal_signals_share_nothing() -> None:
    assert si_sdr(np.array([1, 1, -1, -1], np.float32), np.array([1, -1, -1, 1], np.float32)) == -math.inf


def test_sdr_needs_more_samples_than_taps() -> None:
    assert sdr(noise(511), noise(511)) is None
