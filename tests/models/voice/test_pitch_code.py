"""The pitch code keeps voicing exactly and pitch to a few cents, and reads every number."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nac.models.voice.contour import PitchContour
from nac.models.voice.pitch_code import END, decode_pitch, encode_pitch

frequency = st.floats(52, 540)
maybe = st.one_of(st.just(0.0), frequency)


def cents(a: Tensor, b: Tensor) -> Tensor:
    return (1200 * torch.log2(a / b)).abs()


@given(st.lists(st.lists(maybe, min_size=4, max_size=4), min_size=1, max_size=20))
def test_codes_are_in_range_and_keep_voicing(f0: list[list[float]]) -> None:
    values = torch.tensor(f0, dtype=torch.float64)
    codes = encode_pitch(values)
    assert codes.min() >= 1
    assert codes.max() < END <= 1024
    assert torch.equal(decode_pitch(codes) > 0, values.unflatten(-1, (2, 2)).amax(-1) > 0)


@given(frequency, st.floats(-0.06, 0.06))
def test_a_voiced_hop_is_right_to_a_few_cents(pitch: float, slope: float) -> None:
    """Half a step of the mean, 7 cents, and for each half half of what the slope is wrong by, 12."""
    halves = (pitch * 2.0 ** (slope * torch.tensor([-0.5, 0.5]))).clamp(52, 540)
    found = decode_pitch(encode_pitch(halves.repeat_interleave(2)))
    assert cents(found, halves).max() < 1200 * (0.5 / 90 + 0.02 / 2) + 0.01


@given(frequency, st.booleans())
def test_a_half_alone_is_right_to_half_a_step(pitch: float, second: bool) -> None:
    f0 = torch.tensor([0, 0, pitch, pitch] if second else [pitch, pitch, 0, 0])
    halves = decode_pitch(encode_pitch(f0))
    assert halves[1 - second] == 0
    assert cents(halves[int(second)], torch.tensor(pitch)) < 1200 * 0.5 / 13 + 0.01


def test_every_number_reads_and_every_assigned_one_survives_the_round_trip() -> None:
    codes = torch.arange(1024)
    halves = decode_pitch(codes)
    assert (halves[:2] == 0).all()
    assert ((halves == 0) | ((halves > 47) & (halves < 600))).all()
    assert torch.equal(encode_pitch(halves.repeat_interleave(2, -1))[1:END], codes[1:END])
    assert (halves[END:] == halves[END - 1]).all()


def test_pitch_beyond_the_range_is_the_nearest_in_it() -> None:
    assert decode_pitch(encode_pitch(torch.full((4,), 20.0)))[0] == 52
    assert 540 < decode_pitch(encode_pitch(torch.full((4,), 900.0)))[0] < 600


@pytest.mark.parametrize("rate", [-1.0, -0.3, 0.0, 0.5, 1.0])
def test_a_glide_stays_within_a_third_of_a_semitone(rate: float) -> None:
    """Octaves per second; the values at 5 ms follow the glide, not its steps."""
    f0 = 200 * 2.0 ** (rate * torch.arange(100).view(1, 25, 4) * 0.005)
    error = cents(PitchContour()(decode_pitch(encode_pitch(f0))), f0)
    assert error.max() < 35
    assert error.mean() < 15
