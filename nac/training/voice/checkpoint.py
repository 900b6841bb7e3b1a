"""Checkpoints of the game: one safetensors file, small enough to be carried anywhere.

The refinement's weights are in float32. Its average differs little from them: the difference is in bfloat16. So are
the optimizers' moments, whose exponents matter more than their digits, while the weights of the discriminators are in
float16. Rounded so, the game goes on as it would have, though not bit by bit.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nac.errors import WeightsError
from nac.files import replacing

CHECKPOINT = "checkpoint.safetensors"
_FORMAT = "nac-voice-game-1"
_MOMENTS = ("exp_avg", "exp_avg_sq")


def write_checkpoint(
    path: Path,
    refinement: nn.Module,
    average: dict[str, Tensor],
    discriminators: nn.Module,
    optimizers: dict[str, torch.optim.Optimizer],
    progress: dict[str, Any],
) -> None:
    """Write a checkpoint; what was there stays until the new one is whole.

    Args:
        path: of the file.
        refinement: the network that learns.
        average: its averaged parameters, by name.
        discriminators: those that it plays against.
        optimizers: "refinement" and "discriminators".
        progress: plain values, such as the number of steps.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in refinement.named_parameters():
        tensors[f"refinement.{name}"] = parameter.detach()
        tensors[f"average.{name}"] = (average[name] - parameter.detach()).bfloat16()
    for name, parameter in discriminators.named_parameters():
        tensors[f"discriminators.{name}"] = parameter.detach().half()
    modules = {"refinement": refinement, "discriminators": discriminators}
    taken = {}
    for key, optimizer in optimizers.items():
        for name, parameter in modules[key].named_parameters():
            state = optimizer.state.get(parameter)
            if state:
                taken[key] = int(state["step"])
                for moment in _MOMENTS:
                    tensors[f"{moment}.{key}.{name}"] = state[moment].bfloat16()
    notes = {"format": _FORMAT, "progress": json.dumps(progress), "optimizer_steps": json.dumps(taken)}
    with replacing(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata=notes)


def read_checkpoint(
    path: Path,
    refinement: nn.Module,
    average: dict[str, Tensor],
    discriminators: nn.Module,
    optimizers: dict[str, torch.optim.Optimizer],
) -> dict[str, Any]:
    """Go on from a checkpoint; the arguments are those of `write_checkpoint`.

    Returns:
        The progress.

    Raises:
        WeightsError: the file is missing or damaged, or is a checkpoint of networks of other shapes.
    """
    modules = {"refinement": refinement, "discriminators": discriminators}
    try:
        with safe_open(path, "pt") as file, torch.no_grad():
            notes = file.metadata() or {}
            if notes.get("format") != _FORMAT:
                raise WeightsError(f"{path} is not a checkpoint of the voice model's training")
            for key, module in modules.items():
                for name, parameter in module.named_parameters():
                    parameter.copy_(file.get_tensor(f"{key}.{name}"))
            for name, parameter in refinement.named_parameters():
                average[name].copy_(parameter + file.get_tensor(f"average.{name}").float())
            for key, steps in json.loads(notes["optimizer_steps"]).items():
                for name, parameter in modules[key].named_parameters():
                    optimizers[key].state[parameter] = {
                        "step": torch.tensor(float(steps)),
                        **{moment: file.get_tensor(f"{moment}.{key}.{name}").float() for moment in _MOMENTS},
                    }
            progress: dict[str, Any] = json.loads(notes["progress"])
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is missing, or a checkpoint of networks of other shapes ({str(error).splitlines()[0]})"
        ) from error
    return progress
