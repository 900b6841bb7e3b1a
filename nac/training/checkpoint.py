"""Checkpoints: tensors and plain values, replaced only by whole ones."""

from pathlib import Path
from typing import Any

import torch

from nac.errors import NacError, WeightsError
from nac.files import replacing
from nac.models.weights import parameter_names

CHECKPOINT = "checkpoint.pt"


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`, which holds at least "model" and "shape"; what was there stays until the new file is whole.

    Raises:
        NacError: it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError for a full disk
        raise NacError(f"cannot write {path} (is the disk full?); what was there is kept") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors and plain values only.

    Raises:
        WeightsError: the file is missing or no checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"checkpoint {path} not found; check the path") from error
    except Exception as error:
        raise WeightsError(f"{path} is not a checkpoint that can be read ({str(error).splitlines()[0]})") from error
    if "model" not in state or "shape" not in state:
        raise WeightsError(f"{path} is not a checkpoint of a training run")
    return state | {key: parameter_names(state[key]) for key in ("model", "average") if key in state}
