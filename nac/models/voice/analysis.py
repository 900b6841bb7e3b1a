"""From samples to the parameters of the voice model, piece by piece."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nac.models.layers import State, with_past
from nac.models.voice.aperiodicity import EDGES, band_aperiodicity
from nac.models.voice.envelope import BANDS, SIZE, band_weights, spectral_envelope
from nac.models.voice.pitch import PitchTracker
from nac.models.voice.timing import FRAMES, HOP, HOPS_AFTER, HOPS_BEFORE, SAMPLE_RATE, STEP

#: Power added to each band before its logarithm is taken.
BAND_FLOOR = 1e-10
#: Hz below which there is rumble and no voice.
RUMBLE = 30
#: For so many frames after voice has begun the window of the envelope is not longer than at this f0, in Hz, so that it
#: does not reach back to what was before.
ONSET_FRAMES, ONSET_F0 = 4, 250.0


@dataclass(frozen=True, eq=False)
class VoiceParameters:
    """Parameters of consecutive hops, four frames of 5 ms each.

    Attributes:
        f0: Hz, `[channels, hops, 4]`, 0 where unvoiced.
        bands: natural logarithm of the envelope's power by band, `[channels, hops, 4, 40]`.
        aperiodicity: `[channels, hops, 4, 7]`, 0 to 1, and 1 where unvoiced. It is an amplitude: squared it is the
            share of the power that is noise.
    """

    f0: Tensor
    bands: Tensor
    aperiodicity: Tensor


class VoiceAnalysis(nn.Module):
    """Pitch, envelope and aperiodicity, on the CPU.

    Each call describes as many hops as it is given, but those one hop earlier: hop f − 1 is known once the samples
    before (f + 1) · hop are. The first hop of a stream is thus the silence before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pitch = PitchTracker()
        self.highpass = _HighPass()
        self.window_f0 = _WindowF0()
        self._bands = band_weights()

    @torch.inference_mode()
    def forward(self, samples: Tensor, state: State | None = None) -> VoiceParameters:
        """Analyse.

        Args:
            samples: `[channels, n]` at 24 kHz, n a multiple of 480; each channel by itself.
            state: what the analysis remembers; None: the past is silence.

        Returns:
            Parameters of n / 480 hops.
        """
        state = {} if state is None else state
        past = (HOPS_BEFORE + HOPS_AFTER) * HOP
        x = with_past(self, self.highpass(samples, state)[..., None], past, state)[..., 0]
        f0 = torch.from_numpy(self.pitch(x, state))
        channels, frames = f0.shape
        hops = frames // FRAMES

        first = HOPS_BEFORE * HOP + STEP // 2
        around = x[:, first - SIZE // 2 :].unfold(1, SIZE, STEP)[:, :frames]
        envelope = spectral_envelope(around.reshape(-1, SIZE), self.window_f0(f0, state).reshape(-1))
        # A product for each hop, so that the number of hops at hand does not matter to rounding.
        power = torch.bmm(envelope.view(-1, FRAMES, envelope.shape[1]), self._bands.expand(channels * hops, -1, -1))

        aperiodicity = torch.ones(channels, frames, len(EDGES) - 1)
        channel, frame = torch.nonzero(f0, as_tuple=True)
        if len(frame):
            centres = channel * x.shape[1] + first + frame * STEP
            aperiodicity[channel, frame] = band_aperiodicity(x.reshape(-1), centres, f0[channel, frame])
        shape = channels, hops, FRAMES
        return VoiceParameters(
            f0.float().view(shape), (power + BAND_FLOOR).log().view(*shape, BANDS), aperiodicity.view(*shape, -1)
        )


class _WindowF0(nn.Module):
    """The f0 that sets the length of each frame's window."""

    def forward(self, f0: Tensor, state: State) -> Tensor:
        """`[channels, frames]` to the same shape; 0 where unvoiced."""
        voiced = f0 > 0
        before = with_past(self, voiced[..., None], ONSET_FRAMES, state)[:, :-1, 0]
        inside = before.unfold(1, ONSET_FRAMES, 1).all(-1)
        return torch.where(voiced & ~inside, f0.clamp_min(ONSET_F0), f0)


class _HighPass(nn.Module):
    """Takes away a constant offset and rumble, sample by sample."""

    def __init__(self) -> None:
        # Imported here: it takes most of a second, which a decoder need not spend.
        from scipy.signal import butter

        super().__init__()
        self._sections = butter(2, RUMBLE, "high", fs=SAMPLE_RATE, output="sos")

    def forward(self, x: Tensor, state: State) -> Tensor:
        """`[channels, samples]` to the same shape."""
        from scipy.signal import sosfilt

        before = state.get(self)
        if before is None:
            before = torch.zeros(len(self._sections), len(x), 2, dtype=torch.float64)
        y, after = sosfilt(self._sections, x.double().numpy(), zi=before.numpy())
        state[self] = torch.from_numpy(after)
        return torch.from_numpy(y).float()
