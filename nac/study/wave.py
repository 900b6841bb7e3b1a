"""The waveform autoencoder: strided convolutions in time, made of the codec's own layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from nac.models.layers import CausalConv, DownConv, ResidualUnit, UpConv
from nac.study.autoencoders import Latent, Network, Shape
from nac.study.config import SystemConfig

STRIDE = 4


class WaveAutoencoder(Network):
    """Samples as features `[batch, 1, 1, samples]`; each width of `channels` divides the rate by four.

    The latent has as many channels as share the chunk's `latent` numbers among its steps, at least one.
    """

    def __init__(self, shape: Shape, config: SystemConfig) -> None:
        super().__init__()
        widths = (1, *config.channels)
        steps = shape[2] // STRIDE ** len(config.channels)
        inner = max(1, config.latent // steps)
        self.encoder = nn.Sequential(
            *(
                layer
                for a, b in pairwise(widths)
                for layer in (DownConv(a, b, STRIDE), ResidualUnit(b, 1, "elu"), ResidualUnit(b, 3, "elu"))
            )
        )
        self.to_latent, self.from_latent = CausalConv(widths[-1], inner, 3), CausalConv(inner, widths[-1], 3)
        self.decoder = nn.Sequential(
            *(
                layer
                for a, b in pairwise(reversed(widths[1:]))
                for layer in (UpConv(a, b, STRIDE), ResidualUnit(b, 1, "elu"), ResidualUnit(b, 3, "elu"))
            ),
            UpConv(widths[1], 1, STRIDE),
        )
        self.latents = (Latent(inner, steps),)

    def encode(self, x: Tensor) -> list[Tensor]:
        return [self.to_latent(self.encoder(x[:, 0].transpose(1, 2))).transpose(1, 2)]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.decoder(self.from_latent(tables[0].transpose(1, 2)))
        return x.transpose(1, 2)[:, None]
