"""The adversarial training of the refinement: it learns to make what discriminators cannot tell from recordings."""

import logging
import math
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from nac.models.layers import State
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.timing import HOP, SAMPLE_RATE
from nac.training.adversarial.discriminators import Discriminators
from nac.training.adversarial.losses import same_level
from nac.training.adversarial.trainer import AdversarialTrainer
from nac.training.budget import Budget
from nac.training.losses.spectra import spectral_distance
from nac.training.optimizer import DivergedError
from nac.training.record import FILE, Record
from nac.training.voice.average import Average
from nac.training.voice.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from nac.training.voice.coding import CodedRecordings
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.control import draw_counts
from nac.training.voice.examples import Sampler, Stretch, samples

log = logging.getLogger(__name__)
#: Hops more than those that count: a frame's output is one hop late.
_LATE = 1
#: Tries to find an example that is not silent.
_TRIES = 50


class Game:
    """The refinement of a decoder, its discriminators, and how far they are."""

    def __init__(
        self, decoder: VoiceDecoder, coded: CodedRecordings, config: VoiceTrainingConfig, folder: Path, bfloat16: bool
    ) -> None:
        """Start anew; `restore` goes on instead."""
        self.decoder, self.coded, self.config, self.folder = decoder, coded, config, folder
        torch.manual_seed(config.seed)
        decoder.requires_grad_(False)
        self.refinement = decoder.refinement.requires_grad_(True)
        self.refinement.bfloat16_blocks = bfloat16
        discriminators = Discriminators(
            config.discriminator_windows,
            config.discriminator_channels,
            config.discriminator_periods,
            config.period_channels,
        )
        self.adversarial = AdversarialTrainer(
            config, SAMPLE_RATE, torch.device("cpu"), discriminators, bfloat16, config.discriminator_clip
        )
        self.optimizer = torch.optim.AdamW(
            self.refinement.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=0.0, fused=True
        )
        self.average = Average(self.refinement, config.ema)
        self.total = config.run_in + config.hops + _LATE
        self.sampler = Sampler(coded.pieces, coded.gains, self.total, config.source_power)
        self.step, self.seconds, self.passed = 0, 0.0, 0.0

    def restore(self) -> None:
        """Go on from the folder's checkpoint."""
        progress = read_checkpoint(self.folder / CHECKPOINT, *self._parts())
        self.step, self.seconds, self.passed = progress["step"], progress["seconds"], progress["passed"]
        self.adversarial.steps = self.step

    def save(self) -> None:
        """Write the folder's checkpoint."""
        progress = {"step": self.step, "seconds": self.seconds, "passed": self.passed}
        write_checkpoint(self.folder / CHECKPOINT, *self._parts(), progress)

    def _parts(self) -> tuple[nn.Module, dict[str, Tensor], nn.Module, dict[str, torch.optim.Optimizer]]:
        optimizers: dict[str, torch.optim.Optimizer] = {
            "refinement": self.optimizer,
            "discriminators": self.adversarial.optimizer,
        }
        return self.refinement, self.average.values, self.adversarial.discriminators, optimizers

    def run(self, budget: Budget, save_minutes: float, log_steps: int = 50) -> None:
        """Train until the budget is spent; checkpoints every so many minutes and at the end.

        Raises:
            DivergedError: something is not finite. The last checkpoint stays.
        """
        self.refinement.train()
        saved, before = budget.seconds, self.seconds - budget.seconds
        with (self.folder / FILE).open("a", newline="") as file:
            record = Record(file)
            while budget.share(self.step) < 1 and not budget.stop:
                start = time.monotonic()
                record.add(self.train_step())
                self.seconds = before + budget.seconds
                if self.step % log_steps == 0 or budget.share(self.step) >= 1 or budget.stop:
                    self._note(record, time.monotonic() - start)
                if budget.seconds - saved > 60 * save_minutes:
                    saved = budget.seconds
                    self.save()
        self.save()

    def _note(self, record: Record, seconds: float) -> None:
        """Write the terms since the last time; `seconds` is how long the last step took."""
        speed = self.config.batch * self.config.discriminator_seconds / seconds
        means = record.write(self.step, self.passed, {"minutes": self.seconds / 60, "speed": speed})
        shown = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        log.info("step %d, %.1f min, %.2f h of sound: %s", self.step, self.seconds / 60, self.passed, shown)

    def train_step(self) -> dict[str, float]:
        """One step of the discriminators and, after their warm-up, of the refinement; the terms of the loss.

        Equal steps of equal runs draw equal examples, whether or not a run was interrupted.
        """
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        stretches = [self._audible(rng) for _ in range(config.batch)]
        learns = self.step >= config.discriminator_warmup
        with torch.set_grad_enabled(learns):
            output = self._decode(stretches, self._codes(stretches, rng), generator)
        sound = samples(self.coded.recordings, stretches)[:, config.run_in * HOP : -_LATE * HOP]
        start = int(rng.integers(0, sound.shape[1] - self.adversarial.length + 1))
        added, terms = self.adversarial.step(sound, output, start)
        piece = slice(start, start + self.adversarial.length)
        terms["spectrum"] = spectral_distance(*same_level(sound[:, piece], output[:, piece]))
        terms["gradient_norm"] = output.new_zeros(())
        if learns:
            loss = added + config.spectrum * terms["spectrum"]
            self._learn(loss, terms)
        self.step += 1
        self.passed += config.batch * self.adversarial.length / SAMPLE_RATE / 3600
        return {name: float(value.detach()) for name, value in terms.items()}

    def _learn(self, loss: Tensor, terms: dict[str, Tensor]) -> None:
        """A step of the refinement, if everything is finite."""
        learned = self.step - self.config.discriminator_warmup
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, (learned + 1) / self.config.warmup)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad.norm() for p in self.refinement.parameters() if p.grad is not None]
        norm = float(torch.stack(gradients).norm())
        if not math.isfinite(norm):
            self._name_what_is_wrong(terms)
        nn.utils.clip_grad_norm_(self.refinement.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.average.update(learned)
        terms["gradient_norm"] = torch.tensor(norm)

    def _name_what_is_wrong(self, terms: dict[str, Tensor]) -> NoReturn:
        """Raise an error that names terms and gradients that are not finite."""
        wrong = [f"{name} ({float(value.detach())})" for name, value in terms.items() if not torch.isfinite(value)]
        wrong += [
            f"gradient of {name}"
            for name, parameter in self.refinement.named_parameters()
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
        ]
        raise DivergedError(
            f"not finite at step {self.step}: {', '.join(wrong[:8])}; --resume goes on from the last checkpoint, with "
            f"other examples if --set seed={self.config.seed + 1} is given"
        )

    def _audible(self, rng: np.random.Generator) -> Stretch:
        """A stretch with more than silence in what counts of it."""
        for _ in range(_TRIES):
            stretch = self.sampler.draw(rng, self.total)
            sound = samples(self.coded.recordings, [stretch])[:, self.config.run_in * HOP :]
            if float(sound.square().mean().sqrt()) >= self.config.silence:
                break
        return stretch

    def _codes(self, stretches: list[Stretch], rng: np.random.Generator) -> Tensor:
        """Codes of the stretches as far as each example has codebooks, −1 beyond."""
        shape, batch = self.decoder.config, len(stretches)
        every = torch.from_numpy(rng.random(batch)) < self.config.all_envelope
        envelope = draw_counts(rng, self.decoder, batch)[:, 1].where(~every, shape.envelope_codebooks)
        low = torch.from_numpy(rng.choice(self.config.low_band_counts, batch)).where(
            envelope == shape.envelope_codebooks, 0
        )
        number = torch.arange(shape.n_codebooks)
        first_low = 1 + shape.envelope_codebooks
        used = torch.where(number < first_low, number < 1 + envelope[:, None], number < first_low + low[:, None])
        return self.coded.codes(stretches).where(used[..., None], -1)

    def _decode(self, stretches: list[Stretch], codes: Tensor, generator: torch.Generator) -> Tensor:
        """What the decoder makes of the hops that count."""
        table = self.decoder.noise
        first = torch.randint(len(table), (len(codes), 1), generator=generator)
        noise = table[(first + torch.arange(self.total)) % len(table)]
        state: State = {self.decoder.quantizer: self.coded.core_before(stretches)}
        output: Tensor = self.decoder(codes, noise, state)
        return output[:, (self.config.run_in + _LATE) * HOP :]
