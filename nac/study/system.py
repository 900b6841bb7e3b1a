"""A system of the bench: representation, network and phase put together, from samples to tables of numbers and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nac.errors import OptionError
from nac.study.autoencoders import (
    ConvAutoencoder,
    FullyConvolutional,
    Network,
    NoNetwork,
    Shape,
    TransformerAutoencoder,
    UNetAutoencoder,
    VariationalAutoencoder,
)
from nac.study.circle import OnCircle, direction
from nac.study.config import SystemConfig
from nac.study.losses import Reconstruction, StudyLoss
from nac.study.quantize import Part
from nac.study.representations import Representation
from nac.study.spectrum import Stft, griffin_lim
from nac.study.vector import VectorQuantizedAutoencoder
from nac.study.wave import STRIDE, WaveAutoencoder

NETWORKS: dict[str, Callable[[Shape, SystemConfig], Network]] = {
    "conv": ConvAutoencoder,
    "unet": UNetAutoencoder,
    "transformer": TransformerAutoencoder,
    "vae": VariationalAutoencoder,
    "vqvae": VectorQuantizedAutoencoder,
    "fully-conv": FullyConvolutional,
}
TOGETHER = 16  # chunks that go through a network at once


class System(nn.Module):
    """What all systems share. Sound is cut into chunks of `frames` · `hop` samples, each coded by itself."""

    network: Network

    def __init__(self, config: SystemConfig, shape: Shape) -> None:
        super().__init__()
        torch.manual_seed(config.seed)
        self.config, self.shape = config, shape
        self.network = _network(config, shape)
        self.objective = StudyLoss(config)
        for index, latent in enumerate(self.network.latents):
            self.register_buffer(f"low{index}", -torch.ones(latent.channels))
            self.register_buffer(f"high{index}", torch.ones(latent.channels))

    # -- what the two kinds of system do differently -------------------------------------------------------------

    @property
    def crop(self) -> int:
        """Samples of a training crop, which make exactly one chunk."""
        raise NotImplementedError

    def chunks(self, samples: int) -> int:
        """Chunks that so many samples take."""
        raise NotImplementedError

    def fit_scale(self, samples: Tensor) -> None:
        """Take the mean and spread of the features from examples `[batch, samples]`."""
        raise NotImplementedError

    def features(self, samples: Tensor) -> Tensor:
        """Crops `[batch, crop]` to features `[batch, channels, rows, frames]`."""
        raise NotImplementedError

    def reconstruct(self, samples: Tensor) -> Reconstruction:
        """Crops `[batch, crop]` through the network and back."""
        raise NotImplementedError

    def cut(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Samples `[n]` to features of all chunks, and what is transmitted beside the latents."""
        raise NotImplementedError

    def join(self, features: Tensor, beside: Sequence[Tensor], samples: int) -> Tensor:
        """The way back, to `[samples]`."""
        raise NotImplementedError

    def beside(self, samples: int, setting: int) -> list[Part]:
        """The parts of a coded file that are not latents."""
        return []

    # -- learning ------------------------------------------------------------------------------------------------

    def loss(self, samples: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and its terms for crops `[batch, crop]`."""
        out: tuple[Tensor, dict[str, Tensor]] = self.objective(self.reconstruct(samples))
        return out

    @property
    def trainable(self) -> bool:
        """Whether there is anything to learn."""
        return any(p.requires_grad for p in self.parameters())

    @torch.no_grad()
    def prepare(self, samples: Tensor) -> None:
        """Before training: scales and first codes from examples `[batch, crop]`."""
        self.fit_scale(samples)
        self.network.prepare(self.features(samples))

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """After training: the range of every channel of the latent over examples, for the "uniform" quantizer."""
        self.eval()
        ranges: dict[int, tuple[Tensor, Tensor]] = {}
        for samples in batches:
            for index, table in enumerate(self.network.encode(self.features(samples))):
                if self.network.latents[index].kind == "numbers":
                    low, high = table.amin((0, 2)), table.amax((0, 2))
                    old = ranges.get(index, (low, high))
                    ranges[index] = torch.minimum(low, old[0]), torch.maximum(high, old[1])
        for index, (low, high) in ranges.items():
            margin = 0.05 * (high - low) + 1e-3
            self.get_buffer(f"low{index}").copy_(low - margin)
            self.get_buffer(f"high{index}").copy_(high + margin)

    # -- coding --------------------------------------------------------------------------------------------------

    def parts(self, samples: int, setting: int) -> list[Part]:
        """The tables of a coded file of so many samples, at one of the config's `settings`."""
        out, chunks = [], self.chunks(samples)
        for index, latent in enumerate(self.network.latents):
            count = chunks * latent.positions
            if latent.kind == "codes":
                out.append(Part(min(setting, latent.channels), count, latent.bits, "codes"))
            elif self.config.quantizer == "max-norm":
                out.append(Part(latent.channels, count, setting, "max-norm"))
            else:
                low, high = (self.get_buffer(f"{end}{index}").numpy() for end in ("low", "high"))
                out.append(Part(latent.channels, count, setting, "uniform", (low, high)))
        return out + self.beside(samples, setting)

    @torch.no_grad()
    def analyse(self, samples: Tensor, setting: int) -> list[np.ndarray]:
        """Samples `[n]` to the tables `[channels, count]` of `parts`."""
        features, beside = self.cut(samples)
        tables = [self.network.encode(part) for part in torch.split(features, TOGETHER)]
        out = []
        for index, latent in enumerate(self.network.latents):
            whole = torch.cat([table[index] for table in tables])
            if latent.kind == "codes":
                whole = whole[:, :setting]
            out.append(whole.transpose(0, 1).flatten(1).numpy())
        return out + [table.numpy() for table in beside]

    @torch.no_grad()
    def synthesise(self, tables: Sequence[np.ndarray], samples: int) -> Tensor:
        """The tables back to samples `[samples]`."""
        count, chunks = len(self.network.latents), self.chunks(samples)
        latents = [
            torch.unflatten(torch.from_numpy(table), 1, (chunks, -1)).transpose(0, 1) for table in tables[:count]
        ]
        pieces = zip(*(torch.split(table, TOGETHER) for table in latents), strict=True)
        parts = [self.network.decode(piece) for piece in pieces]
        return self.join(torch.cat(parts), [torch.from_numpy(table) for table in tables[count:]], samples)

    @torch.no_grad()
    def pooled(self, samples: Tensor) -> Tensor:
        """Latents `[channels, positions]` over all chunks of samples `[n]`, as a classifier may use them."""
        features, _ = self.cut(samples)
        return (
            torch.cat([self.network.pooled(part) for part in torch.split(features, TOGETHER)])
            .transpose(0, 1)
            .flatten(1)
        )

    @property
    def latent_numbers(self) -> int:
        """Numbers or codes that a chunk becomes, the phase not counted."""
        return sum(latent.channels * latent.positions for latent in self.network.latents)

    @property
    def compression(self) -> float:
        """Size of the network's input over that of its latent, both in numbers."""
        return float(np.prod(self.shape)) / self.latent_numbers


class SpectralSystem(System):
    """Frames of an STFT in, frames out; the phase transmitted, predicted, or found by Griffin–Lim."""

    def __init__(self, config: SystemConfig) -> None:
        representation = Representation(config)
        super().__init__(config, (representation.channels, representation.rows, config.frames))
        self.representation = representation
        self.stft = Stft(config.n_fft, config.hop)

    @property
    def crop(self) -> int:
        return (self.config.frames - 1) * self.config.hop

    def chunks(self, samples: int) -> int:
        return -(-self.stft.frames(samples) // self.config.frames)

    def fit_scale(self, samples: Tensor) -> None:
        self.representation.fit(self.stft(samples))

    def features(self, samples: Tensor) -> Tensor:
        out: Tensor = self.representation(self.stft(samples))
        return out

    def reconstruct(self, samples: Tensor) -> Reconstruction:
        spectrum = self.stft(samples)
        target = self.representation(spectrum)
        estimate, penalty = self.network(target)
        # Of "complex" features only the magnitude: a difference of phases that ignores the circle teaches nothing.
        made = Reconstruction(target[:, :1], estimate[:, :1], samples, penalty=penalty)
        # A phase that is not predicted is the true one here: the decoder has it, or finds its own.
        phase = torch.polar(torch.ones_like(spectrum.real), spectrum.angle())
        if self.config.representation == "complex":
            predicted, weight = direction(estimate), spectrum.abs()
            error = (1 - (predicted * phase.conj()).real) * weight
            made.phase = (error.mean((1, 2)) / (weight.mean((1, 2)) + 1e-6)).mean()
            phase = predicted if self.config.phase == "predicted" else phase
        if self.objective.needs_samples:
            made.output = self.stft.inverse(self.representation.magnitude(estimate) * phase, samples.shape[-1])
        return made

    def cut(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        spectrum = self.stft(samples[None])
        frames = self.config.frames
        padded = nn.functional.pad(spectrum, (0, -spectrum.shape[-1] % frames))
        features = self.representation(torch.unflatten(padded[0], 1, (-1, frames)).transpose(0, 1))
        return features, [spectrum[0].angle()] if self.config.phase == "transmitted" else []

    def join(self, features: Tensor, beside: Sequence[Tensor], samples: int) -> Tensor:
        def in_line(x: Tensor) -> Tensor:
            return x.transpose(0, 1).flatten(1)[None, :, : self.stft.frames(samples)]

        magnitude = in_line(self.representation.magnitude(features))
        if self.config.phase == "griffin-lim":
            return griffin_lim(self.stft, magnitude, samples)[0]
        angle = beside[0][None] if beside else in_line(direction(features).angle())
        return self.stft.inverse(torch.polar(magnitude, angle), samples)[0]

    def beside(self, samples: int, setting: int) -> list[Part]:
        if self.config.phase != "transmitted":
            return []
        bits = self.config.phase_bits or (setting if self.config.architecture != "vqvae" else 8)
        return [Part(self.config.n_fft // 2 + 1, self.stft.frames(samples), bits, "cyclic")]


class WaveSystem(System):
    """Samples in, samples out."""

    level: Tensor

    def __init__(self, config: SystemConfig) -> None:
        super().__init__(config, (1, 1, config.frames * config.hop))
        self.register_buffer("level", torch.ones(()))

    @property
    def crop(self) -> int:
        return self.shape[2]

    def chunks(self, samples: int) -> int:
        return max(1, -(-samples // self.crop))

    def fit_scale(self, samples: Tensor) -> None:
        self.level.copy_(samples.std().clamp(min=1e-4))

    def features(self, samples: Tensor) -> Tensor:
        return (samples / self.level)[:, None, None]

    def reconstruct(self, samples: Tensor) -> Reconstruction:
        target = self.features(samples)
        estimate, penalty = self.network(target)
        return Reconstruction(target, estimate, samples, estimate[:, 0, 0] * self.level, penalty)

    def cut(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        padded = nn.functional.pad(samples, (0, self.chunks(len(samples)) * self.crop - len(samples)))
        return self.features(torch.unflatten(padded, 0, (-1, self.crop))), []

    def join(self, features: Tensor, beside: Sequence[Tensor], samples: int) -> Tensor:
        return (features[:, 0, 0] * self.level).flatten()[:samples]


def make_system(config: SystemConfig) -> System:
    """An untrained system, the same for the same config.

    Raises:
        OptionError: sizes that do not fit each other.
    """
    return WaveSystem(config) if config.representation == "waveform" else SpectralSystem(config)


def _network(config: SystemConfig, shape: Shape) -> Network:
    if config.architecture == "none":
        return NoNetwork(shape)
    if config.representation == "waveform":
        if shape[2] % STRIDE ** len(config.channels):
            raise OptionError(
                f"{config.name}: chunks of {shape[2]} samples cannot be divided by four "
                f"{len(config.channels)} times; give fewer channels or another hop"
            )
        return WaveAutoencoder(shape, config)
    if config.representation == "complex":
        return OnCircle(NETWORKS[config.architecture]((3, *shape[1:]), config))
    return NETWORKS[config.architecture](shape, config)
