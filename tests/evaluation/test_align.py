import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.evaluation.metrics.align import align, delay, shifted
from nac.synthetic import noise

RATE = 8000


@settings(deadline=None)
@given(lag=st.integers(-900, 900), gain=st.sampled_from([0.5, 2.0, -1.0]), extra=st.integers(-500, 500))
def test_a_delay_is_found_and_removed(lag: int, gain: float, extra: int) -> None:
    reference = noise(4000)
    late = shifted(reference, -lag, 4000 + extra) * np.float32(gain)
    assert delay(reference, late, RATE) == lag
    moved, found = align(reference, late, RATE)
    assert found == lag and moved.shape == reference.shape
    inside = slice(900, 2500)
    np.testing.assert_allclose(moved[inside], gain * reference[inside], rtol=1e-6)


def test_channels_move_together() -> None:
    reference = np.stack([noise(3000, 1), noise(3000, 2)])
    moved, found = align(reference, shifted(reference, -25, 3000), RATE)
    assert found == 25
    np.testing.assert_array_equal(moved[:, :2975], reference[:, :2975])
    assert not moved[:, 2975:].any()


def test_delays_beyond_the_limit_are_not_looked_for() -> None:
    reference = noise(8000)
    late = shifted(reference, -800, 8000)
    assert abs(delay(reference, late, RATE, max_seconds=0.05)) <= 400
    assert delay(reference, late, RATE, max_seconds=0.1) == 800


@pytest.mark.parametrize("other", [np.zeros(100, np.float32), np.zeros(0, np.float32)])
def test_silence_has_no_delay(other: np.ndarray) -> None:
    assert delay(noise(100), other, RATE) == 0
    moved, _ = align(noise(100), other, RATE)
    assert moved.shape == (100,)


@pytest.mark.parametrize("moved", [0, 1200, -2400])
def test_a_waveform_made_anew_has_the_delay_of_its_loudness(moved: int) -> None:
    """As behind a vocoder: the same loudness, another waveform."""
    rng = np.random.default_rng(1)
    rate, n = 24_000, 96_000
    loudness = np.interp(np.arange(n), np.arange(0, n + 4800, 4800), rng.random(n // 4800 + 1)) ** 2
    x, y = (loudness * rng.standard_normal(n) for _ in range(2))
    found = delay(x, shifted(y, -moved, n), rate)
    assert found == 0 if moved == 0 else abs(found - moved) < 0.01 * rate
