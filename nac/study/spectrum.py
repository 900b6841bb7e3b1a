"""Samples to complex spectra and back, and phases for magnitudes that have none."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stft(nn.Module):
    """Short-time Fourier transform with a Hann window as long as the transform, frames centred on multiples of `hop`.

    >>> stft = Stft(64, 16)
    >>> x = torch.sin(torch.arange(160.0))[None]
    >>> bool(torch.allclose(stft.inverse(stft(x), 160), x, atol=1e-5))
    True
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def frames(self, samples: int) -> int:
        """Frames from which so many samples can be had back."""
        return -(-samples // self.hop) + 1

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, samples]` to complex `[batch, n_fft / 2 + 1, frames]`; outside is silence."""
        x = nn.functional.pad(x, (0, -x.shape[-1] % self.hop))
        return torch.stft(x, self.n_fft, self.hop, window=self.window, return_complex=True, pad_mode="constant")

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """`[batch, bins, frames]` to `[batch, samples]`."""
        return torch.istft(spectrum, self.n_fft, self.hop, window=self.window, length=samples)


@torch.no_grad()
def griffin_lim(stft: Stft, magnitude: Tensor, samples: int, rounds: int = 32, momentum: float = 0.99) -> Tensor:
    """Samples `[batch, samples]` whose spectrum has about this magnitude `[batch, bins, frames]`.

    Fast Griffin–Lim (Perraudin, Balazs and Søndergaard 2013): go back and forth, keeping each time the phase alone,
    with momentum. The first phases are noise, always the same.
    """
    start = torch.Generator().manual_seed(0)
    angle = torch.rand(magnitude.shape, generator=start).to(magnitude) * 2 * torch.pi
    whole = (magnitude.shape[-1] - 1) * stft.hop
    phase, last = torch.polar(torch.ones_like(angle), angle), torch.zeros_like(magnitude, dtype=torch.complex64)
    for _ in range(rounds):
        rebuilt = stft(stft.inverse(magnitude * phase, whole))
        ahead = rebuilt + momentum * (rebuilt - last)
        phase, last = ahead / (ahead.abs() + 1e-12), rebuilt
    return stft.inverse(magnitude * phase, samples)
