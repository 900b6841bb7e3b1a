"""The phase as a point on the circle, which is how networks on complex spectra see it and predict it.

As a number from -π to π it jumps where nothing jumps in the sound; a network that is given it so, or asked for it so,
learns next to nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nac.study.autoencoders import Network

#: Standard deviation of angles spread evenly from -π to π, by which the feature "phase" is divided.
SPREAD = math.pi / math.sqrt(3)


def lift(features: Tensor) -> Tensor:
    """Phases to points on the circle, of unit size.

    Args:
        features: `[batch, 2, rows, frames]`: magnitude, and phase over `SPREAD`.

    Returns:
        `[batch, 3, rows, frames]`: magnitude, cosine and sine.

    >>> [round(x, 3) for x in lift(torch.tensor([0.5, 0.0]).view(1, 2, 1, 1)).flatten().tolist()]
    [0.5, 1.414, 0.0]
    """
    angle = features[:, 1] * SPREAD
    return torch.stack([features[:, 0], math.sqrt(2) * angle.cos(), math.sqrt(2) * angle.sin()], 1)


def direction(features: Tensor) -> Tensor:
    """Complex numbers `[batch, rows, frames]` of magnitude 1 with the phase of features, before or after `lift`."""
    if features.shape[1] == 2:
        angle = features[:, 1] * SPREAD
        return torch.complex(angle.cos(), angle.sin())
    length = (features[:, 1:].square().sum(1) + 1e-4).sqrt()  # no division by zero, nor a gradient of 1/0
    return torch.complex(features[:, 1] / length, features[:, 2] / length)


class OnCircle(Network):
    """`inner`, a network of 3 channels, behind features of 2; what it gives back has 3."""

    def __init__(self, inner: Network) -> None:
        super().__init__()
        self.inner, self.latents = inner, inner.latents

    def prepare(self, features: Tensor) -> None:
        self.inner.prepare(lift(features))

    def encode(self, x: Tensor) -> list[Tensor]:
        return self.inner.encode(lift(x))

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        return self.inner.decode(tables)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        out: tuple[Tensor, Tensor | None] = self.inner(lift(x))
        return out

    def pooled(self, x: Tensor) -> Tensor:
        return self.inner.pooled(lift(x))
