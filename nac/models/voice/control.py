"""The control network: decoded parameters to finer curves of envelope and aperiodicity."""

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.layers import FrameBlock, State
from nac.models.voice.timing import FRAMES

#: Hz, what pitch is measured from.
REFERENCE_PITCH = 150.0
#: Numbers that describe a frame's pitch, see `pitch_features`.
PITCH_FEATURES = 7
#: Weight of the network's output.
OUTPUT_SCALE = 2.0


class ControlNetwork(nn.Module):
    """Corrects the curves that the quantizer alone gives, one frame at a time, from it and the frames before.

    Attributes:
        deviation: standard deviation of the core's latents, `[dim]`, measured on training speech.
    """

    deviation: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        """Starts as no correction."""
        super().__init__()
        width, kernel = config.control_width, config.frame_kernel
        self.register_buffer("deviation", torch.ones(config.envelope_dim))
        self.inner = nn.Linear(2 * config.envelope_dim + PITCH_FEATURES, width)
        #: By number of codebooks.
        self.n_codebooks_embedding = nn.Parameter(torch.zeros(config.envelope_codebooks + 1, width))
        self.blocks = nn.ModuleList(
            FrameBlock(width, kernel, config.expansion, "silu") for _ in range(config.control_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, FRAMES * config.n_curves)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, latent: Tensor, core: Tensor, pitch: Tensor, n_codebooks: Tensor, state: State | None = None
    ) -> tuple[Tensor, Tensor]:
        """Correct.

        Args:
            latent: `[batch, frames, dim]`.
            core: what the core codebooks alone make of it, likewise.
            pitch: `[batch, frames, 7]`, see `pitch_features`.
            n_codebooks: of the envelope, in each frame, `[batch, frames]`.
            state: of the stream that the frames continue; None: nothing came before.

        Returns:
            What to add to the curves, `[batch, 4 · frames, bands + aperiodicity bands]`, and the network's hidden
            state, `[batch, frames, width]`.
        """
        hidden = self.inner(torch.cat([latent / self.deviation, core / self.deviation, pitch], -1))
        hidden = hidden + self.n_codebooks_embedding[n_codebooks]
        for block in self.blocks:
            hidden = block(hidden, state)
        hidden = self.norm(hidden)
        steps = self.out(hidden).view(latent.shape[0], FRAMES * latent.shape[1], -1)
        return OUTPUT_SCALE * steps, hidden


def pitch_features(f0: Tensor) -> Tensor:
    """What networks are told of a frame's pitch.

    Args:
        f0: Hz, 0 where unvoiced, `[batch, frames, 4]`.

    Returns:
        `[batch, frames, 7]`: octaves above 150 Hz of each step, 0 where unvoiced; whether each half is voiced; and
        whether all is.
    """
    voiced = f0 > 0
    octaves = torch.where(voiced, (f0.clamp(min=50.0) / REFERENCE_PITCH).log2(), 0.0)
    flags = torch.cat([voiced[..., ::2], voiced.all(-1, keepdim=True)], -1)
    return torch.cat([octaves, flags.to(f0.dtype)], -1)
