"""Source–filter synthesis: pulses and noise through minimum-phase filters that change every 5 ms.

Between the centres of two steps a piece of the source goes through the filters of both, faded from one to the other.
Filters of minimum phase have no response before their input, so that a hop's filters and pitch give its sound up to the
centre of its last step, and nothing later is needed.
"""

import math

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.layers import OverlapAdd, State, with_past
from nac.models.voice.spectrum import EnvelopeSpectrum
from nac.models.voice.timing import SAMPLE_RATE, STEP

#: Hz below which a voice has no harmonics.
RUMBLE = 55
#: Least amplitude of the noise, as a share, and least power of the pulses.
LEAST_NOISE, LEAST_PULSES = 0.01, 1e-6
#: Parts that synthesis gives: of pulses, and of noise.
PARTS = 2


class SourceFilter(nn.Module):
    """Pulses and noise in, the harmonic part and the noise part of a voice out."""

    window: Tensor
    highpass: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.size = config.fft_size
        self.overlap = OverlapAdd(self.size, STEP)
        frequencies = torch.arange(self.size // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE / self.size)
        response = highpass_response(frequencies, RUMBLE)
        self.register_buffer("highpass", response.to(torch.complex64), persistent=False)
        self.register_buffer("window", torch.hann_window(2 * STEP), persistent=False)

    def forward(
        self, curves: Tensor, voiced: Tensor, source: Tensor, spectrum: EnvelopeSpectrum, state: State | None = None
    ) -> Tensor:
        """Filter.

        Args:
            curves: `[batch, steps, bands + aperiodicity bands]`: natural logarithm of power by band, then aperiodicity.
            voiced: whether a step has pulses at all, `[batch, steps]`.
            source: pulses and noise, each of a power of 1, `[batch, steps · STEP, 2]`, from the centre of the step
                before these steps on.
            spectrum: what the bands stand for.
            state: of the stream that the steps continue; None: silence came before.

        Returns:
            `[batch, steps · STEP, 2]`, of the times that the source has.
        """
        batch, steps, _ = curves.shape
        bands, aperiodicity = curves.tensor_split([len(spectrum.basis) - 1], -1)
        noise = torch.where(voiced[..., None], aperiodicity.clamp(LEAST_NOISE, 1), 1.0)
        pulses = (1 - noise.square()).clamp(min=LEAST_PULSES)
        gains = torch.stack([pulses.log() / 2, noise.log()], 2)
        filters = spectrum.filters(bands[:, :, None].expand(-1, -1, PARTS, -1), gains)
        filters[:, :, 0] *= self.highpass
        filters = with_past(self, filters.flatten(2), 1, state).view(batch, steps + 1, PARTS, -1)

        pieces = source.view(batch, steps, STEP, PARTS).transpose(2, 3)
        rising, falling = (torch.fft.rfft(pieces * half, n=self.size) for half in self.window.view(2, STEP))
        filtered = torch.fft.irfft(falling * filters[:, :-1] + rising * filters[:, 1:], n=self.size)
        out: Tensor = self.overlap(filtered, state)
        return out


def highpass_response(frequencies: Tensor, cutoff: float) -> Tensor:
    """Frequency response of the digital Butterworth high-pass of second order.

    s² / (s² + √2 s + 1) by the bilinear transform, which at f Hz puts s = i tan(π f / rate) / tan(π cutoff / rate).
    SciPy's `butter` designs the same, but takes most of a second to import.

    Args:
        frequencies: Hz, float64 of any shape.
        cutoff: Hz where the power is half.

    Returns:
        complex128 of the same shape.
    """
    angle = torch.pi / SAMPLE_RATE * frequencies
    # Times cos², so that nothing is infinite at half the sample rate.
    high, low = angle.sin(), angle.cos() * math.tan(math.pi / SAMPLE_RATE * cutoff)
    return high.square() / torch.complex(high.square() - low.square(), -math.sqrt(2) * high * low)
