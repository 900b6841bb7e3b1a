"""Several processes training one model, started by torchrun; alone, everything here does nothing."""

import os

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def start(device: str) -> torch.device:
    """Join the group that torchrun describes in the environment; returns this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    if device == "cuda" and distributed.is_initialized():
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(device)


def stop() -> None:
    """Leave the group."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank() -> int:
    """Number of this process; the first, 0, writes the files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def parallel(module: nn.Module) -> nn.Module:
    """`module` with its gradients averaged over all processes."""
    if not distributed.is_initialized() or not any(p.requires_grad for p in module.parameters()):
        return module
    # The codebooks' statistics are averaged where they are used; not every parameter serves every batch.
    return DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)


def largest(*values: float) -> list[float]:
    """The largest of all processes' values, each: what decides the course of a run must be the same everywhere."""
    if not distributed.is_initialized():
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=_device())
    distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    found: list[float] = tensor.tolist()
    return found


def average(*values: Tensor) -> None:
    """Set each tensor, in place, to its mean over all processes."""
    if distributed.is_initialized():
        for value in values:
            distributed.all_reduce(value)
            value /= distributed.get_world_size()


def copy_first(*values: Tensor) -> None:
    """Set each tensor, in place, to that of the first process."""
    if distributed.is_initialized():
        for value in values:
            distributed.broadcast(value, 0)


def _device() -> torch.device:
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
