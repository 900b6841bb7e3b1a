"""Whether a frame is voice or other sound: a small causal network on the parameters of the voice analysis."""

import math

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
#: Log odds of voice beyond which a frame says no more than that, and frames over which their mean forgets.
SURE, MEMORY = 4.0, 50
#: Means below which voice ends, and above which it begins: few switches, each of which is heard. A stream begins as
#: voice, about which there is some doubt.
END, BEGIN, START = 0.0, 3.0, 0.3
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
            features: `[batch, frames, 51]`, see `mode_features`.
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
        """Which frames are voice: by the mean of what frames say, over about a second, with hysteresis.

        Args:
            parameters: of `[channels, frames]`.
            state: of the stream that the frames continue.

        Returns:
            bool `[channels, frames]`.
        """
        odds = self(mode_features(parameters), state).clamp(-SURE, SURE)
        mean, voice = state.get(self, odds.new_tensor([[START], [1.0]]).expand(-1, len(odds)))
        keep = math.exp(-1 / MEMORY)
        rows = []
        for frame in odds.unbind(1):
            mean = torch.lerp(frame, mean, keep)
            voice = torch.where(voice > 0, mean > END, mean > BEGIN).to(mean.dtype)
            rows.append(voice > 0)
        state[self] = torch.stack([mean, voice])
        return torch.stack(rows, 1) if rows else odds > END


def mode_features(parameters: VoiceParameters) -> Tensor:
    """What the classifier is told of frames.

    Args:
        parameters: of `[batch, frames]`, four steps each.

    Returns:
        `[batch, frames, 51]`: bands about their mean, that mean, how much bands move within the frame, the share of
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
