"""Weights as 8-bit integers: a number in a file is an integer times the step of its row."""

import torch
from torch import Tensor

#: Largest integer. The smallest is its negative.
LARGEST = 127
#: A row whose values are all smaller, or zero, has the step of a row with this as its largest value: a power of 2.
_SMALLEST = LARGEST * 2.0**-47
#: The lower bits of a float32's significand, which has 24.
_LOWER_BITS = 8


def quantize(value: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize to int8, with one step size for each index of the first axis (here a row, whatever its axes).

    A row's largest magnitude becomes ±127. A row that was quantized before gives the integers and the step that it had,
    so that weights that are loaded and saved again stay the same.

    Args:
        value: finite, `[rows, ...]`.

    Returns:
        int8 of the same shape, and float32 step sizes `[rows]`, above 0.
    """
    rows = value.float().flatten(1)
    steps = rows.abs().amax(1).clamp(min=_SMALLEST) / LARGEST
    # A step rounded to 16 bits makes its products with the integers exact, and so the largest of them over 127.
    chosen = (steps.view(torch.int32) + (1 << _LOWER_BITS - 1) & -1 << _LOWER_BITS).view(torch.float32)
    # Of an older file's step, which has 24 bits, the product with 127, over 127, is that step or a neighbour.
    infinity = torch.tensor(torch.inf)
    for step in (steps.nextafter(-infinity), steps.nextafter(infinity), steps):
        exact = (_nearest(rows, step) * step[:, None] == rows).all(1)
        chosen = torch.where(exact, step, chosen)
    return _nearest(rows, chosen).to(torch.int8).view(value.shape), chosen


def _nearest(rows: Tensor, steps: Tensor) -> Tensor:
    """The integers, as floats, that times the steps are nearest to the rows."""
    return (rows / steps[:, None]).round().clamp(-LARGEST, LARGEST)


def dequantize(codes: Tensor, steps: Tensor) -> Tensor:
    """The values, float32, that `quantize` stored.

    Args:
        codes: int8 `[rows, ...]`.
        steps: float32 `[rows]`.
    """
    return codes.float() * steps.view(-1, *[1] * (codes.ndim - 1))


def relative_error(value: Tensor) -> Tensor:
    """Power of the error that quantizing makes, over that of the values: float32 `[rows]`, 0 for a row of zeros."""
    error = (dequantize(*quantize(value)) - value).flatten(1).square().sum(1)
    power = value.flatten(1).square().sum(1)
    return error / power.clamp(min=torch.finfo(torch.float32).tiny)
