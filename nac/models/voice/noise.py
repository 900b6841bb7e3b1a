"""Noise whose short-time spectrum is even, the source of what is not periodic in a voice."""

import torch
from torch import Tensor

from nac.models.transform import noise_table

#: Rows of the table, 5 s, after which the noise repeats; a prime, so that no rhythm comes of it.
PERIOD = 251
#: Samples of the window over which the spectrum is even, 10 ms, and between windows.
WINDOW, WINDOW_HOP = 240, 60
ITERATIONS = 2


def even_noise_table(hop: int) -> Tensor:
    """Fixed noise of a power of 1, all of whose short-time spectra have nearly one magnitude.

    Decoded envelopes hold the fluctuations of the noise that they were measured on. Noise that fluctuates itself would
    add its own to them, and sounds rough. Source of the method, which keeps phases and sets magnitudes by turns:
    Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform".

    Args:
        hop: samples of a row, a multiple of 60.

    Returns:
        `[251, hop]`: frame f of a file uses row f mod 251; the last row goes on in the first.
    """
    noise = noise_table(hop)[:PERIOD]
    y = noise.flatten()
    window = torch.hann_window(WINDOW)
    overlap = WINDOW - WINDOW_HOP
    for _ in range(ITERATIONS):
        spectra = torch.fft.rfft(torch.cat([y, y[:overlap]]).unfold(0, WINDOW, WINDOW_HOP) * window)
        frames = torch.fft.irfft(spectra / spectra.abs().clamp_min(1e-6), n=WINDOW) * window
        quarters = frames.view(-1, WINDOW // WINDOW_HOP, WINDOW_HOP)
        # A piece of a hop is the sum of a part of each of the frames that cover it.
        y = torch.stack([quarters[:, i].roll(i, 0) for i in range(quarters.shape[1])]).sum(0).flatten()
        y = y / y.square().mean().sqrt()
    return y.view_as(noise)
