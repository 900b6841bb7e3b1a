"""Running average of a network's weights."""

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a module's parameters; it forgets the first steps sooner.

    Attributes:
        values: by name.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Starts as the parameters are."""
        self.module, self.decay = module, decay
        self.values: dict[str, Tensor] = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after step number `step`, from 0."""
        share = 1 - min(self.decay, (step + 2) / (step + 11))
        for name, parameter in self.module.named_parameters():
            self.values[name].lerp_(parameter, share)

    @torch.no_grad()
    def apply(self) -> None:
        """Give the module the averaged values."""
        for name, parameter in self.module.named_parameters():
            parameter.copy_(self.values[name])
