"""The spectrum that a decoded envelope stands for, at any frequency, and the filters that have it."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.voice.timing import SAMPLE_RATE

#: Largest amplitude, as its natural logarithm: more than any full-scale sound needs, and random codes do not overflow.
MAX_LOG_AMPLITUDE = 4.0


#: Hz, edges of the bands of aperiodicity.
APERIODICITY_EDGES = (0, 1000, 2000, 3000, 4500, 6500, 9000, 12000)


class EnvelopeSpectrum(nn.Module):
    """Log bands to the log spectrum that has them most often, a linear map fitted on speech.

    Attributes:
        basis: natural logarithm of power by band and bin, `[bands + 1, fft_size / 2 + 1]`; the last row is constant.
    """

    basis: Tensor
    between_centres: Tensor
    fold: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        """Starts with bands spread evenly over the bins, without anything between them."""
        super().__init__()
        self.size = config.fft_size
        bins = config.fft_size // 2 + 1
        nearest = (torch.arange(bins) * config.n_bands // bins)[None] == torch.arange(config.n_bands + 1)[:, None]
        self.register_buffer("basis", nearest.float())
        # Folds a cepstrum to that of the minimum-phase signal (Oppenheim and Schafer 1975).
        fold = torch.zeros(self.size, dtype=torch.float64)
        fold[0] = fold[self.size // 2] = 1
        fold[1 : self.size // 2] = 2
        self.register_buffer("fold", fold, persistent=False)
        self.register_buffer("between_centres", _between_centres(bins), persistent=False)

    def filters(self, bands: Tensor, gains: Tensor) -> Tensor:
        """Frequency responses of minimum-phase filters that have these envelopes and gains.

        Args:
            bands: natural logarithm of power, `[..., bands]`.
            gains: natural logarithm of amplitude at the centres of the bands of aperiodicity, `[..., bands]`.

        Returns:
            Complex, `[..., fft_size / 2 + 1]`.
        """
        # Logarithm of magnitude and phase of a minimum-phase filter are linear in its log spectrum.
        amplitude = torch.cat([self.basis / 2, self.between_centres])
        phase = torch.fft.rfft(torch.fft.irfft(amplitude.double(), n=self.size) * self.fold).imag.to(bands.dtype)
        x = torch.cat([_with_one(bands), gains], -1)
        return torch.polar((x @ amplitude).clamp(max=MAX_LOG_AMPLITUDE).exp(), x @ phase)

    def log_amplitude(self, bands: Tensor, frequencies: Tensor) -> Tensor:
        """Natural logarithm of amplitude at some frequencies.

        Args:
            bands: natural logarithm of power, `[..., bands]`.
            frequencies: as a share of the sample rate, `[n]`, below 0.5.

        Returns:
            `[..., n]`.
        """
        position = frequencies * self.size
        below = position.floor().long()
        at = torch.lerp(self.basis[:, below], self.basis[:, below + 1], (position - below).to(self.basis.dtype))
        return (_with_one(bands) @ (at / 2)).clamp(max=MAX_LOG_AMPLITUDE)


def _with_one(bands: Tensor) -> Tensor:
    return torch.cat([bands, torch.ones_like(bands[..., :1])], -1)


def _between_centres(bins: int) -> Tensor:
    """`[bands, bins]`: interpolates between the centres of the bands of aperiodicity; flat beyond the outer ones."""
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, bins)
    centres = torch.tensor([(low + high) / 2 for low, high in pairwise(APERIODICITY_EDGES)])
    right = torch.searchsorted(centres, frequencies).clamp(1, len(centres) - 1)
    share = ((frequencies - centres[right - 1]) / (centres[right] - centres[right - 1])).clamp(0, 1)
    out = torch.zeros(len(centres), bins)
    at = torch.arange(bins)
    out[right - 1, at] = 1 - share
    out[right, at] += share
    return out
