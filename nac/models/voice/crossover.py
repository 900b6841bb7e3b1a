"""Up to which frequency the coded waveform replaces the synthesis, and what cleans it in steady voice."""

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.layers import Delay, State, with_past
from nac.models.voice.pitch_code import BASE
from nac.models.voice.timing import FRAMES, SAMPLE_RATE, STEP

#: Samples that the comb filter looks back: the longest period, whose fraction needs the sample before it.
REACH = int(SAMPLE_RATE / BASE) + 1


class CrossoverLevel(nn.Module):
    """Number of the crossover that holds at each step of the refinement's spectra; 0 is synthesis alone."""

    steady_counts: Tensor
    unsteady_counts: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        for name, column in (("steady_counts", 1), ("unsteady_counts", 2)):
            counts = torch.tensor([crossover[column] for crossover in config.crossovers])
            self.register_buffer(name, counts, persistent=False)
        self.before = Delay(1)
        # From the newest step of a frame back to the middle of the spectrum that it completes.
        self.late = Delay(2)

    def of_frames(self, n_low: Tensor, steady: Tensor) -> Tensor:
        """Choose.

        Args:
            n_low: codes of the low bands in each frame, `[batch, frames]`.
            steady: which frames are steady voice, `[batch, frames]`.

        Returns:
            int64 `[batch, frames]`.
        """
        counts = torch.where(steady[..., None], self.steady_counts, self.unsteady_counts)
        return (n_low[..., None] >= counts).sum(-1)

    def forward(self, level: Tensor, state: State | None = None) -> Tensor:
        """Spread over steps.

        Args:
            level: of frames, `[batch, frames]`.
            state: of the stream that the frames continue; None: silence came before.

        Returns:
            int64 `[batch, 4 · frames]`.
        """
        level = level[..., None]
        # Two frames overlap in each hop of the coded waveform, and both must be there.
        level = level.minimum(self.before(level, state)).repeat_interleave(FRAMES, 1)
        out: Tensor = self.late(level, state)[..., 0]
        return out


class CombFilter(nn.Module):
    """Adds what was there a period ago, which steady voice repeats and the error of its codes does not.

    As the pitch postfilters of speech codecs do (Chen and Gersho 1995, "Adaptive postfiltering for quality enhancement
    of coded speech").
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight_before, self.period_before = Delay(1), Delay(1)

    def forward(self, x: Tensor, f0: Tensor, share: Tensor, state: State | None = None) -> Tensor:
        """Filter.

        Args:
            x: `[batch, frames · hop]`.
            f0: Hz, 0 where unvoiced, `[batch, frames, 4]`, of the same times.
            share: of the past in the sum, 0 to 1, `[batch, frames]`; f0 is above 0 where it is not 0.
            state: of the stream that the frames continue; None: silence came before.

        Returns:
            As `x`.
        """
        past = with_past(self, x[..., None], REACH, state)[..., 0]
        period = torch.where(f0 > 0, SAMPLE_RATE / f0.clamp(min=BASE), 0.0).flatten(1)[..., None]
        period = torch.where(period > 0, period, self.period_before(period, state))
        period = period[..., 0].repeat_interleave(STEP, 1)

        # The weight moves over the 5 ms after a change.
        weight = share.to(x.dtype).repeat_interleave(FRAMES, 1)[..., None]
        rise = torch.arange(STEP, dtype=x.dtype, device=x.device) / STEP
        weight = torch.lerp(self.weight_before(weight, state), weight, rise).flatten(1)

        # Whole and fraction are of the period alone, so that rounding does not depend on where a piece begins.
        whole = period.floor().long()
        at = torch.arange(x.shape[1], device=x.device) + REACH - whole
        ago = torch.lerp(past.gather(1, at), past.gather(1, at - 1), (period - whole).to(x.dtype))
        return torch.lerp(x, ago, weight)
