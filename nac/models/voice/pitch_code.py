"""Pitch and voicing of a hop as one number from 1 to 1023; 0 is left for what is not voice.

A hop has two halves of 10 ms. The code says which are voiced and their pitch:

    1                   neither
    2 to 883            both: their mean in 1/36 octave, 126 steps from 50 Hz on, and one of 7 slopes
    884 to 1009         one: its pitch in 1/18 octave, 63 steps from 50 Hz on, for the first half, then the second

Unassigned numbers read as the nearest that is assigned.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Hz of step 0.
BASE = 50.0
#: Steps per octave and how many there are, with both halves voiced and with one.
BOTH_STEPS, BOTH_COUNT = 36, 126
ONE_STEPS, ONE_COUNT = 18, 63
#: Octaves by which the second half can lie above the first.
SLOPES = np.array([-0.12, -0.06, -0.025, 0.0, 0.025, 0.06, 0.12])
#: First code of each kind.
UNVOICED = 1
FIRST_BOTH = UNVOICED + 1
FIRST_ONE = FIRST_BOTH + BOTH_COUNT * len(SLOPES)
END = FIRST_ONE + 2 * ONE_COUNT


def encode_pitch(f0: Floats) -> Ints:
    """Code hops.

    Args:
        f0: Hz, `[..., 4]` at 5 ms, 0 where unvoiced. A half is voiced if one of its two values is, with the geometric
            mean of those that are.

    Returns:
        `[...]`, 1 to 1009.
    """
    pairs = np.asarray(f0, np.float64).reshape(*np.shape(f0)[:-1], 2, 2)
    voiced = pairs > 0
    count = voiced.sum(-1)
    octave = np.log2(np.where(voiced, pairs, BASE) / BASE).sum(-1) / np.maximum(count, 1)
    first, second = count[..., 0] > 0, count[..., 1] > 0

    mean = np.rint(octave.mean(-1) * BOTH_STEPS).clip(0, BOTH_COUNT - 1)
    slope = np.abs((octave[..., 1] - octave[..., 0])[..., None] - SLOPES).argmin(-1)
    both = FIRST_BOTH + mean * len(SLOPES) + slope
    alone = np.rint(np.where(first, octave[..., 0], octave[..., 1]) * ONE_STEPS).clip(0, ONE_COUNT - 1)
    one = FIRST_ONE + np.where(first, 0, ONE_COUNT) + alone
    return np.where(first & second, both, np.where(first | second, one, UNVOICED)).astype(np.int64)


def decode_halves(codes: Ints) -> Floats:
    """Pitch of the halves.

    Args:
        codes: `[...]`, 1 to 1023.

    Returns:
        Hz, `[..., 2]`, 0 where unvoiced.
    """
    codes = np.clip(codes, UNVOICED, END - 1)
    mean, slope = np.divmod(np.clip(codes - FIRST_BOTH, 0, BOTH_COUNT * len(SLOPES) - 1), len(SLOPES))
    both = mean[..., None] / BOTH_STEPS + SLOPES[slope][..., None] * np.array([-0.5, 0.5])
    half, step = np.divmod(np.clip(codes - FIRST_ONE, 0, 2 * ONE_COUNT - 1), ONE_COUNT)
    one = (step / ONE_STEPS)[..., None]
    is_one = (codes >= FIRST_ONE)[..., None]
    voiced = np.where(is_one, half[..., None] == np.arange(2), (codes != UNVOICED)[..., None])
    return np.where(voiced, BASE * 2.0 ** np.where(is_one, one, both), 0.0)


def decode_pitch(codes: Ints, before: Floats) -> tuple[Floats, Floats]:
    """Smooth pitch at 5 ms.

    Each half has two values, a quarter of the way from its own to that of the half before and after it. For the second
    half nothing is known after it, and the line through the halves is continued.

    Args:
        codes: `[channels, hops]`, 1 to 1023.
        before: Hz, `[channels]`, the second half of the hop before; 0 where unvoiced or at the start.

    Returns:
        f0 in Hz, `[channels, hops, 4]`, 0 where unvoiced, and `before` for the next call.
    """
    halves = decode_halves(codes).reshape(len(codes), -1)
    voiced = np.pad(halves > 0, ((0, 0), (1, 0)))
    voiced[:, 0] = before > 0
    value = np.log2(np.maximum(np.concatenate([before[:, None], halves], 1), 1.0))
    own = value[:, 1:]
    rise = np.where(voiced[:, 1:] & voiced[:, :-1], own - value[:, :-1], 0.0)
    # A first half leads to the second one.
    ahead = rise.copy()
    ahead[:, ::2] = np.where(voiced[:, 2::2], rise[:, 1::2], 0.0)
    octave = np.stack([own - rise / 4, own + ahead / 4], -1)
    f0 = np.where(voiced[:, 1:, None], 2.0**octave, 0.0)
    return f0.reshape(*codes.shape, 4), halves[:, -1] if halves.shape[1] else before
