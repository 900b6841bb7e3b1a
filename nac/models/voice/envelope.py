"""Spectral envelope at the pitch, and its bands.

CheapTrick (Morise 2015, "CheapTrick, a spectral envelope estimator for high-quality speech synthesis"): the power
spectrum of three periods is smoothed over two thirds of f0, which takes away the beat of the harmonics in time, and its
logarithm is smoothed again in the cepstrum, which takes away what is left of them in frequency.
"""

import math

import torch
from torch import Tensor

from nac.models.voice.correlation import power, take
from nac.models.voice.timing import SAMPLE_RATE

#: Points of the transform; the spectra have half as many bins and one.
SIZE = 1024
BINS = SIZE // 2 + 1
#: Number of the bands, and Hz below which they are about equally wide; above, their widths grow with the frequency.
#: With the mel scale's 700 Hz they would be too wide above 4 kHz, where the shape of a voice's spectrum matters.
BANDS, WARP = 40, 1500.0
#: Hz, taken for f0 where unvoiced, and the lowest f0 whose three periods fit the transform. At 220 Hz noise keeps its
#: fluctuations over 14 ms; synthesis from noise of an even power does not add others to them.
UNVOICED_F0, LOWEST_F0 = 220.0, 71.0
#: How much the lifter restores of the peaks that smoothing flattens; −0.15 in CheapTrick.
RESTORE = -0.15
#: Power that silence has, of full scale 1.
FLOOR = 1e-12
#: Bins below the highest f0, which the mirror about 0 Hz concerns, and beyond the ends of the spectrum.
_LOW_BINS, _MARGIN = 25, 64


def spectral_envelope(frames: Tensor, f0: Tensor) -> Tensor:
    """Envelope of each frame's power spectrum.

    Args:
        frames: `[n, 1024]` samples, the frame's centre at index 512.
        f0: Hz, `[n]`, 0 where unvoiced; at most 540.

    Returns:
        Power, `[n, 513]`, from 0 Hz to half the sample rate; white noise of variance v gives v.
    """
    f = torch.where(f0 > 0, f0.clamp_min(LOWEST_F0), UNVOICED_F0)[:, None].float()
    smooth = _smooth(_mirror_below_f0(_power_spectrum(frames, f), f), f)
    cepstrum = torch.fft.irfft(smooth.log(), n=SIZE)[:, :BINS]
    # The transform of a symmetric sequence, given by its half, is its own inverse but for the scale.
    envelope: Tensor = torch.fft.irfft(cepstrum * _lifter(f), n=SIZE)[:, :BINS].mul(SIZE).exp()
    return envelope


def _power_spectrum(frames: Tensor, f: Tensor) -> Tensor:
    t = torch.arange(SIZE) - SIZE / 2
    # A Hann window of three periods with the energy 1.
    half = 1.5 * SAMPLE_RATE / f
    gain = (0.75 * half).rsqrt()
    window = (t * (math.pi / half)).clamp_(-math.pi, math.pi).cos_().add_(1).mul_(0.5 * gain)
    y = frames * window
    y = torch.addcmul(y, window, y.sum(1, keepdim=True) / (gain * half), value=-1)
    return power(torch.fft.rfft(y)) + FLOOR


def _mirror_below_f0(spectrum: Tensor, f: Tensor) -> Tensor:
    """Add the power at f0 − x to that at x, since the window's main lobe about −f0 is missing below f0."""
    width = SAMPLE_RATE / SIZE
    bins = torch.arange(_LOW_BINS)
    mirror = (f / width - bins).clamp_min(0.0)
    below = mirror.floor().long()
    t = mirror - below
    added = spectrum.gather(1, below) * (1 - t) + spectrum.gather(1, below + 1) * t
    low = spectrum[:, :_LOW_BINS] + added * (bins * width < f)
    return torch.cat([low, spectrum[:, _LOW_BINS:]], 1)


def _smooth(spectrum: Tensor, f: Tensor) -> Tensor:
    """Mean over a width of 2/3 f0 about each bin."""
    ends = spectrum[:, 1 : _MARGIN + 1].flip(1), spectrum[:, -_MARGIN - 1 : -1].flip(1)
    # Running sums of weak bins beside strong ones need double precision.
    values = torch.cat([torch.zeros(len(spectrum), 1), ends[0], spectrum, ends[1]], 1)
    total = values.cumsum(1, dtype=torch.float64)
    rows = torch.arange(len(spectrum)) * total.shape[1] + _MARGIN
    reach = f[:, 0].double() / 3 / (SAMPLE_RATE / SIZE)

    def integral(offset: Tensor) -> Tensor:
        below = offset.floor()
        at = take(total.view(-1), rows + below.long(), BINS + 1)
        return torch.lerp(at[:, :-1], at[:, 1:], (offset - below)[:, None])

    mean = (integral(0.5 + reach) - integral(0.5 - reach)) * (0.5 / reach)[:, None]
    return mean.float().clamp_min(FLOOR)


def _lifter(f: Tensor) -> Tensor:
    """`[n, 513]` by quefrency: smooths the log spectrum over f0 and restores some of its peaks."""
    phase = f * (torch.arange(BINS) * (math.pi / SAMPLE_RATE)).clamp_min(1e-9)
    sine = phase.sin()
    # sin(πfq)/(πfq) · (1 − 2r + 2r · cos(2πfq)), r = RESTORE.
    return sine / phase * (1 - 4 * RESTORE * sine.square())


def band_weights() -> Tensor:
    """Triangles equally spaced on the scale log(1 + f / WARP), the outer ones centred at the ends.

    Returns:
        `[513, 40]`; the weights of each band sum to 1.
    """
    top = math.log1p(SAMPLE_RATE / 2 / WARP)
    step = top / (BANDS - 1)
    edges = WARP * torch.linspace(-step, top + step, BANDS + 2, dtype=torch.float64).expm1()
    bins = torch.arange(BINS, dtype=torch.float64)[:, None] * (SAMPLE_RATE / SIZE)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0)
    return (weights / weights.sum(0)).float()
