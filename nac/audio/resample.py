"""Streaming sample-rate conversion: exact length, no delay, the same output however the input is cut."""

from __future__ import annotations

import numpy as np
import soxr

from nac.arrays import Samples
from nac.errors import AudioError

# soxr's HQ (20 bits) keeps the images of the other rate below -120 dB, far under a codec's own noise, at about 2000
# times real time on one core for 44.1 <-> 24 kHz; VHQ takes half as long again for what nobody hears.
QUALITY = "HQ"


def resampled_length(samples: int, rate_in: int, rate_out: int) -> int:
    """How many samples `Resampler` makes of `samples`: the duration, rounded up to whole samples of `rate_out`.

    >>> resampled_length(44101, 44100, 24000)
    24001
    """
    return -(-samples * rate_out // rate_in)


class Resampler:
    """Converts `[channels, samples]` float32 blocks from `rate_in` to `rate_out` (both in Hz).

    All outputs joined have exactly `resampled_length(total, rate_in, rate_out)` samples and output sample `i` lies at
    the time `i / rate_out`: there is no delay to remove. How the input is cut into blocks does not change the output.
    Memory does not grow with the length. With equal rates the samples pass through untouched.

    >>> r = Resampler(8000, 24000, channels=1)
    >>> a, b = r.push(np.zeros((1, 100), np.float32)), r.flush()
    >>> a.shape[1] + b.shape[1]
    300
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        if rate_in < 1 or rate_out < 1 or channels < 1:
            raise AudioError(f"cannot convert {channels} channels from {rate_in} to {rate_out} Hz")
        self.rate_in, self.rate_out, self.channels = rate_in, rate_out, channels
        self._stream = None
        if rate_in != rate_out:
            self._stream = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality=QUALITY)
        self._n_in = 0
        self._n_out = 0

    def push(self, samples: Samples) -> Samples:
        """Take `[channels, n]` samples, n >= 0; return those that are ready, `[channels, m]`, m >= 0."""
        if samples.ndim != 2 or samples.shape[0] != self.channels:
            raise AudioError(f"expected samples of shape [{self.channels}, n], got {list(samples.shape)}")
        self._n_in += samples.shape[1]
        if self._stream is None:
            return samples.astype(np.float32, copy=False)
        return self._convert(samples, last=False)

    def flush(self) -> Samples:
        """The rest of the output, `[channels, m]`; afterwards the resampler is ready for a new signal."""
        total = resampled_length(self._n_in, self.rate_in, self.rate_out)
        rest = np.zeros((self.channels, 0), np.float32)
        if self._stream is not None and total > 0:
            # soxr rounds the length to the nearest sample; silence beyond the end makes sure that none is missing.
            silence = np.zeros((self.channels, self.rate_in // self.rate_out + 2), np.float32)
            missing = total - self._n_out
            rest = self._convert(silence, last=True)[:, :missing]
        if self._stream is not None:
            self._stream.clear()
        self._n_in = self._n_out = 0
        return rest

    def _convert(self, samples: Samples, last: bool) -> Samples:
        assert self._stream is not None
        interleaved = np.ascontiguousarray(samples.T, dtype=np.float32)
        out = np.ascontiguousarray(self._stream.resample_chunk(interleaved, last=last).T)
        self._n_out += out.shape[1]
        return out
