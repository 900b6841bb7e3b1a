"""Overlapping frames of a signal, by slices: the gradient of `unfold` is several times slower on a CPU."""

import torch
from torch import Tensor


def frames(x: Tensor, size: int, hop: int) -> Tensor:
    """Cut into frames.

    Args:
        x: `[batch, samples]`, at least `size` of them; what does not fill a hop at the end is left out.
        size: samples of a frame, a multiple of `hop`.
        hop: samples between frames.

    Returns:
        `[batch, frames, size]`.
    """
    pieces = x[:, : x.shape[1] // hop * hop].view(x.shape[0], -1, hop)
    parts = size // hop
    count = pieces.shape[1] - parts + 1
    return torch.cat([pieces[:, part : part + count] for part in range(parts)], 2)
