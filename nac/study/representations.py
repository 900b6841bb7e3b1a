"""What a network sees of the sound, and the magnitudes that can be had back from it.

The STFT is not normalised: a full-scale sine has magnitude n_fft / 4, so that log(1 + |S|) is a logarithm for what is
loud and straight for what is quiet.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nac.study.circle import SPREAD
from nac.study.config import SystemConfig
from nac.training.losses.reconstruction import htk_mel_filters


class Representation(nn.Module):
    """Complex spectra to features `[batch, channels, rows, frames]` of about unit size, and back to magnitudes.

    `channels` is 2 for "complex" (log magnitude, phase), else 1; `rows` are bins, mel bands or coefficients.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.kind = config.representation
        bins = config.n_fft // 2 + 1
        self.channels = 2 if self.kind == "complex" else 1
        self.rows = {"mel": config.mel_bands, "log-mel": config.mel_bands, "mfcc": config.coefficients}.get(
            self.kind, bins
        )
        self.register_buffer("mean", torch.zeros(self.channels, 1, 1))
        self.register_buffer("scale", torch.ones(self.channels, 1, 1))
        if self.kind in ("mel", "log-mel", "mfcc"):
            filters = htk_mel_filters(config.sample_rate, config.n_fft, config.mel_bands)
            self.register_buffer("filters", filters.T.contiguous(), persistent=False)
            self.register_buffer(
                "unfilter", torch.linalg.pinv(filters.double()).T.float().contiguous(), persistent=False
            )
        if self.kind == "mfcc":
            self.register_buffer("cosines", cosine_basis(config.coefficients, config.mel_bands), persistent=False)

    @torch.no_grad()
    def fit(self, spectrum: Tensor) -> None:
        """Take mean and spread of the features from example spectra `[batch, bins, frames]`."""
        self.mean.zero_()
        self.scale.fill_(1.0)
        features = self(spectrum).transpose(0, 1).flatten(1)
        mean, scale = features.mean(1), features.std(1).clamp(min=1e-4)
        if self.kind == "complex":  # angles are spread evenly, whatever the sound
            mean[1], scale[1] = 0.0, SPREAD
        self.mean.copy_(mean[:, None, None])
        self.scale.copy_(scale[:, None, None])

    def forward(self, spectrum: Tensor) -> Tensor:
        """Features of complex spectra `[batch, bins, frames]`."""
        magnitude = spectrum.abs()
        if self.kind == "complex":
            out = torch.stack([magnitude.log1p(), spectrum.angle()], 1)
        else:
            x = self.get_buffer("filters") @ magnitude if self.kind in ("mel", "log-mel", "mfcc") else magnitude
            x = x if self.kind in ("stft", "mel") else x.log1p()
            out = (self.get_buffer("cosines") @ x if self.kind == "mfcc" else x)[:, None]
        return (out - self.mean) / self.scale

    def magnitude(self, features: Tensor) -> Tensor:
        """Magnitudes `[batch, bins, frames]` of features; of the mel representations, those of least squares."""
        x = features[:, 0] * self.scale[0] + self.mean[0]
        if self.kind == "mfcc":
            x = self.get_buffer("cosines").T @ x
        if self.kind not in ("stft", "mel"):
            x = x.clamp(max=12.0).expm1()  # e^12 is far above full scale: a network gone wrong must not overflow
        if self.kind in ("mel", "log-mel", "mfcc"):
            x = self.get_buffer("unfilter") @ x.clamp(min=0)
        return x.clamp(min=0)


def cosine_basis(coefficients: int, bands: int) -> Tensor:
    """Orthonormal discrete cosine transform (type II) `[coefficients, bands]`."""
    n, k = torch.arange(bands)[None] + 0.5, torch.arange(coefficients)[:, None]
    out = torch.cos(math.pi / bands * n * k) * math.sqrt(2 / bands)
    out[0] /= math.sqrt(2)
    return out
