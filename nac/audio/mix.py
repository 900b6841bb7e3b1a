"""From more than two channels to two or one, with the usual weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Where the channels of a file with so many of them are, in the order of WAV (and of what libsndfile and ffmpeg give).
_LAYOUTS = {
    3: "L R C",
    4: "L R l r",
    5: "L R C l r",
    6: "L R C - l r",
    7: "L R C - s l r",
    8: "L R C - l r l r",
}
_SIDE = 0.5**0.5
# Weights in the left and the right channel; "-" is the low-frequency channel, which is left out.
_WEIGHTS = {
    "L": (1.0, 0.0), "R": (0.0, 1.0), "C": (_SIDE, _SIDE), "l": (_SIDE, 0.0), "r": (0.0, _SIDE), "s": (0.5, 0.5),
    "-": (0.0, 0.0),
}  # fmt: skip


def mix_matrix(channels: int, wanted: int) -> npt.NDArray[np.float32]:
    """The weights that fold channels down.

    Centre and surround channels go into the front ones 3 dB lower, the low-frequency channel is left out, and all is
    scaled so that it cannot pass full scale (ITU-R BS.775-4, annex 4). Layouts that are not known are averaged.

    Args:
        channels: Of the file, 1 or more.
        wanted: 1 or 2.

    Returns:
        `[wanted, channels]`.

    >>> mix_matrix(6, 2).astype(float).round(2).tolist()
    [[0.41, 0.0, 0.29, 0.0, 0.29, 0.0], [0.0, 0.41, 0.29, 0.0, 0.0, 0.29]]
    """
    if channels <= 2:
        stereo = np.eye(2, channels) if channels == 2 else np.ones((2, 1))
    elif channels in _LAYOUTS:
        stereo = np.array([_WEIGHTS[place] for place in _LAYOUTS[channels].split()]).T
        stereo /= stereo.sum(1).max()
    else:
        stereo = np.full((2, channels), 1 / channels)
    matrix = stereo if wanted == 2 else stereo.mean(0, keepdims=True)
    return matrix.astype(np.float32)
