"""A small model with voices for the tests."""

import math

import torch

from nac.models.model import NacModel
from tests.conftest import small_model
from tests.models.voice.small import SIZE, SMALL, small_decoder


def small_voice_model(size: int = SIZE, voice: float = 0.999, **changes: object) -> NacModel:
    """A model with codebooks of `size`, whose encoder takes every frame for a voice with a probability of `voice`."""
    model = small_model(voice=SMALL, codebook_size=size, **changes)
    assert model.voice is not None and model.mode is not None
    values = small_decoder().state_dict()
    for name, value in values.items():
        if name.endswith("codebooks"):
            values[name] = value.repeat(1, size // SIZE, 1)
    model.voice.load_state_dict(values)
    torch.nn.init.zeros_(model.mode.out.weight)
    torch.nn.init.constant_(model.mode.out.bias, math.log(voice / (1 - voice)))
    return model.eval()
