"""Shared by all tests: small models and audio made on the spot."""

import dataclasses
import os
from pathlib import Path

# Tests side by side (`-n auto`) have a core each; threads that wait for each other would cost most of what that saves.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from nac.models.config import ModelConfig
from nac.models.model import NacModel
from nac.models.weights import save_model

SMALL = ModelConfig(
    name="small",
    encoder_channels=(16, 20, 84),
    decoder_channels=(8, 20, 84),
    encoder_width=24,
    decoder_width=24,
    encoder_blocks=2,
    decoder_blocks=2,
    codebook_size=64,
    codebooks=48,
)


def small_model(seed: int = 0, **changes: object) -> NacModel:
    """A small model whose every part is at work: random weights on top of the linear start."""
    torch.manual_seed(seed)
    model = NacModel(dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("out.weight") or "gain" in name or "shift" in name:
                value.add_(torch.randn_like(value) * 0.02)
        books = model.quantizer.codebooks
        books.copy_(torch.randn_like(books) * 0.9 ** torch.arange(len(books))[:, None, None] * 0.1)
        for stage in range(model.config.codebooks):
            books[stage, :, model.config.codebook_dim(stage) :] = 0
    return model.eval()


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a small model."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_model(small_model(codebook_size=1024), path, generation=3)
    return path
