"""Discriminators over complex spectra at several resolutions, and their losses.

After the multi-scale STFT discriminator of Défossez et al. 2022 (arXiv 2210.13438), made small enough for a CPU: few
channels, and frequency halved before the first wide layer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

#: Logits `[batch, 1, time, frequency]` and the feature maps before them.
DiscriminatorOutput = tuple[Tensor, list[Tensor]]


class StftDiscriminator(nn.Module):
    """Tells real from decoded by patches of a spectrum: window `size` samples, hop a quarter of it."""

    window: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        shapes = (
            (2, channels, (3, 7), 1),
            (channels, channels, (3, 5), 1),
            (channels, 2 * channels, (3, 5), 2),
            (2 * channels, 2 * channels, (3, 5), 4),
        )
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, kernel, (1, 2), (dilation * (kernel[0] // 2), kernel[1] // 2), (dilation, 1)))
            for a, b, kernel, dilation in shapes
        )
        self.last = weight_norm(nn.Conv2d(2 * channels, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        """Logits and feature maps of `[batch, samples]` of about unit level."""
        frames = torch.stft(x, self.size, self.size // 4, window=self.window, return_complex=True, center=False)
        power = frames.real.square() + frames.imag.square()
        # Spectra span many orders of magnitude; their square root keeps quiet parts in view and keeps the phase.
        scale = (power * (4 / self.size) + 1e-6).pow(-0.25) * (2 / self.size**0.5)
        y = torch.stack([frames.real * scale, frames.imag * scale], 1).transpose(2, 3)
        y = y.contiguous(memory_format=torch.channels_last)
        maps = []
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.2)
            maps.append(y)
        return self.last(y), maps


class Discriminators(nn.Module):
    """One `StftDiscriminator` for each window of `sizes` samples."""

    def __init__(self, sizes: Sequence[int] = (2048, 1024, 512, 256), channels: int = 16) -> None:
        super().__init__()
        self.scales = nn.ModuleList(StftDiscriminator(size, channels) for size in sizes)

    def forward(self, x: Tensor) -> list[DiscriminatorOutput]:
        """Logits and feature maps of `[batch, samples]`, for each resolution."""
        return [scale(x) for scale in self.scales]


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
