"""Networks that squeeze a chunk of features through a latent and rebuild it.

All take features `[batch, channels, rows, frames]`. What `encode` gives is all that the decoder gets, and so all that
counts as bit rate: skip connections too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nac.errors import OptionError
from nac.study.config import SystemConfig

Shape = tuple[int, int, int]  # channels, rows, frames


@dataclass(frozen=True)
class Latent:
    """One table that is transmitted: `channels` by `positions` for each chunk; numbers, or codes of so many bits."""

    channels: int
    positions: int
    kind: Literal["numbers", "codes"] = "numbers"
    bits: int = 0


class Network(nn.Module):
    """What the networks have in common. `latents` says what `encode` gives, `[batch, channels, positions]` each."""

    latents: tuple[Latent, ...]

    def prepare(self, features: Tensor) -> None:
        """Take a start from example features, once, before training."""

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features to the tables that are transmitted."""
        raise NotImplementedError

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        """The tables back to features."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features rebuilt, and a penalty on the latent to be added to the loss, if there is one."""
        return self.decode(self.encode(x)), None

    def pooled(self, x: Tensor) -> Tensor:
        """The numbers of the first table `[batch, channels, positions]`: what a classifier sees of the latent."""
        return self.encode(x)[0]


class NoNetwork(Network):
    """The features themselves, transmitted whole: what quantizing and inverting them costs without any network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.latents = (Latent(shape[0] * shape[1], shape[2]),)

    def encode(self, x: Tensor) -> list[Tensor]:
        return [x.flatten(1, 2)]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        return torch.unflatten(tables[0], 1, self.shape[:2])


class Encoder2d(nn.Module):
    """Stride-2 convolutions, kernel 3; `sizes` are rows and frames of the input and after each step."""

    def __init__(self, inputs: int, channels: Sequence[int], rows: int, frames: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise((inputs, *channels)))
        self.sizes = [(rows, frames)]
        for _ in channels:
            rows, frames = -(-rows // 2), -(-frames // 2)
            self.sizes.append((rows, frames))

    def forward(self, x: Tensor) -> list[Tensor]:
        """What every step gives, the last one last."""
        out = []
        for step in self.steps:
            x = F.gelu(step(x))
            out.append(x)
        return out


class Decoder2d(nn.Module):
    """The encoder's mirror image: transposed convolutions back through the same sizes.

    `skips[i]` more channels come in from outside before step i.
    """

    def __init__(
        self, outputs: int, channels: Sequence[int], sizes: Sequence[tuple[int, int]], skips: Sequence[int] = ()
    ) -> None:
        super().__init__()
        widths, more = [*reversed(channels), outputs], [*skips, *[0] * len(channels)]
        self.steps = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise(widths)):
            small, large = sizes[-1 - i], sizes[-2 - i]
            # Without extra rows a transposed convolution makes 2n - 1 of n.
            extra = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
            self.steps.append(nn.ConvTranspose2d(a + more[i], b, 3, stride=2, padding=1, output_padding=extra))

    def forward(self, x: Tensor, skips: Sequence[Tensor | None] = ()) -> Tensor:
        for i, step in enumerate(self.steps):
            skip = skips[i] if i < len(skips) else None
            x = step(x if skip is None else torch.cat([x, skip], 1))
            if i + 1 < len(self.steps):
                x = F.gelu(x)
        return x


class ConvAutoencoder(Network):
    """Stride-2 convolutions, one linear layer to the latent, one back, transposed convolutions."""

    def __init__(self, shape: Shape, config: SystemConfig, latent: int | None = None) -> None:
        super().__init__()
        self.encoder = Encoder2d(shape[0], config.channels, *shape[1:])
        self.inner = (config.channels[-1], *self.encoder.sizes[-1])
        size = self.inner[0] * self.inner[1] * self.inner[2]
        if size * (latent or config.latent) > 1 << 28:
            raise OptionError(
                f"{config.name}: a linear layer of {size} to {latent or config.latent} numbers is too "
                "large; take shorter chunks, a smaller latent or more steps (channels)"
            )
        self.to_latent = nn.Linear(size, latent or config.latent)
        self.from_latent = nn.Linear(config.latent, size)
        self.decoder = Decoder2d(shape[0], config.channels, self.encoder.sizes)
        self.latents = (Latent(config.latent, 1),)

    def encode(self, x: Tensor) -> list[Tensor]:
        return [self.to_latent(self.encoder(x)[-1].flatten(1))[..., None]]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        inner = torch.unflatten(F.gelu(self.from_latent(tables[0][..., 0])), 1, self.inner)
        x: Tensor = self.decoder(inner)
        return x


class UNetAutoencoder(ConvAutoencoder):
    """The same with skip connections, each squeezed to `skip_channels` channels that are transmitted like the latent.

    A U-Net whose skips go past the bottleneck uncounted only copies its input; here they cost what they carry.
    """

    def __init__(self, shape: Shape, config: SystemConfig) -> None:
        super().__init__(shape, config)
        width, inner = config.skip_channels, list(reversed(config.channels[:-1])) if config.skip_channels else []
        self.squeeze = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in inner)
        self.stretch = nn.ModuleList(nn.Conv2d(width, channels, 1) for channels in inner)
        self.sizes = self.encoder.sizes[-2:0:-1] if inner else []
        self.decoder = Decoder2d(shape[0], config.channels, self.encoder.sizes, [0, *inner])
        self.latents = (Latent(config.latent, 1), *(Latent(width, rows * frames) for rows, frames in self.sizes))

    def encode(self, x: Tensor) -> list[Tensor]:
        steps = self.encoder(x)
        skips = [squeeze(step).flatten(2) for squeeze, step in zip(self.squeeze, steps[-2::-1], strict=False)]
        return [self.to_latent(steps[-1].flatten(1))[..., None], *skips]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        x = torch.unflatten(F.gelu(self.from_latent(tables[0][..., 0])), 1, self.inner)
        skips = [
            stretch(torch.unflatten(table, 2, size))
            for stretch, table, size in zip(self.stretch, tables[1:], self.sizes, strict=True)
        ]
        out: Tensor = self.decoder(x, [None, *skips])
        return out


class VariationalAutoencoder(ConvAutoencoder):
    """The encoder gives mean and log variance; training samples between them, coding transmits the mean."""

    def __init__(self, shape: Shape, config: SystemConfig) -> None:
        super().__init__(shape, config, 2 * config.latent)
        self.weight = config.kl

    def encode(self, x: Tensor) -> list[Tensor]:
        return [self.moments(x)[0][..., None]]

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, `[batch, latent]` each."""
        mean, spread = self.to_latent(self.encoder(x)[-1].flatten(1)).chunk(2, 1)
        return mean, spread.clamp(-10.0, 10.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        mean, spread = self.moments(x)
        sampled = mean + (torch.randn_like(mean) * (spread / 2).exp() if self.training else 0.0)
        divergence = 0.5 * (mean.square() + spread.exp() - spread - 1).mean()
        return self.decode([sampled[..., None]]), self.weight * divergence


class TransformerAutoencoder(Network):
    """Groups of four frames as tokens; attention over the chunk; an even share of the latent for each token."""

    group, width, layers = 4, 128, 3

    def __init__(self, shape: Shape, config: SystemConfig) -> None:
        super().__init__()
        self.shape = shape
        tokens = shape[2] // self.group
        if config.latent % tokens:
            raise OptionError(
                f"{config.name}: latent {config.latent} cannot be shared by {tokens} tokens; "
                f"give a multiple of {tokens}"
            )
        size = shape[0] * shape[1] * self.group
        share = config.latent // tokens
        self.read, self.write = nn.Linear(size, self.width), nn.Linear(self.width, size)
        self.to_latent, self.from_latent = nn.Linear(self.width, share), nn.Linear(share, self.width)
        self.places = nn.Parameter(0.02 * torch.randn(2, tokens, self.width))
        self.encoder, self.decoder = self._stack(), self._stack()
        self.latents = (Latent(share, tokens),)

    def _stack(self) -> nn.TransformerEncoder:
        layer = nn.TransformerEncoderLayer(
            self.width, 4, 2 * self.width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        return nn.TransformerEncoder(layer, self.layers, enable_nested_tensor=False)

    def encode(self, x: Tensor) -> list[Tensor]:
        tokens = torch.unflatten(x, 3, (-1, self.group)).permute(0, 3, 1, 2, 4).flatten(2)
        return [self.to_latent(self.encoder(self.read(tokens) + self.places[0])).transpose(1, 2)]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        tokens = self.write(self.decoder(self.from_latent(tables[0].transpose(1, 2)) + self.places[1]))
        return torch.unflatten(tokens, 2, (*self.shape[:2], self.group)).permute(0, 2, 3, 1, 4).flatten(3)


class FullyConvolutional(Network):
    """No linear layer: the latent keeps rows and frames, each halved once for every step, and few channels.

    A residual block works at the bottom, on either side of the latent. On "complex" features this is the autoencoder
    of complex spectra: log magnitude and phase in, both predicted (see `nac.study.circle`).
    """

    def __init__(self, shape: Shape, config: SystemConfig) -> None:
        super().__init__()
        width = config.channels[-1]
        self.encoder = Encoder2d(shape[0], config.channels, *shape[1:])
        self.above, self.below = Residual2d(width), Residual2d(width)
        self.to_latent = nn.Conv2d(width, config.latent_channels, 1)
        self.from_latent = nn.Conv2d(config.latent_channels, width, 1)
        self.decoder = Decoder2d(shape[0], config.channels, self.encoder.sizes)
        self.size = self.encoder.sizes[-1]
        self.latents = (Latent(config.latent_channels, self.size[0] * self.size[1]),)

    def encode(self, x: Tensor) -> list[Tensor]:
        return [self.to_latent(self.above(self.encoder(x)[-1])).flatten(2)]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.decoder(self.below(self.from_latent(torch.unflatten(tables[0], 2, self.size))))
        return x


class Residual2d(nn.Module):
    """Two convolutions of kernel 3 beside a straight line; starts as the line alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.gelu(self.first(F.gelu(x))))
        return out
