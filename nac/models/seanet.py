"""Encoder and decoder: strided causal convolutions (SEANet, arXiv 2009.02095) around a core at the frame rate.

Both start as the linear codec of `nac.models.transform`: their main path carries the samples of a frame, split over
channels, to a lapped transform and back, and every residual part starts at zero.
"""

import torch
from torch import Tensor, nn

from nac.models.config import ModelConfig
from nac.models.layers import DownConv, FrameBlock, ResidualUnit, State, UpConv
from nac.models.transform import band_matrix, compress, expand, level_to_log, log_to_level, mdct_basis, noise_table

#: Weight of the coefficients above the first band edge beside those below in the distance that the quantizer
#: minimises.
HIGH_WEIGHT = 0.5
#: Share of a band's level that the linear start fills with noise.
NOISE_SHARE = 0.5


class Spectrum(nn.Module):
    """The mapping between transform coefficients and latent that encoder and decoder share.

    Attributes:
        deviation: `[latent]`, standard deviation of the latent, measured on training audio.
        spread: `[hop]`, standard deviation of the companded spectrum, measured likewise.
        bands: `[hop, n_bands]`, averages the bins of each band; from the config.
        noise: `[1021, hop]`, see `noise_table`.
    """

    deviation: Tensor
    spread: Tensor
    bands: Tensor
    noise: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Deviation and spread are ones until they are measured or loaded."""
        super().__init__()
        self.config = config
        self.register_buffer("deviation", torch.ones(config.latent_dim))
        self.register_buffer("spread", torch.ones(config.hop))
        self.register_buffer("bands", band_matrix(config.band_edges, config.hop), persistent=False)
        self.register_buffer("noise", noise_table(config.hop), persistent=False)

    def to_latent(self, coefficients: Tensor) -> Tensor:
        """Coefficients `[..., hop]` to latent `[..., latent]`."""
        low = self.config.n_base_coefficients
        companded = compress(coefficients[..., : self.config.n_coefficients], self.config.companding)
        levels = level_to_log((coefficients.square() @ self.bands + 1e-16).sqrt(), self.config.energy_scale)
        return torch.cat([companded[..., :low], levels, HIGH_WEIGHT * companded[..., low:]], -1)

    def to_spectrum(self, latent: Tensor, noise: Tensor) -> Tensor:
        """Latent `[..., latent]` to companded spectrum `[..., hop]`.

        Energy that the bands have beyond the coded coefficients is filled with `noise` `[..., hop]`.
        """
        low, bands = self.config.n_base_coefficients, self.config.n_bands
        companded = torch.cat(
            [
                latent[..., :low],
                latent[..., low + bands :] / HIGH_WEIGHT,
                latent.new_zeros(*latent.shape[:-1], self.config.hop - self.config.n_coefficients),
            ],
            -1,
        )
        coefficients = expand(companded, self.config.companding)
        level = log_to_level(latent[..., low : low + bands], self.config.energy_scale)
        missing = (level.square() - coefficients.square() @ self.bands).clamp(min=1e-16).sqrt()
        filled = coefficients + NOISE_SHARE * noise * (missing @ (self.bands.T > 0).to(missing.dtype))
        return compress(filled, self.config.companding)

    def to_coefficients(self, spectrum: Tensor) -> Tensor:
        """Companded spectrum to transform coefficients, both `[..., hop]`."""
        return expand(spectrum, self.config.companding)


class Encoder(nn.Module):
    """Waveform to latent: `[batch, frames · hop, 1]` to `[batch, frames, latent]`.

    Frame f depends on samples up to (f + 1) · hop and starts, untrained, with those from (f − 1) · hop on.
    """

    #: Set in training alone: the blocks at the frame rate, most of the work, in bfloat16. The main path always stays in
    #: float32: rounding errors of the loud low frequencies would drown the quiet high ones.
    bfloat16_blocks = False

    def __init__(self, config: ModelConfig) -> None:
        """Starts as the transform, its companding and bands."""
        super().__init__()
        self.config = config
        widths = (1, *config.encoder_channels)
        self.downs = nn.ModuleList(
            DownConv(a, b, s) for a, b, s in zip(widths, widths[1:], config.strides, strict=False)
        )
        self.units = nn.ModuleList(
            nn.ModuleList(ResidualUnit(c, d, config.activation) for d in dilations)
            for c, dilations in zip(widths[1:], config.encoder_units, strict=True)
        )
        self.last = DownConv(widths[-1], config.hop + config.encoder_width, config.strides[-1])
        self.inner = nn.Linear(config.latent_dim + config.encoder_width, config.encoder_width)
        self.blocks = nn.ModuleList(
            FrameBlock(config.encoder_width, config.block_kernel, config.expansion, config.activation)
            for _ in range(config.encoder_blocks)
        )
        self.norm = nn.LayerNorm(config.encoder_width)
        self.out = nn.Linear(config.encoder_width, config.latent_dim)
        self._init_linear_codec()

    @torch.no_grad()
    def _init_linear_codec(self) -> None:
        """Make the main path a polyphase split and, in the last stage, the lapped transform."""
        main = 1
        for down in self.downs:
            assert isinstance(down, DownConv)
            outputs, stride = down.linear.out_features, down.stride
            kernel = down.linear.weight.view(outputs, 2, stride, -1)
            kernel[: main * stride] = 0
            for step in range(stride):
                for channel in range(main):
                    kernel[step * main + channel, 1, step, channel] = 1
            down.linear.bias.zero_()
            main *= stride
        stride, hop = self.last.stride, self.config.hop
        kernel = self.last.linear.weight.view(-1, 2, stride, self.last.linear.in_features // (2 * stride))
        kernel[:hop] = 0
        kernel[:hop, :, :, :main] = mdct_basis(hop).T.reshape(hop, 2, stride, main)
        self.last.linear.bias.zero_()
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, spectrum: Spectrum, state: State | None = None) -> Tensor:
        """Waveform `[batch, frames · hop, 1]` to latent `[batch, frames, latent]`."""
        for down, units in zip(self.downs, self.units, strict=True):
            x = down(x, state)
            for unit in units:  # type: ignore[attr-defined]
                x = unit(x, state)
        x = self.last(x, state)
        latent = spectrum.to_latent(x[..., : self.config.hop])
        hidden = x[..., self.config.hop :]
        hidden = hidden / (hidden.square().mean(-1, keepdim=True) + 1e-8).sqrt()
        level = (latent.square().mean(-1, keepdim=True) + 1e-8).sqrt()
        hidden = self.inner(torch.cat([latent / spectrum.deviation, hidden], -1))
        with torch.autocast(hidden.device.type, torch.bfloat16, enabled=self.bfloat16_blocks):
            for block in self.blocks:
                hidden = block(hidden, state)
        change = torch.tanh(self.out(self.norm(hidden.float())))
        # Bounded by construction: latent and codebooks cannot drive each other to ever larger values.
        relative = spectrum.deviation / spectrum.deviation.square().mean().sqrt()
        return latent + self.config.correction * level * relative * change


class Decoder(nn.Module):
    """Latent to waveform: `[batch, frames, latent]` to `[batch, frames · hop, 1]`, one hop late."""

    #: As in `Encoder`.
    bfloat16_blocks = False

    def __init__(self, config: ModelConfig) -> None:
        """Starts as the inverse transform."""
        super().__init__()
        self.config = config
        self.inner = nn.Linear(config.latent_dim + config.hop, config.decoder_width)
        #: Added to the hidden channels: what the number of codebooks that coded a frame means for it.
        self.n_codebooks_embedding = nn.Parameter(torch.zeros(config.codebooks + 1, config.decoder_width))
        self.blocks = nn.ModuleList(
            FrameBlock(config.decoder_width, config.block_kernel, config.expansion, config.activation)
            for _ in range(config.decoder_blocks)
        )
        self.norm = nn.LayerNorm(config.decoder_width)
        self.gain = nn.Linear(config.decoder_width, config.hop)
        self.shift = nn.Linear(config.decoder_width, config.hop)
        widths = (config.hop + config.decoder_width, *reversed(config.decoder_channels))
        strides = tuple(reversed(config.strides))
        self.ups = nn.ModuleList(UpConv(a, b, s) for a, b, s in zip(widths, widths[1:], strides, strict=False))
        self.units = nn.ModuleList(
            nn.ModuleList(ResidualUnit(c, d, config.activation) for d in dilations)
            for c, dilations in zip(widths[1:], reversed(config.decoder_units), strict=True)
        )
        self.last = UpConv(widths[-1], 1, strides[-1])
        self._init_linear_codec()

    @torch.no_grad()
    def _init_linear_codec(self) -> None:
        """Make the main path the inverse transform with its overlap-add, then the inverse polyphase split."""
        hop = self.config.hop
        for layer in (self.gain, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        ups = [*self.ups, self.last]
        for index, up in enumerate(ups):
            assert isinstance(up, UpConv)
            stride, inputs = up.stride, up.linear.in_features // 2
            outputs = up.linear.out_features // stride
            kernel = up.linear.weight.view(stride, outputs, 2, inputs)
            up.linear.bias.zero_()
            if index == 0:
                main = hop // stride
                kernel[:, :main] = 0
                # Tap 0 is the frame before: its second half overlaps the first half of this one.
                basis = mdct_basis(hop).view(2, stride, main, hop)
                kernel[:, :main, 0, :hop] = basis[1]
                kernel[:, :main, 1, :hop] = basis[0]
                kernel[:, main:, :, :hop] *= 10.0  # the frame's coefficients are small beside the hidden channels
                continue
            main, before = main // stride, main
            kernel[:, :main] = 0
            for step in range(stride):
                for channel in range(main):
                    kernel[step, channel, 1, step * main + channel] = 1
            assert before == main * stride

    @torch.no_grad()
    def interpolate_untrained_embeddings(self) -> None:
        """Interpolate the embeddings of numbers of codebooks that were never trained.

        Those are zero; they become the linear interpolation of the nearest trained ones on both sides.
        """
        numbers = torch.arange(len(self.n_codebooks_embedding), device=self.n_codebooks_embedding.device)
        known = numbers[self.n_codebooks_embedding.abs().amax(1) > 0]
        if len(known) in (0, len(numbers)):
            return
        right = torch.searchsorted(known, numbers).clamp(max=len(known) - 1)
        left = (right - (known[right] > numbers).long()).clamp(min=0)
        span = (known[right] - known[left]).clamp(min=1)
        share = ((numbers - known[left]) / span).clamp(0, 1)[:, None]
        self.n_codebooks_embedding.copy_(
            torch.lerp(self.n_codebooks_embedding[known[left]], self.n_codebooks_embedding[known[right]], share)
        )

    def forward(
        self, latent: Tensor, noise: Tensor, n_codebooks: Tensor, spectrum: Spectrum, state: State | None = None
    ) -> Tensor:
        """Quantized latent to waveform.

        Args:
            latent: `[batch, frames, latent]`.
            noise: `[batch, frames, hop]`.
            n_codebooks: `[batch, frames]`: how many codebooks coded each frame.
            spectrum: the one that the latent was made with.
            state: of the stream that the frames continue; None: silence came before.

        Returns:
            `[batch, frames · hop, 1]`, one hop late.
        """
        companded = spectrum.to_spectrum(latent, noise)
        level = (companded.square().mean(-1, keepdim=True) + 1e-8).sqrt()
        hidden = self.inner(torch.cat([latent / spectrum.deviation, companded / spectrum.spread], -1))
        hidden = hidden + self.n_codebooks_embedding[n_codebooks]
        with torch.autocast(hidden.device.type, torch.bfloat16, enabled=self.bfloat16_blocks):
            for block in self.blocks:
                hidden = block(hidden, state)
        hidden = self.norm(hidden.float())
        relative = spectrum.spread / spectrum.spread.square().mean().sqrt()
        companded = companded * (1 + self.gain(hidden)) + level * relative * self.shift(hidden)
        coefficients = spectrum.to_coefficients(companded)
        loudness = (coefficients.square().mean(-1, keepdim=True) + 1e-8).sqrt()
        x = torch.cat([coefficients, hidden * loudness], -1)
        for up, units in zip(self.ups, self.units, strict=True):
            x = up(x, state)
            for unit in units:  # type: ignore[attr-defined]
                x = unit(x, state)
        out: Tensor = self.last(x, state)
        return out
