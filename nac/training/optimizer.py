"""What every training here does at a step: the learning rate, and one step of the optimizer."""

import math

import torch
from torch import Tensor, nn

from nac.errors import NacError


class DivergedError(NacError):
    """Training produced numbers that are not finite, or a latent that ran away."""


def learning_rate(highest: float, share: float, step: int, warmup: int, final_share: float) -> float:
    """The learning rate: a linear warm-up, then a cosine over the budget.

    Args:
        highest: The rate after the warm-up.
        share: Of the budget that is spent, 0 to 1.
        step: Number of the step, from 0.
        warmup: Steps of the warm-up.
        final_share: The rate at the end, as a share of `highest`.

    >>> [round(learning_rate(1.0, share, 100, 10, 0.1), 2) for share in (0.0, 0.5, 1.0)]
    [1.0, 0.55, 0.1]
    >>> learning_rate(1.0, 0.0, 0, 10, 0.1)
    0.1
    """
    fall = final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * share))
    return highest * fall * min(1.0, (step + 1) / warmup)


def optimizer_step(loss: Tensor, optimizer: torch.optim.Optimizer, clip: float) -> float:
    """Compute the gradient, clip it, and let the optimizer make a step; none where the gradient is not finite.

    Args:
        loss: What to minimise.
        optimizer: Its parameters, in groups.
        clip: Largest norm of the gradient of a group.

    Returns:
        The norm of the whole gradient before it was clipped.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    # Each group by itself: layers at waveform rates have gradients a hundred times as large and as uneven.
    norms = [nn.utils.clip_grad_norm_(group["params"], clip) for group in optimizer.param_groups]
    norm = float(torch.stack(norms).norm())
    if math.isfinite(norm):
        optimizer.step()
    return norm
