"""Losses of adversarial training, for discriminators and for what they judge."""

import torch
from torch import Tensor

#: Logits, and the feature maps before them; both have the examples, or several rows for each, in their first dimension.
DiscriminatorOutput = tuple[Tensor, list[Tensor]]


def same_level(reference: Tensor, *others: Tensor) -> list[Tensor]:
    """`[batch, samples]` tensors divided by the level of the reference: quiet and loud sound count alike."""
    level = (reference.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return [x / level for x in (reference, *others)]


def discriminator_loss(real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]) -> Tensor:
    """The discriminators' loss (least squares: real is 1, decoded 0; Mao et al. 2017, arXiv 1611.04076)."""
    terms = [(a[0].float() - 1).square().mean() + b[0].float().square().mean() for a, b in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def generator_loss(fake: list[DiscriminatorOutput]) -> Tensor:
    """The decoder's loss: least squares between the logits of decoded sound and those of real sound, 1."""
    return torch.stack([(logits.float() - 1).square().mean() for logits, _ in fake]).mean()


def feature_loss(real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]) -> Tensor:
    """Mean absolute difference of the feature maps, relative to the size of the real ones.

    Source: Kumar et al. 2019, arXiv 1910.06711.
    """
    terms = [
        (x.float() - y.float()).abs().mean() / (x.float().abs().mean() + 1e-4)
        for (_, a), (_, b) in zip(real, fake, strict=True)
        for x, y in zip((m.detach() for m in a), b, strict=True)
    ]
    return torch.stack(terms).mean()
