"""What one training step computes: the model on a batch, and the losses of what comes out.

A module, so that torch's own data parallelism can wrap it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nac.models.model import NacModel
from nac.training.codebooks.trainer import CodebookTrainer
from nac.training.config import TrainingConfig
from nac.training.losses.reconstruction import MelLoss, si_sdr


@dataclass
class Outcome:
    """Loss to minimise; the decoded `[batch, samples]`; terms of the loss for the log; usage `[stages, size]`."""

    loss: Tensor
    output: Tensor
    terms: dict[str, Tensor]
    usage: Tensor


class Objective(nn.Module):
    """Model, codebook statistics and reconstruction losses."""

    def __init__(self, model: NacModel, books: CodebookTrainer, config: TrainingConfig) -> None:
        super().__init__()
        self.model, self.books, self.config = model, books, config
        self.mel = MelLoss(model.config.sample_rate)
        #: Mean latent power at the start, the unit of the commitment loss.
        self.power = 1.0

    def forward(self, samples: Tensor, n_codebooks: Tensor, first_frame: Tensor) -> Outcome:
        """Code `[batch, samples]` with `n_codebooks` `[batch]`, beginning at frame `first_frame` `[batch]`."""
        config, model = self.config, self.model
        hop = model.config.hop
        with torch.set_grad_enabled(torch.is_grad_enabled() and not config.decoder_only):
            latent = model.analyse(F.pad(samples, (0, hop)))
        quantized, commitment, usage = self.books.quantize(
            model.quantizer,
            latent,
            n_codebooks,
            learn=self.training and not config.decoder_only and config.codebook_decay < 1,
        )
        levels = n_codebooks[:, None].expand(-1, latent.shape[1])
        output = model.synthesise(quantized, levels, first_frame)[:, hop:]
        terms = {"mel": self.mel(samples, output), "si_sdr": si_sdr(samples, output).mean()}
        loss = config.mel * terms["mel"] - config.si_sdr * terms["si_sdr"]
        terms |= {"commitment": commitment, "power": latent.square().sum(-1).mean()}
        if not config.decoder_only:
            loss = loss + config.commitment * commitment / self.power
        return Outcome(loss, output, {name: value.detach() for name, value in terms.items()}, usage)
