"""Band-limited pulses at a pitch that moves."""

import torch
from torch import Tensor, nn

from nac.models.layers import OverlapAdd, State, with_past
from nac.models.voice.timing import FRAMES, HOP, SAMPLE_RATE, STEP

#: Samples on each side of a band-limited pulse, by which pulses also come late.
REACH = 9
#: Half the length of the Hann window over them.
WINDOW = 8.5
#: Binary digits of the phase below one cycle. Phase is a whole number of 2⁻⁴⁰ cycles, so that sums of it are exact, and
#: pulses the same however frames are cut.
PHASE_BITS = 40


class Phase(nn.Module):
    """Running sum of a frequency, in whole 2⁻⁴⁰ cycles; wherever the frequency rises from 0 a cycle is half over.

    So what came before a voice does not matter to its pulses, and decoding that starts before it gives the same ones.
    """

    def forward(self, increments: Tensor, state: State | None = None) -> tuple[Tensor, Tensor]:
        """Sum up.

        Args:
            increments: int64 `[batch, samples]`, 0 or more.
            state: of the stream that the samples continue; None: the frequency was 0 before.

        Returns:
            Where each sample is within its cycle, and whether a cycle begins between the sample before and this one;
            both `[batch, samples]`.
        """
        before = None if state is None else state.get(self)
        if before is None:
            before = increments.new_zeros(len(increments), 2)  # phase and increment of the sample before
        starts = (increments > 0) & (torch.cat([before[:, 1:], increments[:, :-1]], 1) == 0)
        total = torch.cat([before[:, :1], increments], 1).cumsum(1)
        # From the last start on, what was summed up to it is taken off.
        number = torch.arange(1, increments.shape[1] + 1, device=increments.device)
        last = torch.where(starts, number, 0).cummax(1).values
        offset = total.gather(1, (last - 1).clamp(min=0)) - (1 << (PHASE_BITS - 1))
        total = total[:, 1:] - offset.where(last > 0, 0)
        within = total & ((1 << PHASE_BITS) - 1)
        if state is not None:
            state[self] = torch.stack([within[:, -1], increments[:, -1]], 1)
        return within, (total >> PHASE_BITS) > ((total - increments) >> PHASE_BITS)


class PulseTrain(nn.Module):
    """Band-limited pulses at the pitch, with a mean power of 1."""

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
            `[batch, frames · hop]`: the samples from the centre of the step before the frames to the centre of their
            last step, with the pulses `REACH` samples late.
        """
        batch, frames, _ = f0.shape
        steps = with_past(self, f0.reshape(batch, frames * FRAMES, 1), 1, state)[..., 0].double()
        cycles = _at_samples(steps) / SAMPLE_RATE  # per sample
        increments = (cycles * (1 << PHASE_BITS)).round().long()
        within, begins = self.phase(increments, state)

        item, sample = begins.nonzero(as_tuple=True)
        # Samples from where the cycle began, which is between samples, to the first sample in it.
        late = within[item, sample] / increments[item, sample]
        tap = torch.arange(2 * REACH, device=f0.device)
        distance = tap - REACH + late[:, None]
        window = (distance * (torch.pi / WINDOW)).clamp(-torch.pi, torch.pi).cos() / 2 + 0.5
        pulses = torch.sinc(distance) * window * cycles[item, sample].rsqrt()[:, None]
        out = torch.zeros(batch, frames, 1, HOP + 2 * REACH, device=f0.device)
        place = (item * frames + sample // HOP) * out.shape[-1] + sample % HOP
        out.view(-1).index_add_(0, (place[:, None] + tap).flatten(), pulses.float().flatten())
        return self.overlap(out, state)[..., 0]  # type: ignore[no-any-return]


def _at_samples(steps: Tensor) -> Tensor:
    """f0 from the centre of each step to that of the next: `[batch, n + 1]` to `[batch, n · STEP]`."""
    early, late = steps[:, :-1, None], steps[:, 1:, None]
    share = torch.arange(STEP, dtype=steps.dtype, device=steps.device) / STEP
    between = torch.lerp(early.clamp(min=1).log(), late.clamp(min=1).log(), share).exp()
    at_edge = torch.where(share < 0.5, early, late)
    return torch.where((early > 0) & (late > 0), between, at_edge).flatten(1)
