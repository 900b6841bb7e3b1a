"""Adversarial training: the discriminators, their optimizer, and their loss for the decoder."""

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nac.training.adversarial.discriminators import Discriminators
from nac.training.adversarial.losses import discriminator_loss, feature_loss, generator_loss, same_level
from nac.training.distributed import parallel


class AdversarialConfig(Protocol):
    """What a config says of adversarial training, see `nac.training.config.TrainingConfig`."""

    @property
    def adversarial(self) -> float:
        """Weight of the generator's loss."""

    @property
    def feature(self) -> float:
        """Weight of the feature loss."""

    @property
    def betas(self) -> tuple[float, float]:
        """Of the optimizer's moments."""

    @property
    def discriminator_windows(self) -> tuple[int, ...]:
        """Of spectral discriminators, in samples."""

    @property
    def discriminator_channels(self) -> int:
        """Of each discriminator."""

    @property
    def discriminator_seconds(self) -> float:
        """Length of what they look at."""

    @property
    def discriminator_learning_rate(self) -> float:
        """Their learning rate."""

    @property
    def discriminator_warmup(self) -> int:
        """Steps that they learn alone."""


class AdversarialTrainer:
    """Trains the discriminators, one step for each step of the decoder.

    During the first `config.discriminator_warmup` steps they learn alone, and the decoder does not hear of them.
    """

    def __init__(
        self,
        config: AdversarialConfig,
        sample_rate: int,
        device: torch.device,
        discriminators: nn.Module | None = None,
        bfloat16: bool = False,
        clip: float = math.inf,
    ) -> None:
        """Start.

        Args:
            config: weights of the losses, and settings of the discriminators.
            sample_rate: of the audio, in Hz.
            device: where everything is.
            discriminators: from `[batch, samples]` to a list of `DiscriminatorOutput`; None: new ones, of spectra, as
                `config` describes them.
            bfloat16: compute in bfloat16.
            clip: largest norm of their gradient.
        """
        self.config, self.bfloat16, self.clip = config, bfloat16, clip
        self.length = int(config.discriminator_seconds * sample_rate)
        if discriminators is None:
            discriminators = Discriminators(config.discriminator_windows, config.discriminator_channels)
        self.discriminators = discriminators.to(device)
        self.parallel = parallel(self.discriminators)
        self.optimizer = torch.optim.AdamW(
            self.discriminators.parameters(), lr=config.discriminator_learning_rate, betas=config.betas, fused=True
        )
        self.steps = 0

    def step(self, samples: Tensor, output: Tensor, start: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Train the discriminators on a batch, then ask them about the decoder's output.

        Args:
            samples: Originals, `[batch, samples]`.
            output: What the decoder made of them, `[batch, samples]`.
            start: First sample of the piece of `length` samples that is looked at.

        Returns:
            The weighted generator and feature losses, to be added to the decoder's loss (0 during the warm-up), and the
            terms for the log.
        """
        stop = start + self.length
        real, fake = same_level(samples[:, start:stop], output[:, start:stop])
        half = torch.autocast(real.device.type, torch.bfloat16, enabled=self.bfloat16)
        with half:
            # One call for both: data parallelism allows one call of the wrapped module for each backward pass.
            both = self.parallel(torch.cat([real, fake.detach()]))
            # A discriminator may look at several rows for each example, but at those of the real ones first.
            halves = [(logits.chunk(2), [part.chunk(2) for part in maps]) for logits, maps in both]
            on_real, on_fake = ([(logits[i], [part[i] for part in maps]) for logits, maps in halves] for i in (0, 1))
            loss = discriminator_loss(on_real, on_fake)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip < math.inf:
            nn.utils.clip_grad_norm_(self.discriminators.parameters(), self.clip)
        terms = {"discriminator_loss": loss.detach()}
        self.steps += 1
        if self.steps <= self.config.discriminator_warmup:
            self.optimizer.step()
            zero = output.new_zeros(())
            return zero, terms | {"generator_loss": zero, "feature_loss": zero}
        self.discriminators.requires_grad_(False)
        with half:
            on_output = self.discriminators(fake)
            generator, feature = generator_loss(on_output), feature_loss(on_real, on_output)
        self.discriminators.requires_grad_(True)
        self.optimizer.step()
        terms |= {"generator_loss": generator.detach(), "feature_loss": feature.detach()}
        return self.config.adversarial * generator + self.config.feature * feature, terms

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "discriminators": self.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.discriminators.load_state_dict(state["discriminators"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
