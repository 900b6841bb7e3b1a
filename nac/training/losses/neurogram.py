"""A loss on neurograms: log spectra on the ear's own frequency scale, compared patch by patch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Window and step of a neurogram, in seconds.
WINDOW, STEP = 0.080, 0.020
LOWEST = 50.0
#: Distance of neighbouring bands, in equivalent rectangular bandwidths.
SPACING = 1.45
#: Levels, as 10·log10 of a root mean square, below this, or so far below the loudest band of their moment, are silence.
FLOOR = -45.0
#: Weights of a 3 by 3 patch: a Gaussian of deviation 0.5.
PATCH = (0.0113034, 0.0838251, 0.0113034, 0.0838251, 0.6194858, 0.0838251, 0.0113034, 0.0838251, 0.0113034)
LUMINANCE, STRUCTURE = 1e-2, 0.1
#: Mean level of a band that may be off, and how far a reference level must lie over the floor to count: 2 and 16 dB.
TOLERANCE, HEARD = 1.0, 8.0


def erb_number(frequency: float) -> float:
    """Place of a frequency in Hz on the scale of equivalent rectangular bandwidths (Glasberg and Moore 1990)."""
    return 9.26449 * math.log(1 + frequency / (24.7 * 9.26449))


def gammatone_response(sample_rate: int, size: int) -> Tensor:
    """Power responses `[size / 2 + 1, bands]` of gammatone filters of fourth order from 50 Hz to the top."""
    first, last = erb_number(LOWEST), erb_number(sample_rate / 2 * 0.97)
    count = int((last - first) / SPACING) + 1
    places = first + SPACING * torch.arange(count)
    centres = 24.7 * 9.26449 * ((places / 9.26449).exp() - 1)
    width = 1.019 * (centres / 9.26449 + 24.7)
    bins = torch.linspace(0, sample_rate / 2, size // 2 + 1)[:, None]
    return (1 + ((bins - centres) / width).square()).pow(-4)


class NeurogramLoss(nn.Module):
    """One minus the neurogram similarity index (Hines and Harte 2012; as used by Hines et al. 2015).

    Each patch of three bands by three moments is compared by its mean and by how its pattern correlates.
    """

    window: Tensor
    bands: Tensor
    patch: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.size, self.step = int(WINDOW * sample_rate), int(STEP * sample_rate)
        self.fft = 1 << math.ceil(math.log2(self.size))
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        # Scaled so that a band holds the mean square of what passes its filter.
        response = gammatone_response(sample_rate, self.fft) * (2 / self.fft / self.size)
        self.register_buffer("bands", response, persistent=False)
        self.register_buffer("patch", torch.tensor(PATCH).view(1, 1, 3, 3), persistent=False)

    def neurogram(self, x: Tensor) -> Tensor:
        """`[batch, samples]` to levels `[batch, moments, bands]`."""
        frames = torch.stft(x, self.fft, self.step, self.size, self.window, return_complex=True, center=False)
        power = (frames.real.square() + frames.imag.square()).transpose(1, 2) @ self.bands
        return 5 * (power + 1e-9).log10()

    def forward(self, reference: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Two values for each of `[batch, samples]`: unlikeness, 0 (alike) to about 2, and how far the bands' mean
        levels are off beyond 2 dB, in units of 2 dB.

        Scores that forgive what an equaliser could undo, PESQ's among them, reward a codec that turns down the bands
        it codes badly; who listens hears it muffled. The second value forbids that.
        """
        a, b = self.neurogram(reference), self.neurogram(estimate)
        peak = torch.maximum(a, b.detach()).amax(2, keepdim=True)
        floor = (peak + FLOOR).clamp(min=FLOOR)
        a, b = (torch.maximum(x, floor) - FLOOR for x in (a, b))
        mean_a, mean_b = self._blur(a), self._blur(b)
        var_a = (self._blur(a * a) - mean_a.square()).clamp(min=0)
        var_b = (self._blur(b * b) - mean_b.square()).clamp(min=0)
        both = self._blur(a * b) - mean_a * mean_b
        mean = (2 * mean_a * mean_b + LUMINANCE) / (mean_a.square() + mean_b.square() + LUMINANCE)
        pattern = (both + STRUCTURE) / ((var_a + 1e-4).sqrt() * (var_b + 1e-4).sqrt() + STRUCTURE)
        heard = (a > HEARD).float()
        off = ((b - a) * heard).sum(1) / heard.sum(1).clamp(min=1)
        return 1 - (mean * pattern).mean((-1, -2)), (off.abs() - TOLERANCE).relu().mean(-1)

    def _blur(self, x: Tensor) -> Tensor:
        out: Tensor = F.conv2d(F.pad(x[:, None], (1, 1, 1, 1), mode="replicate"), self.patch)
        return out[:, 0]
