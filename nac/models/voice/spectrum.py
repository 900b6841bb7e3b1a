"""The spectrum that a decoded envelope stands for, at any frequency, and the filter that has it."""

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig

#: Largest amplitude, as its natural logarithm: more than any full-scale sound needs, and random codes do not overflow.
MAX_LOG_AMPLITUDE = 4.0


class EnvelopeSpectrum(nn.Module):
    """Log bands to the log spectrum that has them most often, a linear map fitted on speech.

    Attributes:
        basis: natural logarithm of power by band and bin, `[bands + 1, fft_size / 2 + 1]`; the last row is constant.
    """

    basis: Tensor

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

    def filters(self, bands: Tensor) -> Tensor:
        """Frequency responses of the minimum-phase filters that have these envelopes.

        Args:
            bands: natural logarithm of power, `[..., bands]`.

        Returns:
            Complex, `[..., fft_size / 2 + 1]`.
        """
        # Magnitude and phase of a minimum-phase filter are linear in its log spectrum.
        amplitude = self.basis / 2
        phase = torch.fft.rfft(torch.fft.irfft(amplitude.double(), n=self.size) * self.fold).imag.to(bands.dtype)
        extended = _with_one(bands)
        return torch.polar((extended @ amplitude).clamp(max=MAX_LOG_AMPLITUDE).exp(), extended @ phase)

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
