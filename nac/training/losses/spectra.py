"""Distance of short-time spectra by the square roots of their magnitudes."""

import torch
from torch import Tensor

from nac.training.frames import frames

#: Windows in samples; hops are a quarter.
WINDOWS = (2048, 1024, 512, 256, 128, 64)
#: Power added to each bin, so that the gradient stays finite in silence.
FLOOR = 1e-7


def spectral_distance(reference: Tensor, estimate: Tensor) -> Tensor:
    """Mean over six windows of the absolute difference of square-root magnitudes, relative to the reference.

    The square root lies between a linear scale, on which only peaks count, and a logarithmic one, on which errors in
    what nobody hears count as much as any.

    Args:
        reference: `[batch, samples]` of about unit level, at least 2048 samples.
        estimate: of the same shape.

    Returns:
        A single number, 0 for equal spectra.
    """
    terms = []
    for size in WINDOWS:
        window = torch.hann_window(size, device=reference.device)
        x, y = (_roots(signal, window) for signal in (reference, estimate))
        terms.append((x - y).abs().sum() / x.sum())
    return torch.stack(terms).mean()


def _roots(signal: Tensor, window: Tensor) -> Tensor:
    spectra = torch.fft.rfft(frames(signal, len(window), len(window) // 4) * window)
    power: Tensor = spectra.real.square() + spectra.imag.square() + FLOOR
    return power.pow(0.25)
