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


class Decimator:
    """A filter and the lower rate after it, as a product of blocks of the signal and a matrix."""

    def __init__(self, taps: Tensor, factor: int, block: int) -> None:
        """A decimator.

        Args:
            taps: `[taps]`, symmetric, odd in number.
            factor: by which the rate falls.
            block: samples of the result made at a time. Each place in a block has a rounding of its own, so a hop is to
                be whole blocks.
        """
        self.factor, self.block = factor, block
        #: Samples of the result by which it begins late.
        self.delay = len(taps) // 2 // factor
        self._matrix = torch.zeros((block - 1) * factor + len(taps), block)
        for i in range(block):
            self._matrix[i * factor : i * factor + len(taps), i] = taps

    def __call__(self, x: Tensor) -> Tensor:
        """`[channels, samples]` to `[channels, samples / factor]`; the last ones lack samples after them."""
        count, step = -(-x.shape[1] // (self.block * self.factor)), self.block * self.factor
        size = len(self._matrix)
        padded = torch.nn.functional.pad(x, (0, (count - 1) * step + size - x.shape[1]))
        return (padded.unfold(1, size, step) @ self._matrix).flatten(1)


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


def power(spectrum: Tensor) -> Tensor:
    """Squared magnitude of complex values, of the same shape."""
    squares = torch.view_as_real(spectrum).square()
    return squares[..., 0] + squares[..., 1]


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
    dots = torch.fft.irfft(power(spectrum))[..., low:high]
    energy = segments.square().cumsum(-1, dtype=torch.float64)
    noise = (size - torch.arange(low, high)) * floor**2
    first = energy[..., size - high : size - low].flip(-1) + noise
    last = energy[..., -1:] - energy[..., low - 1 : high - 1] + noise
    r: Tensor = dots * (first * last).rsqrt_().float()
    return r.clamp_(-1, 1)
