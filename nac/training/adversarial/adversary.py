"""The adversarial game: discriminators, their optimiser, and what they add to the loss of the decoder."""

from typing import Any

import torch
from torch import Tensor

from nac.training.adversarial.discriminators import Discriminators, feature_loss, fool_loss, judge_loss, same_level
from nac.training.config import TrainingConfig
from nac.training.distributed import parallel


class Adversary:
    """Plays one round against each batch. The discriminators first learn alone for `config.judge_steps`."""

    def __init__(self, config: TrainingConfig, sample_rate: int, device: torch.device) -> None:
        self.config = config
        self.length = int(config.judged_seconds * sample_rate)
        self.judges = Discriminators(config.judge_windows, config.judge_channels).to(device)
        self.parallel = parallel(self.judges)
        self.optimiser = torch.optim.AdamW(
            self.judges.parameters(), lr=config.judge_rate, betas=config.betas, fused=True
        )
        self.rounds = 0

    def play(self, samples: Tensor, output: Tensor, start: int) -> tuple[Tensor, dict[str, Tensor]]:
        """One round on `[batch, samples]` pairs, from sample `start` on: trains the discriminators, and returns what
        to add to the decoder's loss and the terms for the log."""
        stop = start + self.length
        real, fake = same_level(samples[:, start:stop], output[:, start:stop])
        half = torch.autocast(real.device.type, torch.bfloat16, enabled=self.config.bfloat16)
        with half:
            # One call for both: data parallelism allows one call of the wrapped module for each backward pass.
            judged = self.parallel(torch.cat([real, fake.detach()]))
            on_real = [(logits[: len(real)], [m[: len(real)] for m in maps]) for logits, maps in judged]
            on_fake = [(logits[len(real) :], [m[len(real) :] for m in maps]) for logits, maps in judged]
            judge = judge_loss(on_real, on_fake)
        self.optimiser.zero_grad(set_to_none=True)
        judge.backward()  # type: ignore[no-untyped-call]
        terms = {"judge": judge.detach()}
        self.rounds += 1
        if self.rounds <= self.config.judge_steps:
            self.optimiser.step()
            zero = output.new_zeros(())
            return zero, terms | {"fool": zero, "feature": zero}
        self.judges.requires_grad_(False)
        with half:
            verdict = self.judges(fake)
            fool, feature = fool_loss(verdict), feature_loss(on_real, verdict)
        self.judges.requires_grad_(True)
        self.optimiser.step()
        terms |= {"fool": fool.detach(), "feature": feature.detach()}
        return self.config.adversarial * fool + self.config.feature * feature, terms

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"judges": self.judges.state_dict(), "optimiser": self.optimiser.state_dict(), "rounds": self.rounds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.judges.load_state_dict(state["judges"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rounds = state["rounds"]
