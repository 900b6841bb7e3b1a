"""Pitch and voicing of a hop as one number from 1 to 1023; 0 is left for what is not voice.

A hop has two halves of 10 ms. The code says which are voiced and their pitch:

    1                   neither
    2 to 916            both: their mean in 1/90 octave, 305 steps from 52 Hz on, and one of 3 slopes
    917 to 1008         one: its pitch in 1/13 octave, 46 steps from 52 Hz on, for the first half, then the second

Unassigned numbers read as the last that is assigned.
"""

import torch
from torch import Tensor

#: Hz of step 0.
BASE = 52.0
#: Steps per octave and how many there are, with both halves voiced and with one.
BOTH_STEPS, BOTH_COUNT = 90, 305
ONE_STEPS, ONE_COUNT = 13, 46
#: Octaves by which the second half lies above the first.
SLOPES = (-0.04, 0.0, 0.04)
#: First code of each kind, and one more than the last.
UNVOICED = 1
FIRST_BOTH = UNVOICED + 1
FIRST_ONE = FIRST_BOTH + BOTH_COUNT * len(SLOPES)
END = FIRST_ONE + 2 * ONE_COUNT


def encode_pitch(f0: Tensor) -> Tensor:
    """Code hops.

    Args:
        f0: Hz, `[..., 4]` at 5 ms, 0 where unvoiced. A half is voiced if one of its two values is, with the geometric
            mean of those that are.

    Returns:
        int64 `[...]`, 1 to 1008.
    """
    pairs = f0.double().reshape(*f0.shape[:-1], 2, 2)
    voiced = pairs > 0
    count = voiced.sum(-1)
    octave = torch.where(voiced, pairs / BASE, 1.0).log2().sum(-1) / count.clamp(min=1)
    first, second = (count > 0).unbind(-1)

    mean = (octave.mean(-1) * BOTH_STEPS).round().clamp(0, BOTH_COUNT - 1)
    rise = octave[..., 1] - octave[..., 0]
    slope = (rise[..., None] - torch.tensor(SLOPES, dtype=torch.float64)).abs().argmin(-1)
    both = FIRST_BOTH + mean * len(SLOPES) + slope
    # The half that is not voiced adds nothing.
    alone = (octave.sum(-1) * ONE_STEPS).round().clamp(0, ONE_COUNT - 1)
    one = FIRST_ONE + torch.where(first, 0, ONE_COUNT) + alone
    return torch.where(first & second, both, torch.where(first | second, one, UNVOICED)).long()


def decode_pitch(codes: Tensor) -> Tensor:
    """Pitch of the halves; `nac.models.voice.contour` makes 5 ms values of them.

    Args:
        codes: int64 `[...]`, 0 to 1023; 0 has no pitch.

    Returns:
        Hz, float32 `[..., 2]`, 0 where unvoiced.
    """
    return _TABLE[codes.clamp(0, END - 1)]


def _table() -> Tensor:
    """Halves of each code, `[END, 2]`."""
    both = torch.arange(BOTH_COUNT, dtype=torch.float64)[:, None, None] / BOTH_STEPS
    both = both + torch.tensor(SLOPES, dtype=torch.float64)[:, None] * torch.tensor([-0.5, 0.5], dtype=torch.float64)
    one = BASE * 2 ** (torch.arange(ONE_COUNT, dtype=torch.float64) / ONE_STEPS)
    none = torch.zeros(ONE_COUNT, dtype=torch.float64)
    halves = [BASE * 2 ** both.flatten(0, 1), torch.stack([one, none], 1), torch.stack([none, one], 1)]
    return torch.cat([torch.zeros(FIRST_BOTH, 2, dtype=torch.float64), *halves]).float()


_TABLE = _table()
