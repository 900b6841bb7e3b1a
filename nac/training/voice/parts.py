"""The parts of a voice model as they are between stages: one safetensors file with the shape inside."""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nac.config import load
from nac.errors import WeightsError
from nac.files import replacing
from nac.models.config import VoiceConfig
from nac.models.voice.decoder import VoiceDecoder

FILE = "voice.safetensors"


def save_parts(decoder: VoiceDecoder, path: Path, stages: tuple[str, ...]) -> None:
    """Write all parts, and which stages have made them.

    Raises:
        WeightsError: a number is not finite.
    """
    tensors = {name: value.detach().contiguous() for name, value in decoder.state_dict().items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{name} is not finite; these parts are not worth saving")
    notes = {
        "format": "nac-voice-parts-1",
        "config": json.dumps(dataclasses.asdict(decoder.config)),
        "codebook_size": str(decoder.quantizer.residual.codebooks.shape[1]),
        "stages": ",".join(stages),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=notes)


def stages_of(path: Path) -> tuple[str, ...]:
    """The stages that have made the parts in a file; none if there is no file.

    Raises:
        WeightsError: it is another kind of file.
    """
    return tuple(filter(None, _notes(path)["stages"].split(","))) if path.exists() else ()


def load_parts(path: Path) -> VoiceDecoder:
    """Read what `save_parts` wrote; in evaluation mode.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    notes = _notes(path)
    shape = load(VoiceConfig, json.loads(notes["config"]), str(path), WeightsError)
    decoder = VoiceDecoder(shape, int(notes["codebook_size"]))
    with safe_open(path, "pt") as file:
        decoder.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return decoder.eval()


def _notes(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            notes: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} does not hold the parts of a voice model; run the stages before") from error
    if notes.get("format") != "nac-voice-parts-1":
        raise WeightsError(f"{path} does not hold the parts of a voice model; run the stages before")
    return notes
