"""The weights file of a trained voice model beside a general one."""

import dataclasses
from pathlib import Path

import torch
from safetensors.torch import load_file

from nac.errors import OptionError
from nac.models.model import NacModel
from nac.models.voice.decoder import VoiceDecoder
from nac.models.weights import load_model, save_model
from nac.training.tables import sort_codebooks

#: Log odds of a classifier that has not been trained: every frame is voice.
_CERTAIN = 20.0


def export(decoder: VoiceDecoder, mode: Path, general: Path, path: Path, generation: int) -> int:
    """Write a weights file.

    Args:
        decoder: the voice model.
        mode: weights of the classifier of voice and other sound; if there is no such file, every frame is voice.
        general: weights file of the model for everything else; a voice model that it has is replaced.
        path: of the new file.
        generation: written into it.

    Returns:
        The fingerprint.

    Raises:
        OptionError: the two have codebooks of different sizes.
    """
    base, _ = load_model(general)
    size = decoder.quantizer.residual.codebooks.shape[1]
    if size != base.config.codebook_size:
        raise OptionError(
            f"the voice model has codebooks of {size} vectors and {general} of {base.config.codebook_size}; "
            "they must be alike"
        )
    model = NacModel(dataclasses.replace(base.config, voice=decoder.config))
    own = {name: value for name, value in base.state_dict().items() if not name.startswith(("voice.", "mode."))}
    voice = {f"voice.{name}": value for name, value in decoder.state_dict().items()}
    model.load_state_dict({**model.state_dict(), **own, **voice})
    assert model.mode is not None
    if mode.exists():
        model.mode.load_state_dict(load_file(mode))
    else:
        torch.nn.init.zeros_(model.mode.out.weight)
        torch.nn.init.constant_(model.mode.out.bias, _CERTAIN)
    sort_codebooks(model)
    return save_model(model.eval(), path, generation=generation)
