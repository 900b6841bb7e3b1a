"""Pitch as it runs: from two values a frame to one every 5 ms, and to pulses at it."""

import torch
from torch import Tensor, nn

from nac.models.layers import OverlapAdd, State, with_past
from nac.models.voice.timing import FRAMES, HOP, SAMPLE_RATE, STEP

#: Values of pitch that a frame's code holds.
HALVES = 2
#: Weight, at a quarter of a half's length from its centre, of the neighbouring half.
NEIGHBOUR = 0.25
#: Samples on each side of a band-limited pulse, by which pulses also come late.
REACH = 9
#: Half the length of the Hann window over them.
WINDOW = 8.5
#: Binary digits of the phase below one cycle. Phase is a whole number of 2⁻⁴⁰ cycles, so that sums of it are exact, and
#: pulses the same however frames are cut.
PHASE_BITS = 40


class PitchContour(nn.Module):
    """Pitch every 5 ms, interpolated between the halves of frames.

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
        batch, frames, _ = halves.shape
        values = with_past(self, halves.reshape(batch, frames * HALVES, 1), 1, state)[..., 0]
        logs = values.clamp(min=1.0).log()
        voiced = values > 0
        here, before = logs[:, 1:], torch.where(voiced[:, :-1], logs[:, :-1], logs[:, 1:])
        after = torch.where(voiced[:, 2:], logs[:, 2:], logs[:, 1:-1])
        after = torch.cat([after, here[:, -1:]], 1)
        # The second half of each frame does not know the next frame.
        after[:, 1::HALVES] = (2 * here - before)[:, 1::HALVES]
        steps = torch.stack([torch.lerp(here, before, NEIGHBOUR), torch.lerp(here, after, NEIGHBOUR)], -1)
        return (steps.exp() * voiced[:, 1:, None]).view(batch, frames, FRAMES)


class Phase(nn.Module):
    """Running sum of a frequency, in whole 2⁻⁴⁰ cycles."""

    def forward(self, increments: Tensor, state: State | None = None) -> tuple[Tensor, Tensor]:
        """Sum up.

        Args:
            increments: int64 `[batch, samples]`.
            state: of the stream that the samples continue; None: the phase begins at 0.

        Returns:
            Where each sample is within its cycle, and whether a cycle begins between the sample before and this one;
            both `[batch, samples]`.
        """
        start = None if state is None else state.get(self)
        if start is None:
            start = increments.new_zeros(len(increments), 1)
        total = torch.cat([start, increments], 1).cumsum(1)
        cycles = total >> PHASE_BITS
        within = total - (cycles << PHASE_BITS)
        if state is not None:
            state[self] = within[:, -1:].clone()
        return within[:, 1:], cycles[:, 1:] > cycles[:, :-1]


class PulseTrain(nn.Module):
    """Band-limited pulses at the pitch, with a mean power of 1.

    They are known up to the centre of a frame's last step, where the pitch of the next frame begins to count. The
    synthesis of that step reaches a step further: what it needs is made at the pitch that was last, and made again,
    at the right one, with the next frame.
    """

    def __init__(self) -> None:
        super().__init__()
        self.phase = Phase()
        self.overlap = OverlapAdd(HOP + 2 * REACH, HOP)

    def forward(self, f0: Tensor, state: State | None = None) -> Tensor:
        """Make pulses.

        Between the centres of two voiced steps pitch is interpolated on a logarithmic scale; at the edges of voice it
        stays what it is.

        Args:
            f0: Hz, 0 where unvoiced, `[batch, frames, 4]`.
            state: of the stream that the frames continue; None: a new one.

        Returns:
            `[batch, frames, hop + STEP]`: for each frame the samples from the centre of the last step before it to
            that of its own, and a step more for now. Pulses are `REACH` samples late.
        """
        batch, frames, _ = f0.shape
        steps = with_past(self, f0.reshape(batch, frames * FRAMES, 1), 1, state)[..., 0].double()
        cycles = _at_samples(steps) / SAMPLE_RATE
        within, begins = self.phase(_whole(cycles), state)
        pulses = _place(cycles.view(batch, frames, HOP), *(x.view(batch, frames, HOP) for x in (within, begins)))
        known = self.overlap(pulses[:, :, None], state).view(batch, frames, HOP)

        cycles = (f0[:, :, -1:].double() / SAMPLE_RATE).expand(-1, -1, STEP)
        start = within.view(batch, frames, HOP)[..., -1:]
        total = torch.cat([start, _whole(cycles)], 2).cumsum(2)
        begins = (total[..., 1:] >> PHASE_BITS) > (total[..., :-1] >> PHASE_BITS)
        expected = _place(cycles, total[..., 1:] & ((1 << PHASE_BITS) - 1), begins)[..., :STEP]
        expected[..., : 2 * REACH] += pulses[..., HOP:]
        return torch.cat([known, expected], 2)


def _whole(cycles: Tensor) -> Tensor:
    return (cycles * (1 << PHASE_BITS)).round().long()


def _place(cycles: Tensor, within: Tensor, begins: Tensor) -> Tensor:
    """Pulses where cycles begin.

    Args:
        cycles: per sample, `[batch, frames, samples]`.
        within: phase, likewise.
        begins: whether a cycle begins between the sample before and this one, likewise.

    Returns:
        `[batch, frames, samples + 2 · REACH]`.
    """
    rows, samples = cycles.shape[0] * cycles.shape[1], cycles.shape[2]
    item, sample = begins.reshape(rows, samples).nonzero(as_tuple=True)
    speed = cycles.reshape(rows, samples)[item, sample]
    # Samples from where the cycle began, which is between samples, to the first sample in it.
    late = within.reshape(rows, samples)[item, sample] / (speed * (1 << PHASE_BITS))
    tap = torch.arange(2 * REACH)
    distance = tap - REACH + late[:, None]
    window = (distance * (torch.pi / WINDOW)).clamp(-torch.pi, torch.pi).cos() / 2 + 0.5
    pulses = torch.sinc(distance) * window * speed.rsqrt()[:, None]
    out = torch.zeros(rows, samples + 2 * REACH)
    place = item * out.shape[1] + sample
    out.view(-1).index_add_(0, (place[:, None] + tap).flatten(), pulses.float().flatten())
    return out.view(*cycles.shape[:2], -1)


def _at_samples(steps: Tensor) -> Tensor:
    """f0 from the centre of each step to that of the next: `[batch, n + 1]` to `[batch, n · STEP]`."""
    early, late = steps[:, :-1, None], steps[:, 1:, None]
    share = torch.arange(STEP, dtype=steps.dtype) / STEP
    between = torch.lerp(early.clamp(min=1).log(), late.clamp(min=1).log(), share).exp()
    at_edge = torch.where(share < 0.5, early, late)
    return torch.where((early > 0) & (late > 0), between, at_edge).flatten(1)
