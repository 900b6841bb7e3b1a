"""Weights as integers and steps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nac.models.int8 import dequantize, quantize, relative_error

ROWS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=3, max_side=6),
    elements=st.one_of(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(-1, 1, width=32), st.just(0.0)),
)


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_values_are_kept_to_half_a_step_of_their_row(values: np.ndarray) -> None:
    rows = torch.from_numpy(values)
    codes, steps = quantize(rows)
    assert codes.dtype == torch.int8 and codes.shape == rows.shape and int(codes.int().abs().max()) <= 127
    assert steps.shape == rows.shape[:1] and bool((steps > 0).all()) and bool(torch.isfinite(steps).all())
    error = (dequantize(codes, steps) - rows).flatten(1).abs().amax(1)
    assert bool((error <= 0.501 * steps).all())
    largest = rows.flatten(1).abs().amax(1)
    assert bool((steps <= 1.001 * largest.clamp(min=1e-12) / 127).all()), "a row has a step of its own"


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_what_was_quantized_stays_as_it_is(values: np.ndarray) -> None:
    codes, steps = quantize(torch.from_numpy(values))
    again, same = quantize(dequantize(codes, steps))
    assert torch.equal(again, codes) and torch.equal(same, steps)


def test_steps_of_all_bits_stay_as_they_are() -> None:
    """Steps of files that other versions wrote are any float32, and fingerprints depend on each bit."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.rand(20_000, generator=generator) * 10.0 ** torch.randint(-8, 8, (20_000,), generator=generator)
    codes = torch.randint(-127, 128, (20_000, 60), generator=generator).to(torch.int8)
    codes[:, 7] = 127
    again, same = quantize(dequantize(codes, steps))
    assert torch.equal(again, codes)
    assert torch.equal(same, steps)


def test_rows_of_other_sizes_do_not_disturb_each_other() -> None:
    rows = torch.randn(4, 300, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-6, 0.01, 1, 1e6])[:, None]
    assert float(relative_error(rows).max()) < 10**-3.8
    assert float(relative_error(torch.zeros(2, 5)).max()) == 0


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5)])
def test_rows_are_along_the_first_axis(shape: tuple[int, ...]) -> None:
    codes = torch.full(shape, 2, dtype=torch.int8)
    values = dequantize(codes, torch.tensor([1.0, 10.0, 100.0]))
    assert values.shape == shape and values.flatten(1)[:, 0].tolist() == [2.0, 20.0, 200.0]
