"""Discriminators as plain matrix products over frames, the fastest form on a CPU.

A convolution over time is one product with the neighbouring frames laid side by side; frequency is divided into a few
bands, or time into phases of a period, and their content is channels.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from nac.training.adversarial.losses import DiscriminatorOutput
from nac.training.frames import frames

#: Slope of the activations below 0.
_SLOPE = 0.2
#: Edges of the bands, as shares of half the sample rate.
_EDGES = (0, 1 / 12, 1 / 6, 1 / 3, 2 / 3, 1)
#: Layers of each band after its first.
_BAND_LAYERS = 2
#: Channels of the layers over periods, as shares of the last; steps of a layer's kernel, and its stride.
_PERIOD_SHARES = (1 / 12, 1 / 3, 2 / 3, 1)
_PERIOD_KERNEL, _PERIOD_STRIDE = 5, 3


class BandDiscriminator(nn.Module):
    """Judges the complex spectrum: each band by itself, and all of them together.

    After the multi-band discriminator of Kumar et al. 2023 (arXiv 2306.06546).
    """

    window: Tensor

    def __init__(self, size: int, channels: int) -> None:
        """Window of `size` samples, hop a quarter of it; `channels` of the joint layer, half as many in each band."""
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.edges = [round(share * size / 2) for share in _EDGES]
        width = channels // 2
        widths = [stop - start for start, stop in pairwise(self.edges)]
        self.first = nn.ModuleList(weight_norm(nn.Linear(2 * bins, width)) for bins in widths)
        self.layers = nn.ModuleList(
            nn.ModuleList(weight_norm(nn.Linear(3 * width, width)) for _ in range(_BAND_LAYERS)) for _ in widths
        )
        self.last = nn.ModuleList(weight_norm(nn.Linear(width, 1)) for _ in widths)
        self.joint = weight_norm(nn.Linear(3 * width * len(widths), channels))
        self.joint_last = weight_norm(nn.Linear(channels, 1))

    def forward(self, x: Tensor) -> list[DiscriminatorOutput]:
        """Judge `[batch, samples]` of about unit level: an output for each band and one, with all maps, for all."""
        spectra = torch.fft.rfft(frames(x, self.size, self.size // 4) * self.window)[..., 1:]
        power = spectra.real.square() + spectra.imag.square()
        # Spectra span many orders of magnitude; their square root keeps quiet parts in view and keeps the phase.
        scale = (power * (4 / self.size) + 1e-6).pow(-0.25) * (2 / self.size**0.5)
        real, imaginary = spectra.real * scale, spectra.imag * scale
        maps, out, ends = [], [], []
        parts = zip(pairwise(self.edges), self.first, self.layers, self.last, strict=True)
        for (start, stop), first, layers, last in parts:
            hidden = _active(first(torch.cat([real[..., start:stop], imaginary[..., start:stop]], -1)))
            maps.append(hidden)
            for layer in layers:  # type: ignore[attr-defined]
                hidden = _active(layer(_with_neighbours(hidden)))
                maps.append(hidden)
            out.append((last(hidden), list[Tensor]()))
            ends.append(hidden)
        hidden = _active(self.joint(_with_neighbours(torch.cat(ends, -1))))
        return [*out, (self.joint_last(hidden), [*maps, hidden])]


class PeriodDiscriminator(nn.Module):
    """Judges every p-th sample, for each of the p phases (Kong et al. 2020, arXiv 2010.05646)."""

    def __init__(self, period: int, channels: int) -> None:
        """`period` is in samples; `channels` are those of the last layer."""
        super().__init__()
        self.period = period
        widths = [1, *(max(1, round(share * channels)) for share in _PERIOD_SHARES)]
        self.layers = nn.ModuleList(weight_norm(nn.Linear(_PERIOD_KERNEL * a, b)) for a, b in pairwise(widths))
        self.last = weight_norm(nn.Linear(3 * channels, 1))

    def forward(self, x: Tensor) -> list[DiscriminatorOutput]:
        """Judge `[batch, samples]` of about unit level: one output."""
        steps = x.shape[1] // self.period
        hidden = x[:, : steps * self.period].view(len(x), steps, self.period).transpose(1, 2).reshape(-1, steps, 1)
        maps = []
        for layer in self.layers:
            hidden = _active(layer(_strided(hidden)))
            maps.append(hidden)
        return [(self.last(_with_neighbours(hidden)), maps)]


class Discriminators(nn.Module):
    """One discriminator for each window and each period."""

    def __init__(
        self, windows: Sequence[int], channels: int, periods: Sequence[int] = (), period_channels: int = 192
    ) -> None:
        """Windows and periods are in samples, channels those of each discriminator's widest layer."""
        super().__init__()
        self.parts = nn.ModuleList(
            [
                *(BandDiscriminator(size, channels) for size in windows),
                *(PeriodDiscriminator(period, period_channels) for period in periods),
            ]
        )

    def forward(self, x: Tensor) -> list[DiscriminatorOutput]:
        """Logits and feature maps of `[batch, samples]` of about unit level, in several outputs for each part."""
        return [output for part in self.parts for output in part(x)]


def _active(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)


def _with_neighbours(x: Tensor) -> Tensor:
    """`[batch, time, channels]` to thrice the channels: the steps before and after, silence beyond the ends."""
    return torch.cat([F.pad(x, (0, 0, 1, 0))[:, :-1], x, F.pad(x, (0, 0, 0, 1))[:, 1:]], -1)


def _strided(x: Tensor) -> Tensor:
    """`[batch, time, channels]` to `[batch, time / 3, 5 · channels]`: five steps, three apart; silence at the end."""
    channels = x.shape[2]
    x = F.pad(x[:, : x.shape[1] // _PERIOD_STRIDE * _PERIOD_STRIDE], (0, 0, 0, _PERIOD_STRIDE))
    groups = x.reshape(len(x), -1, _PERIOD_STRIDE * channels)
    return torch.cat([groups[:, :-1], groups[:, 1:, : (_PERIOD_KERNEL - _PERIOD_STRIDE) * channels]], -1)
