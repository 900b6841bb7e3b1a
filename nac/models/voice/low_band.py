"""The waveform of the lowest frequencies: lapped-transform coefficients in residual codebooks.

Coefficients are divided by a scale that the decoded envelope gives, so that the codebooks see about the same level
always. What the envelope does not follow, such as onsets, is many times as large: it is coded by its logarithm.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.layers import OverlapAdd, State, with_past
from nac.models.quantizer import ResidualCodebooks
from nac.models.transform import mdct_basis
from nac.models.voice.spectrum import EnvelopeSpectrum
from nac.models.voice.timing import FRAMES, HOP

#: Steps at the end of a hop whose envelope gives the scale: the coefficients reach into the hop after it.
SCALE_STEPS = 2
#: Largest exponent when companding is undone: random codes must not overflow.
MAX_EXPONENT = 5.0


class LowBand(nn.Module):
    """Coefficients of the low bands, their codes and their sound.

    Attributes:
        bands: codebooks of each band, from 0 Hz up.
        basis: `[2 · hop, coefficients]`, of the lapped transform.
    """

    basis: Tensor
    frequencies: Tensor

    def __init__(self, config: VoiceConfig, codebook_size: int) -> None:
        """With codebooks of zeros until they are fitted or loaded."""
        super().__init__()
        self.config = config
        self.bands = nn.ModuleList(ResidualCodebooks(count, codebook_size, size) for count, size in config.low_bands)
        self.overlap = OverlapAdd(2 * HOP, HOP)
        total = config.n_low_coefficients
        self.register_buffer("basis", mdct_basis(HOP)[:, :total].contiguous(), persistent=False)
        self.register_buffer("frequencies", (torch.arange(total) + 0.5) / (2 * HOP), persistent=False)

    def analyse(self, samples: Tensor, state: State | None = None) -> Tensor:
        """Lapped transform.

        Args:
            samples: `[batch, hops · hop]`.
            state: of the stream that the samples continue; None: silence came before.

        Returns:
            `[batch, hops, coefficients]`; each row spans the hop before and the hop.
        """
        hops = samples.view(samples.shape[0], -1, HOP)
        both = with_past(self, hops, 1, state)
        return torch.cat([both[:, :-1], both[:, 1:]], 2) @ self.basis

    def synthesise(self, coefficients: Tensor, state: State | None = None) -> Tensor:
        """The inverse of `analyse`, one hop late: `[batch, frames, coefficients]` to `[batch, frames · hop]`."""
        out: Tensor = self.overlap((coefficients @ self.basis.T)[:, :, None], state)
        return out[..., 0]

    def scale(self, curves: Tensor, spectrum: EnvelopeSpectrum) -> Tensor:
        """What coefficients are divided by.

        Args:
            curves: decoded, natural logarithm of power by band, and more, `[batch, 4 · frames, bands + more]`.
            spectrum: what the bands stand for.

        Returns:
            `[batch, frames, coefficients]`.
        """
        batch, steps, _ = curves.shape
        bands = (
            curves[..., : self.config.n_bands].reshape(batch, steps // FRAMES, FRAMES, -1)[:, :, -SCALE_STEPS:].mean(2)
        )
        logs = spectrum.log_amplitude(bands, self.frequencies)
        level = logs[..., : self.config.low_bands[0][1]].mean(-1, keepdim=True)
        return torch.lerp(level, logs, self.config.scale_tilt).exp()

    @torch.no_grad()
    def encode(
        self, coefficients: Tensor, scale: Tensor, n_codebooks: int, beam: int = 1, commit_points: Sequence[int] = ()
    ) -> Tensor:
        """Quantize coefficients.

        Args:
            coefficients: `[batch, frames, coefficients]`.
            scale: of the same shape.
            n_codebooks: how many codebooks to use, the lowest band's first.
            beam: paths kept by the search.
            commit_points: numbers of codebooks after which only the best path goes on: a file reduced to one of them
                holds what encoding with so many gives.

        Returns:
            `[batch, n_codebooks, frames]`.
        """
        batch, frames, _ = coefficients.shape
        out = coefficients.new_zeros(batch, n_codebooks, frames, dtype=torch.long)
        for band in self._bands():
            count = min(band.codes.stop, n_codebooks) - band.codes.start
            if count > 0:
                x = coefficients[..., band.bins] / scale[..., band.bins]
                target = compress(x, self.config.companding_knee).flatten(0, 1)
                points = [point - band.codes.start for point in commit_points]
                codes = band.codebooks.encode(target, count, beam, points)
                out[:, band.codes][:, :count] = codes.view(batch, frames, count).transpose(1, 2)
        return out

    def decode(self, codes: Tensor, scale: Tensor) -> Tensor:
        """Dequantize codes.

        Args:
            codes: `[batch, n_codebooks, frames]`, −1 for none.
            scale: `[batch, frames, coefficients]`.

        Returns:
            `[batch, frames, coefficients]`.
        """
        parts = [band.codebooks.decode(codes[:, band.codes]) for band in self._bands()]
        return torch.cat([expand(part, self.config.companding_knee) for part in parts], -1) * scale

    def _bands(self) -> Iterator["_Band"]:
        first_code = first_bin = 0
        for codebooks in self.bands:
            assert isinstance(codebooks, ResidualCodebooks)
            count, _, dim = codebooks.codebooks.shape
            codes, bins = slice(first_code, first_code + count), slice(first_bin, first_bin + dim)
            yield _Band(codebooks, codes, bins)
            first_code, first_bin = codes.stop, bins.stop


class _Band(NamedTuple):
    """A low band: its codebooks, and which codes and which coefficients are its own."""

    codebooks: ResidualCodebooks
    codes: slice
    bins: slice


def compress(x: Tensor, knee: float) -> Tensor:
    """Vectors whose root mean square r is above the knee become as large as knee · (1 + log(r / knee)).

    Args:
        x: `[..., dim]`.
        knee: above 0.
    """
    r = _rms(x)
    return x * torch.where(r > knee, knee * (1 + (r / knee).log()) / r, 1.0)


def expand(x: Tensor, knee: float) -> Tensor:
    """The inverse of `compress`."""
    r = _rms(x)
    return x * torch.where(r > knee, knee * (r / knee - 1).clamp(max=MAX_EXPONENT).exp() / r, 1.0)


def _rms(x: Tensor) -> Tensor:
    return (x.square().mean(-1, keepdim=True) + 1e-12).sqrt()
