"""Source–filter synthesis: pulses and noise through minimum-phase filters that change every 5 ms.

A step's filter gets two steps of the source under a Hann window, from the centre of the step before to that of the
next.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.layers import OverlapAdd, State
from nac.models.voice.spectrum import EnvelopeSpectrum
from nac.models.voice.timing import SAMPLE_RATE, STEP

#: Hz, edges of the bands of aperiodicity, 0 to 12 kHz in all.
APERIODICITY_EDGES = (0, 1000, 2000, 3000, 4500, 6500, 9000, 12000)
#: Hz from which pulses begin to be heard and from which they are whole, and their amplitude below.
RUMBLE, RUMBLE_AMPLITUDE = (25.0, 75.0), 1e-3
#: Least share of the power that is noise, and least that is pulses.
LEAST_NOISE, LEAST_PULSES = 1e-4, 1e-6
#: Parts that synthesis gives: of pulses, and of noise.
PARTS = 2


class SourceFilter(nn.Module):
    """Pulses and noise in, the harmonic part and the noise part of a voice out."""

    window: Tensor
    highpass: Tensor
    interpolation: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.size = config.fft_size
        self.overlap = OverlapAdd(self.size, STEP)
        frequencies = torch.arange(self.size // 2 + 1) * (SAMPLE_RATE / self.size)
        low, high = RUMBLE
        self.register_buffer("window", torch.hann_window(2 * STEP), persistent=False)
        self.register_buffer(
            "highpass", ((frequencies - low) / (high - low)).clamp(RUMBLE_AMPLITUDE, 1), persistent=False
        )
        self.register_buffer("interpolation", _interpolation(frequencies), persistent=False)

    def forward(
        self, curves: Tensor, voiced: Tensor, source: Tensor, spectrum: EnvelopeSpectrum, state: State | None = None
    ) -> Tensor:
        """Filter.

        Args:
            curves: `[batch, steps, bands + aperiodicity bands]`: natural logarithm of power by band, then aperiodicity.
            voiced: whether a step has pulses at all, `[batch, steps]`.
            source: pulses and noise, each of a power of 1, `[batch, frames, hop + STEP, 2]`; a frame's begin at the
                centre of the step before it and overlap with those of the next.
            spectrum: what the bands stand for.
            state: of the stream that the frames continue; None: silence came before.

        Returns:
            `[batch, steps · STEP, 2]`, from the centre of the step before these steps on.
        """
        bands, aperiodicity = curves.tensor_split([len(spectrum.basis) - 1], -1)
        noise = torch.where(voiced[..., None], aperiodicity.clamp(0, 1).square(), 1.0) @ self.interpolation
        noise = noise.clamp(LEAST_NOISE, 1)
        pulses = (1 - noise).clamp(min=LEAST_PULSES).sqrt() * self.highpass
        filters = spectrum.filters(bands)[:, :, None] * torch.stack([pulses, noise.sqrt()], 2)
        pieces = source.unfold(2, 2 * STEP, STEP).flatten(1, 2)  # [batch, steps, 2, 2 · STEP]
        filtered = torch.fft.irfft(torch.fft.rfft(pieces * self.window, n=self.size) * filters, n=self.size)
        out: Tensor = self.overlap(filtered, state)
        return out


def _interpolation(frequencies: Tensor) -> Tensor:
    """`[aperiodicity bands, bins]`: interpolates between the centres of bands; flat beyond the outer ones."""
    centres = torch.tensor([(low + high) / 2 for low, high in pairwise(APERIODICITY_EDGES)])
    right = torch.searchsorted(centres, frequencies).clamp(1, len(centres) - 1)
    share = ((frequencies - centres[right - 1]) / (centres[right] - centres[right - 1])).clamp(0, 1)
    out = torch.zeros(len(centres), len(frequencies))
    bins = torch.arange(len(frequencies))
    out[right - 1, bins] = 1 - share
    out[right, bins] += share
    return out
