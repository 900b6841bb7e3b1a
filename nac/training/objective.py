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
from nac.training.losses.neurogram import NeurogramLoss
from nac.training.losses.perceptual import EnvelopeLoss, LoudnessLoss
from nac.training.losses.reconstruction import MelLoss, si_sdr

ENVELOPE_KNEE = 0.05


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
        rate = model.config.sample_rate
        self.mel, self.loudness, self.envelope = MelLoss(rate), LoudnessLoss(rate), EnvelopeLoss(rate)
        self.neurogram = NeurogramLoss(rate)
        #: Mean latent power at the start, the unit of the commitment loss.
        self.power = 1.0

    def forward(self, samples: Tensor, rate: Tensor, first_frame: Tensor) -> Outcome:
        """Code `[batch, samples]` with `rate` `[batch]` codebooks each, beginning at frame `first_frame` `[batch]`."""
        config, model = self.config, self.model
        hop = model.config.hop
        with torch.set_grad_enabled(torch.is_grad_enabled() and not config.decoder_only):
            latent = model.analyse(F.pad(samples, (0, hop)))
        quantized, commitment, usage = self.books.quantize(
            model.quantizer, latent, rate, learn=self.training and not config.decoder_only and config.codebook_decay < 1
        )
        levels = rate[:, None].expand(-1, latent.shape[1])
        output = model.synthesise(quantized, levels, first_frame)[:, hop:]
        terms = {"mel": self.mel(samples, output), "si_sdr": si_sdr(samples, output).mean()}
        loss = config.mel * terms["mel"] - config.si_sdr * terms["si_sdr"]
        if config.loudness:
            terms["loudness"] = self.loudness(samples, output).mean()
            loss = loss + config.loudness * terms["loudness"]
        if config.neurogram or config.level:
            terms["neurogram"], terms["level"] = (value.mean() for value in self.neurogram(samples, output))
            loss = loss + config.neurogram * terms["neurogram"] + config.level * terms["level"]
        if config.envelope:
            envelope = self.envelope(samples, output)
            terms["envelope"] = envelope.mean()
            # Flattened, so that noise and music, far from intelligible anyway, do not outweigh speech.
            loss = loss + config.envelope * (1 + envelope / ENVELOPE_KNEE).log().mean() * ENVELOPE_KNEE
        terms |= {"commitment": commitment, "power": latent.square().sum(-1).mean()}
        if not config.decoder_only:
            loss = loss + config.commitment * commitment / self.power
        return Outcome(loss, output, {name: value.detach() for name, value in terms.items()}, usage)
