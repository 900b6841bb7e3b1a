"""The pitch code keeps voicing exactly and pitch to a few cents, and reads every number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.models.voice.pitch_code import END, decode_halves, decode_pitch, encode_pitch

frequency = st.floats(52, 540)
maybe = st.one_of(st.just(0.0), frequency)


def cents(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(1200 * np.log2(a / b))


@given(st.lists(st.lists(maybe, min_size=4, max_size=4), min_size=1, max_size=20))
def test_codes_are_in_range_and_keep_voicing(f0: list[list[float]]) -> None:
    codes = encode_pitch(np.array(f0))
    assert codes.min() >= 1 and codes.max() < END <= 1024
    halves = decode_halves(codes)
    np.testing.assert_array_equal(halves > 0, np.array(f0).reshape(-1, 2, 2).max(2) > 0)


@given(frequency, st.floats(-0.12, 0.12))
def test_a_voiced_hop_is_right_to_a_few_cents(pitch: float, slope: float) -> None:
    """Half a step of the mean, 17 cents, and half the widest step of the slope for each half, 18."""
    halves = np.clip(pitch * 2.0 ** (slope * np.array([-0.5, 0.5])), 52, 540)
    assert cents(decode_halves(encode_pitch(halves.repeat(2))), halves).max() < 1200 * (0.5 / 36 + 0.03 / 2) + 0.01


@given(frequency, st.booleans())
def test_a_half_alone_is_right_to_half_a_step(pitch: float, second: bool) -> None:
    f0 = np.array([0, 0, pitch, pitch]) if second else np.array([pitch, pitch, 0, 0])
    halves = decode_halves(encode_pitch(f0))
    assert halves[1 - second] == 0
    assert cents(halves[int(second)], np.float64(pitch)) < 1200 * 0.5 / 18 + 0.01


def test_every_number_reads_and_every_assigned_one_survives_the_round_trip() -> None:
    codes = np.arange(1, 1024)
    halves = decode_halves(codes)
    assert np.isfinite(halves).all() and ((halves == 0) | ((halves > 47) & (halves < 600))).all()
    np.testing.assert_array_equal(encode_pitch(halves.repeat(2, -1))[: END - 1], codes[: END - 1])
    np.testing.assert_array_equal(halves[END - 1 :], halves[[END - 2]].repeat(1024 - END, 0))


def test_pitch_beyond_the_range_is_the_nearest_in_it() -> None:
    assert decode_halves(encode_pitch(np.full(4, 20.0)))[0] == 50
    assert 540 < decode_halves(encode_pitch(np.full(4, 900.0)))[0] < 600


codes_of = st.lists(st.integers(1, 1023), min_size=1, max_size=30)


@settings(max_examples=50)
@given(codes_of, st.integers(0, 30))
def test_any_cut_decodes_the_same(codes: list[int], cut: int) -> None:
    whole = np.array([codes, codes[::-1]])
    a, state = decode_pitch(whole[:, :cut], np.zeros(2))
    b, _ = decode_pitch(whole[:, cut:], state)
    np.testing.assert_array_equal(np.concatenate([a, b], 1), decode_pitch(whole, np.zeros(2))[0])


@given(codes_of, st.integers(1, 1023))
def test_later_codes_change_nothing(codes: list[int], later: int) -> None:
    before = decode_pitch(np.array([codes]), np.zeros(1))[0]
    np.testing.assert_array_equal(decode_pitch(np.array([[*codes, later]]), np.zeros(1))[0][:, :-1], before)


@pytest.mark.parametrize("rate", [-1.0, -0.3, 0.0, 0.5, 1.0])
def test_a_glide_stays_within_a_third_of_a_semitone(rate: float) -> None:
    """Octaves per second; the values at 5 ms follow the glide, not its steps."""
    f0 = 200 * 2.0 ** (rate * np.arange(100).reshape(1, 25, 4) * 0.005)
    found, _ = decode_pitch(encode_pitch(f0), np.zeros(1))
    error = cents(found, f0)
    assert error.max() < 35 and error.mean() < 15
