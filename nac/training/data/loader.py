"""Batches of crops one after another, made while the model learns from those before them."""

import sys
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nac.training.data.corpus import Crops


class _Numbered(Dataset[Tensor]):
    def __init__(self, crops: Crops, size: int) -> None:
        self.crops, self.size = crops, size

    def __getitem__(self, number: int) -> Tensor:
        return torch.from_numpy(self.crops.numbered(number, self.size))


def batches(crops: Crops, size: int, first: int, workers: int = 0, pin: bool = False) -> Iterator[Tensor]:
    """Batches `[size, samples]` number `first`, `first` + 1, ..., without end.

    They are the same for any number of `workers`, processes that make them ahead (0: this one makes each when it is
    asked for). `pin` puts them where a GPU can fetch them by itself.
    """
    # Forked processes share the decoded audio; all others would each get a copy.
    context = "fork" if workers and sys.platform == "linux" else None
    loader = DataLoader(
        _Numbered(crops, size),
        batch_size=None,
        sampler=range(first, 1 << 60),
        num_workers=workers,
        multiprocessing_context=context,
        pin_memory=pin,
        generator=torch.Generator(),
    )  # its own, so that the model's random numbers stay theirs
    return iter(loader)
