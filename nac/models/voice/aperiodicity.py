"""Aperiodicity by band: what one period of the voice has not in common with the next."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from nac.models.voice.correlation import power, take
from nac.models.voice.timing import LOOKAHEAD, SAMPLE_RATE

#: Hz, limits of the bands.
EDGES = (30, 1000, 2000, 3000, 4500, 6500, 9000, 11900)
#: Samples of a segment under its Hann window.
WINDOW = 640
#: Largest shifts tried about one period, in samples: pitch is known for the whole voice, whose energy is low. In the
#: lowest band a sample is a small part of a cycle.
MAX_SHIFT, MAX_SHIFT_LOW = 2, 1
#: Root mean square of noise that hides weaker sound, of full scale 1.
NOISE_FLOOR = 1e-6


def band_aperiodicity(x: Tensor, centres: Tensor, f0: Tensor) -> Tensor:
    """One minus the correlation of two segments one period apart, in each band.

    The correlation is that of the segments' spectra, so that no filters, with their delay, are needed.

    Args:
        x: samples, `[n]`.
        centres: index of the centre between the segments, `[frames]`.
        f0: Hz, `[frames]`, above 0.

    Returns:
        `[frames, 7]`, 0 (periodic) to 1 (noise).
    """
    period = (SAMPLE_RATE / f0).round().long()
    start = centres - torch.maximum((WINDOW + period) // 2, WINDOW + period - LOOKAHEAD)
    window = torch.hann_window(WINDOW)
    early = torch.fft.rfft(take(x, start, WINDOW) * window)
    late = torch.fft.rfft(take(x, start + period, WINDOW) * window)
    # In real numbers, whose products round alike wherever they are in memory.
    powers = torch.stack([power(early), power(late)])
    (a, b), (c, d) = (torch.view_as_real(z).movedim(-1, 0).contiguous() for z in (early, late))
    angle = 2 * math.pi / WINDOW * torch.arange(MAX_SHIFT + 1)[:, None, None] * torch.arange(WINDOW // 2 + 1)
    # A shift by −s differs from that by s in the sign of the sine. [shifts, frames, bins]
    even, odd = (a * c + b * d) * angle.cos(), (a * d - b * c) * angle[1:].sin()
    out = []
    edges = [round(edge * WINDOW / SAMPLE_RATE) for edge in EDGES]
    for band, (low, high) in enumerate(pairwise(edges)):
        energy = powers[..., low:high].sum(2) + (high - low) * WINDOW * NOISE_FLOOR**2 / 4
        reach = MAX_SHIFT if band else MAX_SHIFT_LOW
        dots = even[: reach + 1, :, low:high].sum(2)
        dots[1:] += odd[:reach, :, low:high].sum(2).abs()
        out.append(1 - (dots.amax(0) * (energy[0] * energy[1]).rsqrt()).clamp(0, 1))
    return torch.stack(out, 1)
