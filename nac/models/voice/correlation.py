"""Filters and the normalised cross-correlation of a signal with itself."""

import torch
from torch import Tensor


def lowpass(cutoff: float, taps: int, rate: float) -> Tensor:
    """Windowed-sinc low-pass with a Hamming window and a gain of 1 at 0 Hz.

    Args:
        cutoff: Hz, at −6 dB.
        taps: odd.
        rate: samples per second.

    Returns:
        `[taps]`, symmetric.
    """
    n = torch.arange(taps, dtype=torch.float64) - taps // 2
    h = torch.sinc(2 * cutoff / rate * n) * torch.hamming_window(taps, periodic=False, dtype=torch.float64)
    return (h / h.sum()).float()


def decimate(x: Tensor, taps: Tensor, factor: int) -> Tensor:
    """Filter and keep every `factor`-th sample.

    Args:
        x: `[channels, samples]`.
        taps: `[taps]`, symmetric, odd in number.
        factor: by which the rate falls.

    Returns:
        `[channels, (samples − taps) // factor + 1]`; the first is centred at sample `taps // 2` of x.
    """
    # Sums by row, whose rounding does not depend on how many rows there are.
    return (x.unfold(-1, len(taps), factor) * taps).sum(-1)


def take(x: Tensor, starts: Tensor, length: int) -> Tensor:
    """Segments of a signal.

    Args:
        x: `[samples]`, contiguous.
        starts: `[n]`, where they begin.
        length: in samples.

    Returns:
        `[n, length]`.
    """
    return x.unfold(0, length, 1).index_select(0, starts)


def correlate_within(segments: Tensor, low: int, high: int, floor: float) -> Tensor:
    """Normalised cross-correlation (Talkin 1995) of the first and the last samples of a segment.

    At lag l the first S − l of its S samples are compared with the last S − l, so that the comparison is about the
    segment's centre at every lag.

    Args:
        segments: `[..., S]`.
        low: the first lag, in samples, at least 1.
        high: one more than the last lag, at most S.
        floor: root mean square of the noise taken to be in all samples; hides what is weaker.

    Returns:
        `[..., high − low]`, −1 to 1.
    """
    size = segments.shape[-1]
    spectrum = torch.fft.rfft(segments, n=2 ** (size + high - 1).bit_length())
    dots = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square())[..., low:high]
    energy = segments.double().square_().cumsum(-1)
    noise = (size - torch.arange(low, high)) * floor**2
    first = energy[..., size - high : size - low].flip(-1) + noise
    last = energy[..., -1:] - energy[..., low - 1 : high - 1] + noise
    r: Tensor = dots * (first * last).rsqrt_().float()
    return r.clamp_(-1, 1)
