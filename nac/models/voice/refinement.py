"""The refinement: a network that mixes the synthesised parts and the coded low band in short-time spectra.

It starts as a fixed mixture: synthesis alone, or with the coded waveform in its place below a crossover.
"""

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.layers import FrameBlock, OverlapAdd, State, with_past
from nac.models.voice.control import PITCH_FEATURES
from nac.models.voice.synthesis import PARTS
from nac.models.voice.timing import FRAMES, SAMPLE_RATE, STEP

#: Samples of a spectrum, and what their squared windows sum up to.
WINDOW = 4 * STEP
WINDOW_SUM = 1.5
#: Samples by which the output is late: what is complete when a spectrum is, is that much older than its end.
DELAY = WINDOW - STEP
#: What is mixed: the parts of the synthesis, and the coded low band.
STREAMS = PARTS + 1
#: Real numbers of the spectra that a step of the network sees and makes.
SPECTRAL_VALUES = (WINDOW + 2) * (STREAMS + STREAMS + 1)
#: Hz over which one gives way to the other at a crossover.
CROSSOVER_WIDTH = 150.0
#: Weight of the curves as the network's input.
CURVE_SCALE = 0.2
#: Power added to that of a spectrum's mean bin, and of a bin: absolute, and as a share of the mean.
LEVEL_FLOOR, BIN_FLOOR, BIN_SHARE = 1e-6, 1e-9, 1e-8


class Refinement(nn.Module):
    """Complex masks for each stream, and something to add, from the streams' spectra and the control network."""

    #: Set in training alone: the network in bfloat16. The mixture itself always stays in float32.
    bfloat16_blocks = False

    window: Tensor
    shares: Tensor
    starts: Tensor
    counts: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        """Starts as the fixed mixture, and stays it with a width of 0."""
        super().__init__()
        self.config = config
        width, bins = config.refinement_width, WINDOW // 2 + 1
        self.learns = width > 0
        self.overlap = OverlapAdd(WINDOW, STEP)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("shares", _synthesised_shares(config), persistent=False)
        if not self.learns:
            return
        conditions = config.control_width + PITCH_FEATURES + len(config.low_bands)
        self.frame_inner = nn.Linear(conditions, width)
        self.frame_blocks = nn.ModuleList(
            FrameBlock(width, config.frame_kernel, config.expansion, "silu")
            for _ in range(config.refinement_frame_blocks)
        )
        self.split = nn.Linear(width, FRAMES * width)
        self.inner = nn.Linear(2 * bins * STREAMS + config.n_curves, width)
        self.blocks = nn.ModuleList(
            FrameBlock(width, config.step_kernel, config.expansion, "silu") for _ in range(config.refinement_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 2 * bins * (STREAMS + 1))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        #: Of each low band, where its codebooks start and how many there are.
        counts = torch.tensor([count for count, _ in config.low_bands])
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)

    def condition(self, hidden: Tensor, pitch: Tensor, n_low: Tensor, state: State | None = None) -> Tensor:
        """What frames tell the network.

        Args:
            hidden: of the control network, `[batch, frames, control width]`.
            pitch: `[batch, frames, 7]`, see `pitch_features`.
            n_low: codebooks of the low bands in each frame, `[batch, frames]`.
            state: of the stream that the frames continue; None: nothing came before.

        Returns:
            `[batch, 4 · frames, width]`.
        """
        used = ((n_low[..., None] - self.starts).clamp(min=0).minimum(self.counts) / self.counts).to(hidden.dtype)
        with torch.autocast(hidden.device.type, torch.bfloat16, enabled=self.bfloat16_blocks):
            x = self.frame_inner(torch.cat([hidden, pitch, used], -1))
            for block in self.frame_blocks:
                x = block(x, state)
            out: Tensor = self.split(x)
        return out.view(x.shape[0], FRAMES * x.shape[1], -1)

    def forward(
        self, streams: Tensor, curves: Tensor, conditions: Tensor | None, level: Tensor, state: State | None = None
    ) -> Tensor:
        """Mix.

        Args:
            streams: harmonic part, noise part and coded low band, `[batch, steps · STEP, 3]`.
            curves: `[batch, steps, bands + aperiodicity bands]`.
            conditions: `[batch, steps, width]`, see `condition`; None if the network is of a width of 0.
            level: number of the crossover in each spectrum, `[batch, steps]`, 0 for none.
            state: of the stream that the steps continue; None: silence came before.

        Returns:
            `[batch, steps · STEP]`, `DELAY` samples late.
        """
        x = with_past(self, streams, DELAY, state)
        spectra = torch.fft.rfft(x.unfold(1, WINDOW, STEP) * self.window)  # [batch, steps, streams, bins]
        share = self.shares[level]
        base = torch.stack([share, share, 1 - share], 2)
        mixture = (spectra * base).sum(2)
        mixed = mixture if conditions is None else self._refined(mixture, spectra, curves, conditions, state)
        frames = torch.fft.irfft(mixed, n=WINDOW) * self.window
        out: Tensor = self.overlap(frames[:, :, None], state)
        return out[..., 0] / WINDOW_SUM

    def _refined(
        self, mixture: Tensor, spectra: Tensor, curves: Tensor, conditions: Tensor, state: State | None
    ) -> Tensor:
        """The mixture with what the network makes of the streams, `[batch, steps, bins]`."""
        level = (_power(mixture).mean(-1, keepdim=True) + LEVEL_FLOOR).sqrt()
        relative = level[:, :, None]
        magnitude = _power(spectra) + BIN_SHARE * relative.square() + BIN_FLOOR
        compressed = spectra * (magnitude.sqrt() * relative).rsqrt()
        seen = torch.cat([compressed.real, compressed.imag], -1).flatten(2)
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=self.bfloat16_blocks):
            hidden = conditions + self.inner(torch.cat([seen, curves * CURVE_SCALE], -1))
            for block in self.blocks:
                hidden = block(hidden, state)
            parts = self.out(self.norm(hidden)).float().unflatten(-1, (STREAMS + 1, 2, -1))
        masks = torch.complex(parts[:, :, :, 0].contiguous(), parts[:, :, :, 1].contiguous())
        return mixture + (spectra * masks[:, :, :STREAMS]).sum(2) + masks[:, :, STREAMS] * level


def _power(spectra: Tensor) -> Tensor:
    return spectra.real.square() + spectra.imag.square()


def _synthesised_shares(config: VoiceConfig) -> Tensor:
    """`[crossovers + 1, bins]`: how much of each bin is synthesised; all of it without a coded low band."""
    frequencies = torch.arange(WINDOW // 2 + 1) * (SAMPLE_RATE / WINDOW)
    rows = [torch.ones_like(frequencies)]
    rows += [((frequencies - hertz) / CROSSOVER_WIDTH + 0.5).clamp(0, 1) for hertz, _, _ in config.crossovers]
    return torch.stack(rows)
