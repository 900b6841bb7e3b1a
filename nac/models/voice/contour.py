"""Pitch every 5 ms, from the two values a frame that are coded."""

import torch
from torch import Tensor, nn

from nac.models.layers import State, with_past
from nac.models.voice.timing import FRAMES

#: Weight of the neighbouring half, a quarter of a half's length from its own centre.
NEIGHBOUR = 0.25


class PitchContour(nn.Module):
    """Interpolates between the halves of frames.

    What follows a frame is not known with it: its last value goes on as its halves do.
    """

    def forward(self, halves: Tensor, state: State | None = None) -> Tensor:
        """Interpolate.

        Args:
            halves: f0 in Hz, 0 where unvoiced, `[batch, frames, 2]`.
            state: of the stream that the frames continue; None: nothing voiced came before.

        Returns:
            `[batch, frames, 4]`, voiced where the half is.
        """
        batch, frames, count = halves.shape
        values = with_past(self, halves.reshape(batch, frames * count, 1), 1, state)[..., 0]
        logs, voiced = values.clamp(min=1.0).log(), values > 0
        here = logs[:, 1:]
        before = torch.where(voiced[:, :-1], logs[:, :-1], here)
        after = 2 * here - before
        # The first half of a frame leads to the second one.
        after[:, ::count] = torch.where(voiced[:, 2::count], here[:, 1::count], here[:, ::count])
        steps = torch.stack([torch.lerp(here, before, NEIGHBOUR), torch.lerp(here, after, NEIGHBOUR)], -1)
        return (steps.exp() * voiced[:, 1:, None]).view(batch, frames, FRAMES)
