"""What a classifier may see of a clip: means and spreads over time of latents, codes, or log-mel bands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch

from nac.errors import OptionError
from nac.study.coder import Coder, load_coder
from nac.study.config import SystemConfig
from nac.study.representations import Representation
from nac.study.spectrum import Stft

if TYPE_CHECKING:
    from nac.codec import Codec

Vector = npt.NDArray[np.float32]


class Features(Protocol):
    """A name, and a vector for samples `[n]` at a rate, of the same length for all clips."""

    @property
    def name(self) -> str: ...

    def vector(self, samples: Vector, sample_rate: int) -> Vector: ...


class LogMel:
    """Log-mel bands of the sound itself: what the others are measured against."""

    def __init__(self, sample_rate: int = 16_000) -> None:
        config = SystemConfig(name="log-mel", representation="log-mel", sample_rate=sample_rate)
        self.representation, self.stft = Representation(config), Stft(config.n_fft, config.hop)
        self.name = "log-mel"

    def vector(self, samples: Vector, sample_rate: int) -> Vector:
        """`[160]`: mean and spread of 80 bands."""
        return pooled(self.representation(self.stft(torch.from_numpy(samples)[None]))[0, 0].numpy())


@dataclass
class Latents:
    """The latent of a trained system of the bench."""

    coder: Coder

    @property
    def name(self) -> str:
        return f"latent of {self.coder.system.config.name}"

    def vector(self, samples: Vector, sample_rate: int) -> Vector:
        """Mean and spread of every channel of the latent."""
        own = self.coder.samples(samples, sample_rate)
        return pooled(self.coder.system.pooled(torch.from_numpy(own)).numpy())


@dataclass
class NacCodes:
    """The latent of nac as the codes of a file at `kbps` say it."""

    codec: Codec
    kbps: int

    @property
    def name(self) -> str:
        return f"nac {self.kbps} kbps"

    def vector(self, samples: Vector, sample_rate: int) -> Vector:
        """Mean and spread of every dimension of the latent."""
        codes = self.codec.encode_codes(samples, sample_rate, self.kbps, "fast")
        with torch.no_grad():
            latent = self.codec.model.quantizer.decode(torch.from_numpy(codes[:1]))
        return pooled(latent[0].T.numpy())


def pooled(table: npt.NDArray[np.floating]) -> Vector:
    """Mean and standard deviation of each row of `[channels, positions]`, one after the other.

    >>> pooled(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [2.0, 2.0, 1.0, 0.0]
    """
    return np.concatenate([table.mean(1), table.std(1)]).astype(np.float32)


def parse_features(spec: str, sample_rate: int) -> Features:
    """Features by name: `log-mel`, `nac:KBPS`, or the folder of a trained system.

    Raises:
        OptionError: another name. WeightsError: a folder without a system.
    """
    if spec == "log-mel":
        return LogMel(sample_rate)
    if spec.split(":")[0] == "nac":
        from nac.codec import Codec

        kbps = spec.partition(":")[2] or "6"
        if not kbps.isdigit():
            raise OptionError(f"{spec!r} is not a bit rate of nac; write for example nac:6")
        return NacCodes(Codec.load(), int(kbps))
    if not Path(spec).exists():
        raise OptionError(f"{spec!r} is neither log-mel, nor nac:KBPS, nor the folder of a trained system")
    return Latents(load_coder(Path(spec)))
