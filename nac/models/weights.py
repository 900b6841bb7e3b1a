"""Weights files: safetensors with the config inside. No pickle, nothing downloaded.

Weights are float16, but for these:

- The matrices of the decoders, except the inverse transform's, and the codebooks are int8 times a float32 step for each
  row (each codebook). A tensor `name` is then two, `name.codes` and `name.steps`; of codebooks the word itself is left
  out of the name.
- Codebooks of the voice model are so stored only if that changes them little, else as float16.
- What else decides the codes of voices, and the statistics of the general model's spectrum, are float32.

This is format 2. Files of format 1, whose decoders are float16 and codebooks int8, are read as well.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nac.errors import WeightsError
from nac.files import replacing
from nac.models.config import ModelConfig, VoiceConfig
from nac.models.int8 import dequantize, quantize, relative_error
from nac.models.model import NacModel
from nac.models.voice.refinement import SPECTRAL_VALUES

#: Largest weights file that is opened.
MAX_FILE_BYTES = 1 << 30
#: Longest config, most layers of a kind, and largest dilation that are accepted. All are far beyond any use.
MAX_CONFIG, MAX_LAYERS, MAX_DILATION = 1 << 16, 256, 4096
_FORMATS = ("nac-weights-1", "nac-weights-2")
_CODEBOOKS = ".codebooks"
_GENERAL, _CODES, _STEPS = "quantizer.codebooks", "quantizer.codes", "quantizer.steps"
#: Beginnings of the names of the networks whose matrices are stored as int8. They come after the codes: nothing that
#: decides which code is chosen is among them.
_INT8_NETWORKS = ("decoder.", "voice.control.", "voice.refinement.")
#: But for these, through which the sound itself passes: an error of theirs is heard where the sound has no power.
_MAIN_PATH = ("decoder.ups.", "decoder.last.")
#: Power of the error in a codebook of the voice model, over that of the codebook, up to which it is stored as int8.
_MAX_CODEBOOK_ERROR = 10**-4.5
#: Beginnings of the names of tensors that decide what the codes of voices mean.
VOICE_CODES = ("voice.quantizer.", "voice.low_band.", "voice.spectrum.")
#: Names of tensors in weights files, and in checkpoints of earlier versions, where parameters are called otherwise now.
FILE_NAMES = {"decoder.n_codebooks_embedding": "decoder.rate"}


def parameter_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict, of this or an earlier version, with the names that parameters have now."""
    now = {old: new for new, old in FILE_NAMES.items()}
    return {now.get(name, name): value for name, value in state.items()}


def fingerprint(tensors: Mapping[str, Tensor]) -> int:
    """Number that identifies what decides the codes' meaning: the first 4 bytes of a SHA-256 over its tensors.

    These are the codebooks and, in a model with voices, what their envelope is predicted and scaled by.

    Args:
        tensors: of a weights file, by name. Numbers are hashed as little-endian bytes, the general model's codebooks
            first, then others in the order of their names.
    """
    digest = hashlib.sha256()
    names = (_CODES, _STEPS, *sorted(name for name in tensors if name.startswith(VOICE_CODES)))
    for name in names:
        value = tensors[name].contiguous().numpy()
        digest.update(value.astype(value.dtype.newbyteorder("<")).tobytes())
    return int(struct.unpack(">I", digest.digest()[:4])[0])


def _stem(name: str) -> str:
    """What the names of a parameter's tensors in a file begin with."""
    return FILE_NAMES.get(name, name).removesuffix(_CODEBOOKS)


def _may_be_int8(name: str, value: Tensor) -> bool:
    """Whether a file may hold a parameter as int8."""
    network = name.startswith(_INT8_NETWORKS) and not name.startswith(_MAIN_PATH)
    return name.endswith(_CODEBOOKS) or (network and value.ndim > 1)


def _to_file(name: str, value: Tensor) -> dict[str, Tensor]:
    """The tensors that hold a parameter in a file."""
    int8 = _may_be_int8(name, value)
    if name.endswith(_CODEBOOKS) and name != _GENERAL:
        # Of what float16 keeps, so that codebooks stored as that are judged the same when they are saved again.
        int8 = bool((relative_error(value.half().float()) <= _MAX_CODEBOOK_ERROR).all())
    if int8:
        codes, steps = quantize(value)
        return {f"{_stem(name)}.codes": codes.contiguous(), f"{_stem(name)}.steps": steps}
    wide = name.startswith(("spectrum.", *VOICE_CODES)) and not name.endswith(_CODEBOOKS)
    return {FILE_NAMES.get(name, name): value.to(torch.float32 if wide else torch.float16).contiguous()}


def save_model(model: NacModel, path: Path, *, generation: int, notes: dict[str, str] | None = None) -> int:
    """Write a weights file of the newest format. Replaces `path` in one step.

    The same weights, generation and notes make the same bytes, also if they were loaded from such a file.

    Args:
        model: on any device.
        path: of the new file.
        generation: of the training that made the model, from 0 on.
        notes: more metadata.

    Returns:
        The fingerprint of the codebooks.

    Raises:
        WeightsError: a weight is not finite, or too large for float16.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{name} is not finite; these weights are not worth saving")
        stored = _to_file(name, value.detach().cpu())
        if not all(torch.isfinite(tensor).all() for tensor in stored.values()):
            raise WeightsError(f"{name} is too large for a weights file; these weights are not worth saving")
        tensors |= stored
    number = fingerprint(tensors)
    metadata = {
        "format": _FORMATS[-1],
        "config": model.config.to_json(),
        "fingerprint": f"{number:08x}",
        "generation": str(generation),
        **(notes or {}),
    }
    with replacing(path) as temporary:
        Path(temporary).write_bytes(_serialize(tensors, metadata))
    return number


def _serialize(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file. The library writes the metadata in any order; sorted, the same weights are the same bytes."""
    data = save(tensors, metadata)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
    return struct.pack("<Q", len(text)) + text + data[start:]


def load_model(path: Path) -> tuple[NacModel, dict[str, str]]:
    """Read a weights file.

    Takes memory in proportion to the size of the file, whatever its header claims.

    Args:
        path: of a `.safetensors` file that `save_model` wrote.

    Returns:
        The model, on the CPU and in evaluation mode, and the file's metadata.

    Raises:
        WeightsError: the file is missing, is not a weights file, or its tensors do not fit its config.
    """
    if not path.is_file():
        raise WeightsError(f"weights {path} not found; give the .safetensors file of a trained model")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise WeightsError(f"weights {path} are larger than {MAX_FILE_BYTES >> 20} MiB; this is not a nac weights file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            if metadata.get("format") not in _FORMATS:
                raise WeightsError(f"{path} does not hold nac weights of this version; use weights made for it")
            generation = metadata.get("generation", "0")
            if not (generation.isascii() and generation.isdigit() and len(generation) <= 18):
                raise WeightsError(f"{path} has a generation that is not a number; the file is damaged")
            model = _build_model(metadata.get("config", ""), size, path)
            number = _load_tensors(model, file, path)
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is not a readable weights file ({_first_line(error)})") from error
    if metadata.get("fingerprint") != f"{number:08x}":
        raise WeightsError(f"the codebooks in {path} do not match their fingerprint; the file is damaged")
    return model.eval(), metadata


def _build_model(text: str, size: int, path: Path) -> NacModel:
    """Build the model that the config describes, if a file of `size` bytes can hold it."""
    try:
        if len(text) > MAX_CONFIG:
            raise WeightsError(f"the description of the model in {path} is too long; the file is damaged")
        config = ModelConfig.from_json(text)
        _check_values(config)
        # Every parameter takes one or two bytes of the file; the factor of 2 allows for the estimate's error.
        if estimated_parameters(config) > 2 * size:
            raise WeightsError(f"{path} describes a model that is larger than the file; the file is damaged")
        # Not on the "meta" device, which would save the random start but imports a second's worth of torch.
        return NacModel(config)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # an absurd value may fail anywhere in the construction
        raise WeightsError(f"{path} describes a model that cannot be built ({_first_line(error)})") from error


def _check_values(config: ModelConfig) -> None:
    """Check the types and ranges that `ModelConfig.validate` takes for granted."""
    blocks = (config.encoder_blocks, config.decoder_blocks, len(config.strides))
    units = [dilations for rates in (config.encoder_units, config.decoder_units) for dilations in rates]
    dilations = [dilation for unit in units for dilation in unit]
    sizes = (
        config.sample_rate,
        *blocks,
        config.encoder_width,
        config.decoder_width,
        config.block_kernel,
        config.expansion,
        config.codebooks,
        config.codebook_size,
        *config.strides,
        *config.encoder_channels,
        *config.decoder_channels,
        *config.band_edges,
        *(number for layer in config.layers for number in layer),
        *dilations,
    )
    levels = (config.companding, config.energy_scale, config.correction)
    ok = (
        all(type(number) is int for number in sizes)
        and max(sizes) < 1 << 24
        and all(type(level) in (int, float) and 0 <= level <= 10 for level in levels)
        and 0 < config.sample_rate < 256 * config.hop
        and all(0 < count <= MAX_LAYERS for count in blocks)
        and len(dilations) <= MAX_LAYERS
        and all(0 < dilation <= MAX_DILATION for dilation in dilations)
        and isinstance(config.name, str)
        and config.name.isprintable()
        and 0 < len(config.name.encode()) <= 255
    )
    if not ok:
        raise WeightsError("the weights describe a model with values of a wrong kind or size; use other weights")


def estimated_parameters(config: ModelConfig) -> int:
    """Number of parameters of such a model, without building it: within 5 %, or too many."""
    hop, latent = config.hop, config.latent_dim

    def network_parameters(
        width: int, blocks: int, outside: int, channels: Sequence[int], units: Sequence[Sequence[int]]
    ) -> int:
        """Parameters of encoder or decoder; `outside` counts those around its blocks, per unit of width."""
        strided = sum(
            2 * stride * a * b for stride, a, b in zip(config.strides, (1, *channels), channels, strict=False)
        )
        frames = 2 * max(config.strides[-1] * channels[-1], hop) * (hop + width)
        return (
            strided
            + frames
            + sum(4 * count**2 * len(unit) for count, unit in zip(channels, units, strict=True))
            + width * (outside + width)
            + blocks * width * (config.block_kernel + 2 * config.expansion * width)
        )

    return (
        network_parameters(
            config.encoder_width, config.encoder_blocks, 2 * latent, config.encoder_channels, config.encoder_units
        )
        + network_parameters(
            config.decoder_width,
            config.decoder_blocks,
            latent + 3 * hop + config.codebooks,
            config.decoder_channels,
            config.decoder_units,
        )
        + config.codebooks * config.codebook_size * latent
        + (_voice_parameters(config.voice, config.codebook_size) if config.voice else 0)
    )


def _voice_parameters(config: VoiceConfig, codebook_size: int) -> int:
    """Number of parameters of the voice model, see `estimated_parameters`."""
    dim, curves = config.envelope_dim, config.n_curves
    features, bins = 4 * config.n_bands + 2 * config.n_aperiodicity_bands, config.fft_size // 2 + 1
    control, refinement = config.control_width, config.refinement_width
    coded = config.envelope_codebooks * dim + sum(count * size for count, size in config.low_bands)

    def blocks(width: int, kernel: int, count: int) -> int:
        return count * width * (kernel + 2 * config.expansion * width)

    return (
        codebook_size * coded
        + dim * (features + dim)
        + bins * (config.n_bands + 1)
        + control * (2 * dim + config.envelope_codebooks + 4 * curves)
        + blocks(control, config.frame_kernel, config.control_blocks)
        + refinement * (control + 4 * refinement + curves + SPECTRAL_VALUES)
        + blocks(refinement, config.frame_kernel, config.refinement_frame_blocks)
        + blocks(refinement, config.step_kernel, config.refinement_blocks)
    )


def _load_tensors(model: NacModel, file: Any, path: Path) -> int:
    """Copy the tensors of an open file into the model, one at a time; return the fingerprint of its codebooks."""
    names = set(file.keys())

    def tensor(name: str, shape: Sequence[int], kinds: Sequence[str]) -> Tensor:
        found = file.get_slice(name) if name in names else None
        if found is None or list(found.get_shape()) != list(shape) or found.get_dtype() not in kinds:
            raise WeightsError(f"{path} lacks {name} of shape {list(shape)}; the file is damaged")
        return file.get_tensor(name)  # type: ignore[no-any-return]

    meaning: dict[str, Tensor] = {}
    for name, slot in model.state_dict().items():
        codes_name, steps_name = f"{_stem(name)}.codes", f"{_stem(name)}.steps"
        stored: dict[str, Tensor] = {}
        if name == _GENERAL or (_may_be_int8(name, slot) and names & {codes_name, steps_name}):
            stored[codes_name] = tensor(codes_name, slot.shape, ["I8"])
            stored[steps_name] = steps = tensor(steps_name, slot.shape[:1], ["F32"])
            if not (bool(torch.isfinite(steps).all()) and float(steps.min()) > 0):
                raise WeightsError(f"{path} holds {steps_name} that are not finite and above zero; use other weights")
            slot.copy_(dequantize(*stored.values()))
        elif name.startswith(VOICE_CODES):
            stored[name] = tensor(name, slot.shape, ["F16" if name.endswith(_CODEBOOKS) else "F32"])
            slot.copy_(stored[name])
        else:
            slot.copy_(tensor(FILE_NAMES.get(name, name), slot.shape, ["F16", "BF16", "F32"]))
        if not np.isfinite(float(slot.sum())):
            raise WeightsError(f"{path} holds weights that are not finite; use other weights")
        if name == _GENERAL or name.startswith(VOICE_CODES):
            meaning |= stored
    if not (model.spectrum.deviation.min() > 0 and model.spectrum.spread.min() > 0):
        raise WeightsError(f"{path} holds deviations that are not above zero; use other weights")
    if model.voice is not None:
        model.voice.validate()
    return fingerprint(meaning)


def _first_line(error: Exception) -> str:
    return f"{(str(error).splitlines() or [''])[0]:.200}" or type(error).__name__
