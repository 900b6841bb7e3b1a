"""Weights files: safetensors with the config inside. No pickle, nothing downloaded."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nac.errors import WeightsError
from nac.files import replacing
from nac.models.config import ModelConfig
from nac.models.model import NacModel

#: Largest weights file that is opened.
LIMIT = 1 << 30
_CODES, _STEPS = "quantizer.codes", "quantizer.steps"


def fingerprint(codes: Tensor, steps: Tensor) -> int:
    """Number that names the codebooks: the first 4 bytes of the SHA-256 of the int8 codes `[stages, size, latent]`
    and their little-endian float32 steps `[stages]`."""
    digest = hashlib.sha256(codes.contiguous().numpy().tobytes())
    digest.update(steps.numpy().astype("<f4").tobytes())
    return int(struct.unpack(">I", digest.digest()[:4])[0])


def quantize_codebooks(codebooks: Tensor) -> tuple[Tensor, Tensor]:
    """Codebooks to int8 with one step a stage. The rounding is some 45 dB below a code: far less than what the stage
    leaves uncoded, and it makes the codebooks the same numbers everywhere."""
    steps = codebooks.abs().amax((1, 2)).clamp(min=1e-12) / 127
    return (codebooks / steps[:, None, None]).round().clamp(-127, 127).to(torch.int8), steps


def save_model(model: NacModel, path: Path, *, generation: int, notes: dict[str, str] | None = None) -> int:
    """Write the weights as float16, the codebooks as int8; returns the fingerprint. Replaces `path` in one step.

    Raises:
        WeightsError: a weight is not finite.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{name} is not finite; these weights are not worth saving")
        if name != "quantizer.codebooks":
            small = name.startswith("spectrum.")
            tensors[name] = value.detach().cpu().to(torch.float32 if small else torch.float16).contiguous()
    codes, steps = quantize_codebooks(model.quantizer.codebooks.cpu())
    tensors |= {_CODES: codes.contiguous(), _STEPS: steps}
    number = fingerprint(codes, steps)
    metadata = {"format": "nac-weights-1", "config": model.config.to_json(), "fingerprint": f"{number:08x}",
                "generation": str(generation), **(notes or {})}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return number


def load_model(path: Path) -> tuple[NacModel, dict[str, str]]:
    """Read weights; returns the model, on the CPU and in evaluation mode, and the file's metadata.

    Raises:
        WeightsError: the file is missing, is no weights file, or its tensors do not fit its config.
    """
    if not path.is_file():
        raise WeightsError(f"weights {path} not found; give a .safetensors file made by scripts/train.py")
    if path.stat().st_size > LIMIT:
        raise WeightsError(f"weights {path} are larger than {LIMIT >> 20} MiB; these are no nac weights")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            if metadata.get("format") != "nac-weights-1":
                raise WeightsError(f"{path} holds no nac weights of this version; use weights made for it")
            config = ModelConfig.from_json(metadata.get("config", ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is no readable weights file ({str(error).splitlines()[0]})") from error
    # Not on the "meta" device, which would save the random start but imports a second's worth of torch.
    model = NacModel(config)
    _fill(model, tensors, path)
    if metadata.get("fingerprint") != f"{fingerprint(tensors[_CODES], tensors[_STEPS]):08x}":
        raise WeightsError(f"the codebooks in {path} do not match their fingerprint; the file is damaged")
    return model.eval(), metadata


def _fill(model: NacModel, tensors: dict[str, Tensor], path: Path) -> None:
    config = model.config
    shape = (config.codebooks, config.codebook_size, config.latent_dim)
    codes, steps = tensors.get(_CODES), tensors.get(_STEPS)
    if codes is None or steps is None or codes.dtype != torch.int8 or steps.dtype != torch.float32 \
            or codes.shape != shape or steps.shape != shape[:1]:
        raise WeightsError(f"{path} lacks the codebooks its config describes; the file is damaged")
    own = model.state_dict()
    own.pop("quantizer.codebooks")
    for name, slot in own.items():
        value = tensors.get(name)
        if value is None or value.shape != slot.shape:
            raise WeightsError(f"{path} lacks {name} of shape {list(slot.shape)}; the file is damaged")
        slot.copy_(value)
    model.quantizer.codebooks.copy_(codes.float() * steps[:, None, None])
    for value in (steps, *own.values()):
        if not np.isfinite(float(value.sum())):
            raise WeightsError(f"{path} holds weights that are not finite; use other weights")
