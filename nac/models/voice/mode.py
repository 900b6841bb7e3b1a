"""Whether a frame is voice or other sound: a small causal network on the parameters of the voice analysis."""

import torch
from torch import Tensor, nn

from nac.models.layers import FrameBlock, State
from nac.models.voice.analysis import VoiceParameters
from nac.models.voice.aperiodicity import EDGES
from nac.models.voice.control import REFERENCE_PITCH
from nac.models.voice.envelope import BANDS
from nac.models.voice.quantizer import POWER_FLOOR

#: Numbers that describe a frame, see `mode_features`.
FEATURES = BANDS + 4 + len(EDGES) - 1
WIDTH, BLOCKS, KERNEL, EXPANSION = 48, 3, 9, 2
#: Probability of voice below which voice ends, and above which it begins: few switches, each of which is heard, and
#: speech loses more by the general model than other sound by that of voices.
END, BEGIN = 0.03, 0.8
#: Mean log power of bands that is in the middle, and half the range of what matters.
_LEVEL, _LEVEL_RANGE = -9.0, 4.0


class ModeClassifier(nn.Module):
    """Probability that each frame is voice, from it and the frames before."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, WIDTH)
        self.blocks = nn.ModuleList(FrameBlock(WIDTH, KERNEL, EXPANSION, "silu") for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, features: Tensor, state: State | None = None) -> Tensor:
        """Classify.

        Args:
            features: `[batch, frames, 43]`, see `mode_features`.
            state: of the stream that the frames continue; None: nothing came before.

        Returns:
            Log odds of voice, `[batch, frames]`.
        """
        hidden = self.inner(features)
        for block in self.blocks:
            hidden = block(hidden, state)
        out: Tensor = self.out(self.norm(hidden))
        return out[..., 0]

    def decide(self, parameters: VoiceParameters, state: State) -> Tensor:
        """Which frames are voice, with hysteresis; a stream begins as voice.

        Args:
            parameters: of `[channels, frames]`.
            state: of the stream that the frames continue.

        Returns:
            bool `[channels, frames]`.
        """
        probability = self(mode_features(parameters), state).sigmoid()
        voice = state.get(self)
        if voice is None:
            voice = torch.ones(len(probability), dtype=torch.bool)
        rows = []
        for frame in probability.unbind(1):
            voice = torch.where(voice, frame > END, frame > BEGIN)
            rows.append(voice)
        state[self] = voice
        return torch.stack(rows, 1) if rows else probability > END


def mode_features(parameters: VoiceParameters) -> Tensor:
    """What the classifier is told of frames.

    Args:
        parameters: of `[batch, frames]`, four steps each.

    Returns:
        `[batch, frames, 43]`: bands about their mean, that mean, how much bands move within the frame, the share of
        voiced steps, their pitch in octaves above 150 Hz, and aperiodicity.
    """
    bands = (parameters.bands.exp() + POWER_FLOOR).log()
    mean = bands.mean(2)
    level = mean.mean(-1, keepdim=True)
    movement = bands.std(2, correction=0).mean(-1, keepdim=True)
    voiced = parameters.f0 > 0
    octaves = torch.where(voiced, (parameters.f0.clamp(min=50.0) / REFERENCE_PITCH).log2(), 0.0)
    pitch = octaves.sum(-1, keepdim=True) / voiced.sum(-1, keepdim=True).clamp(min=1)
    share = voiced.float().mean(-1, keepdim=True)
    aperiodicity = parameters.aperiodicity.mean(2) - 0.5
    return torch.cat([mean - level, (level - _LEVEL) / _LEVEL_RANGE, movement, share, pitch, aperiodicity], -1)
