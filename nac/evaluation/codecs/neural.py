"""EnCodec and DAC at 24 kHz, where their packages and weights are on this machine already.

Both packages fetch weights when asked for a model by name, which is never done here: only files that are found in the
places where the packages keep them (or in the folder named by an environment variable) are loaded.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nac.arrays import Samples
from nac.errors import OptionError
from nac.evaluation.clips import mono, same_rate
from nac.evaluation.codecs.base import Codec, file_hash

RATE = 24000  # Hz, of both models
DAC_CODE_BITS = 10
_DAC_HEADER = struct.Struct(">III")  # codebooks, frames, samples


@dataclass(frozen=True)
class Encodec:
    """EnCodec's 24 kHz model, without its entropy coder: the size is that of the `.ecdc` file it writes."""

    name: str = "encodec"
    rates: tuple[float, ...] = (1.5, 3, 6, 12, 24)
    lossless: bool = False

    def weights(self) -> Path | None:
        """The checkpoint in torch hub's cache, or in $NAC_ENCODEC_WEIGHTS."""
        hub = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch")) / "hub" / "checkpoints"
        return _first("NAC_ENCODEC_WEIGHTS", hub, "encodec_24khz-*.th")

    def missing(self) -> str | None:
        return _missing("encodec", self.weights(), "NAC_ENCODEC_WEIGHTS")

    def identity(self) -> str:
        return _identity("encodec", self.weights())

    def prepare(self) -> None:
        _load_encodec(self.weights())

    def encode(self, audio: Samples, sample_rate: int, kbps: float, folder: Path) -> bytes:
        if kbps not in self.rates:
            raise OptionError(f"encodec codes at {', '.join(f'{rate:g}' for rate in self.rates)} kbps, not {kbps:g}")
        import torch

        compress_to_file = import_module("encodec.compress").compress_to_file
        model = _load_encodec(self.weights())
        model.set_target_bandwidth(kbps)
        out = io.BytesIO()
        with torch.inference_mode():
            compress_to_file(model, torch.from_numpy(same_rate(mono(audio), sample_rate, RATE)), out, use_lm=False)
        return out.getvalue()

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Samples, int]:
        import torch

        binary = import_module("encodec.binary")
        model = _load_encodec(self.weights())
        stream = io.BytesIO(data)
        header = binary.read_ecdc_header(stream)
        codebooks, length = int(header["nc"]), int(header["al"])
        frames = -(-length // model.encoder.hop_length)
        unpacker = binary.BitUnpacker(model.bits_per_codebook, stream)
        codes = np.array([[unpacker.pull() for _ in range(codebooks)] for _ in range(frames)], dtype=np.int64)
        with torch.inference_mode():
            decoded = model.decode([(torch.from_numpy(codes.T.copy())[None], None)])[0, :, :length]
        return np.asarray(decoded.numpy(), dtype=np.float32), RATE


@dataclass(frozen=True)
class Dac:
    """The Descript Audio Codec's 24 kHz model. Its own files hold 16 bits a code; counted are 10, as it needs."""

    name: str = "dac"
    rates: tuple[float, ...] = (1.5, 3, 6, 12, 24)
    lossless: bool = False

    def weights(self) -> Path | None:
        """The checkpoint in the package's cache, or in $NAC_DAC_WEIGHTS."""
        return _first("NAC_DAC_WEIGHTS", Path.home() / ".cache" / "descript" / "dac", "weights_24khz*.pth")

    def missing(self) -> str | None:
        return _missing("dac", self.weights(), "NAC_DAC_WEIGHTS")

    def identity(self) -> str:
        return _identity("descript-audio-codec", self.weights())

    def prepare(self) -> None:
        _load_dac(self.weights())

    def encode(self, audio: Samples, sample_rate: int, kbps: float, folder: Path) -> bytes:
        import torch

        model = _load_dac(self.weights())
        per_codebook = RATE / model.hop_length * DAC_CODE_BITS / 1000
        codebooks = round(kbps / per_codebook)
        if not 1 <= codebooks <= model.n_codebooks:
            raise OptionError(f"dac codes at multiples of {per_codebook:g} kbps, not at {kbps:g}")
        signal = torch.from_numpy(same_rate(mono(audio), sample_rate, RATE))[None]
        with torch.inference_mode():
            codes = model.encode(model.preprocess(signal, RATE), n_quantizers=codebooks)[1][0].numpy()
        bits = (codes.T.reshape(-1, 1) >> np.arange(DAC_CODE_BITS - 1, -1, -1)) & 1
        packed = np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()
        return _DAC_HEADER.pack(codebooks, codes.shape[1], signal.shape[-1]) + packed

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Samples, int]:
        import torch

        model = _load_dac(self.weights())
        codebooks, frames, samples = _DAC_HEADER.unpack_from(data)
        bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=_DAC_HEADER.size))
        table = bits[: codebooks * frames * DAC_CODE_BITS].reshape(frames, codebooks, DAC_CODE_BITS).astype(np.int64)
        codes = (table << np.arange(DAC_CODE_BITS - 1, -1, -1)).sum(axis=2).T
        with torch.inference_mode():
            latent = model.quantizer.from_codes(torch.from_numpy(codes.copy())[None])[0]
            decoded = model.decode(latent)[0, :, :samples]
        return np.asarray(decoded.numpy(), dtype=np.float32), RATE


NEURAL: dict[str, Codec] = {"encodec": Encodec(), "dac": Dac()}


def _first(variable: str, folder: Path, pattern: str) -> Path | None:
    named = os.environ.get(variable)
    if named:
        return Path(named) if Path(named).is_file() else None
    return next(iter(sorted(folder.rglob(pattern))), None) if folder.is_dir() else None


def _missing(package: str, weights: Path | None, variable: str) -> str | None:
    if find_spec(package) is None:
        return f"the package {package} is not installed"
    if weights is None:
        return f"its weights are not on this machine (name the file in ${variable})"
    return None


def _identity(package: str, weights: Path | None) -> str:
    try:
        installed = version(package)
    except PackageNotFoundError:
        installed = "missing"
    return f"{package} {installed} {file_hash(weights) if weights else 'no weights'}"


@lru_cache(maxsize=1)
def _load_encodec(path: Path | None) -> Any:
    import torch

    model = import_module("encodec").EncodecModel.encodec_model_24khz(pretrained=False)
    model.load_state_dict(torch.load(str(path), map_location="cpu", weights_only=True))
    model.name = "encodec_24khz"  # set only when the package itself fetches the weights; files need it
    return model.eval()


@lru_cache(maxsize=1)
def _load_dac(path: Path | None) -> Any:
    return import_module("dac").DAC.load(str(path)).eval()
