"""Reconstruction losses."""

import torch
from torch import Tensor, nn

#: Windows of the mel loss in samples, and the number of mel bands of each.
WINDOWS = ((64, 10), (128, 20), (256, 40), (512, 60), (1024, 80), (2048, 120))
#: Magnitudes, normalised by the window's sum, below this (−80 dB of full scale) count as silence: without it the empty
#: upper band of band-limited recordings rules the gradient.
FLOOR = 1e-4


def htk_mel_filters(sample_rate: int, size: int, bands: int) -> Tensor:
    """Triangular filters on the mel scale (2595·log10(1 + f/700)), each of unit sum: `[size/2 + 1, bands]`."""
    top = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700))
    edges = 700 * (10 ** (torch.linspace(0, float(top), bands + 2) / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, size // 2 + 1)[:, None]
    # No band narrower than the spacing of the bins, or it would hold none of them.
    width = sample_rate / size
    left = torch.minimum(edges[:-2], edges[1:-1] - width)
    right = torch.maximum(edges[2:], edges[1:-1] + width)
    rise = (bins - left) / (edges[1:-1] - left)
    fall = (right - bins) / (right - edges[1:-1])
    filters = torch.minimum(rise, fall).clamp(min=0)
    return filters / filters.sum(0).clamp(min=1e-8)


def magnitudes(x: Tensor, window: Tensor) -> Tensor:
    """Short-time magnitudes, hop a quarter of the window; 1 for a full-scale sine.

    Args:
        x: `[batch, samples]`.
        window: `[samples]`.

    Returns:
        `[batch, bins, frames]`.
    """
    frames = torch.stft(
        x, len(window), len(window) // 4, window=window, return_complex=True, center=True, pad_mode="constant"
    )
    return (frames.real.square() + frames.imag.square() + 1e-12).sqrt() * (2 / window.sum())


class MelLoss(nn.Module):
    """Mean absolute difference of log10 mel magnitudes over several windows, hop a quarter of the window."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        for size, bands in WINDOWS:
            self.register_buffer(f"filters{size}", htk_mel_filters(sample_rate, size, bands), persistent=False)
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)

    def spectra(self, x: Tensor) -> list[Tensor]:
        """Log mel spectra of `[batch, samples]`, one for each window."""
        out = []
        for size, _ in WINDOWS:
            magnitude = magnitudes(x, self.get_buffer(f"window{size}")).transpose(1, 2)
            mel = magnitude @ self.get_buffer(f"filters{size}")
            out.append((mel + FLOOR).log10())
        return out

    def forward(self, reference: Tensor, estimate: Tensor) -> Tensor:
        """The loss of `[batch, samples]` pairs, a single number."""
        terms = [(a - b).abs().mean() for a, b in zip(self.spectra(reference), self.spectra(estimate), strict=True)]
        return torch.stack(terms).mean()


def si_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB, bounded by about 30 dB so that easy examples do not rule.

    Source: Le Roux et al. 2019, arXiv 1811.02508.

    Args:
        reference: `[batch, samples]`.
        estimate: `[batch, samples]`.

    Returns:
        `[batch]`.
    """
    power = reference.square().sum(-1, keepdim=True) + 1e-6
    target = reference * ((reference * estimate).sum(-1, keepdim=True) / power)
    error = (estimate - target).square().sum(-1) + 1e-3 * power[:, 0]
    return 10 * torch.log10((target.square().sum(-1) + 1e-3 * power[:, 0]) / error)
