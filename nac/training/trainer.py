"""The training loop: steps, checkpoints, averages, logs. A run is a folder that can be resumed."""

import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nac.errors import OptionError, WeightsError
from nac.models.config import ModelConfig
from nac.models.model import NacModel
from nac.models.transform import NOISE_PERIOD
from nac.models.weights import save_model
from nac.training import distributed
from nac.training.adversarial.trainer import AdversarialTrainer
from nac.training.budget import Budget
from nac.training.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from nac.training.codebooks.refine import gather_latents, refine
from nac.training.codebooks.trainer import CodebookTrainer, enable_gradient, perplexity
from nac.training.config import TrainingConfig
from nac.training.data.corpus import Crops
from nac.training.data.loader import batches
from nac.training.objective import Objective, Outcome
from nac.training.optimizer import DivergedError, learning_rate, optimizer_step
from nac.training.pages import write_page
from nac.training.record import FILE, Record

log = logging.getLogger(__name__)


class Trainer:
    """Model, optimizer, averages and random state of one run."""

    def __init__(
        self,
        model: NacModel,
        config: TrainingConfig,
        crops: Crops,
        folder: Path,
        device: str | torch.device = "cpu",
        usage: Tensor | None = None,
        workers: int = 0,
    ) -> None:
        self.config, self.crops, self.folder, self.device = config, crops, folder, torch.device(device)
        self.model = model.to(self.device).train()
        model.encoder.bfloat16_blocks = model.decoder.bfloat16_blocks = config.bfloat16
        self.books = CodebookTrainer(
            model.quantizer, config.codebook_decay, config.codebook_hits, usage, config.beam
        ).to(self.device)
        model.encoder.requires_grad_(not config.decoder_only)
        if config.codebook_share:
            if config.codebook_decay < 1 or config.decoder_only or config.beam < 2:
                raise OptionError(
                    "codebooks learn by gradient only with codebook_decay=1, beam=2 or more and not "
                    "decoder_only; or set codebook_share=0"
                )
            enable_gradient(model.quantizer)
        self.objective = Objective(model, self.books, config).to(self.device)
        self.parallel = distributed.parallel(self.objective)
        self.adversarial = None
        if config.adversarial or config.feature:
            self.adversarial = AdversarialTrainer(
                config, model.config.sample_rate, self.device, bfloat16=config.bfloat16
            )
        groups = self._groups()
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
        )
        self.average = {name: value.detach().clone() for name, value in self._learned()}
        self.workers = workers
        self.batches: Iterator[Tensor] | None = None
        self.step = 0
        self.spent = 0.0  # seconds of training before this process
        self.power = 0.0  # latent power of the start
        self.drift = 0.0  # running mean of the latent power: one loud batch is not a divergence
        self.rng = np.random.default_rng(config.seed + 1 + 1000 * distributed.rank())
        torch.manual_seed(config.seed)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with their share of the learning rate: decoder, encoder, the layers at waveform rates, codes."""
        model, config = self.model, self.config
        wave = [*model.decoder.ups.parameters(), *model.decoder.units.parameters(), *model.decoder.last.parameters()]
        encoder: list[torch.nn.Parameter] = []
        if not config.decoder_only:
            wave += [
                *model.encoder.downs.parameters(),
                *model.encoder.units.parameters(),
                *model.encoder.last.parameters(),
            ]
            encoder = [*model.encoder.parameters()]
        slow = {id(p) for p in wave}
        groups = (([*model.decoder.parameters()], 1.0), (encoder, config.encoder_share))
        parts = [([p for p in parameters if id(p) not in slow], share) for parameters, share in groups]
        codes = [model.quantizer.codebooks] if config.codebook_share else []
        return [
            {"params": parameters, "share": share}
            for parameters, share in (*parts, (wave, config.wave_share), (codes, config.codebook_share))
            if parameters
        ]

    def _learned(self) -> list[tuple[str, Tensor]]:
        """The names and values of the parameters that learn by gradient."""
        return [(name, value) for name, value in self.model.named_parameters() if value.requires_grad]

    def refine(self, frames: int) -> None:
        """Refine all codebooks together on this many frames of the training audio, as it is.

        What the run has gathered about the codes begins anew.
        """
        config, quantizer = self.config, self.model.quantizer
        plain = Crops(self.crops.corpus, self.crops.samples, config.balance, config.source_power, config.seed)
        refine(quantizer, gather_latents(self.model, plain, frames), rounds=5)
        self.books.restart(quantizer)
        self.average |= {
            name: value.detach().clone() for name, value in self._learned() if name == "quantizer.codebooks"
        }

    # -- one step ----------------------------------------------------------------------------------------------

    def losses(self, samples: Tensor) -> Outcome:
        """The model on `[batch, samples]` with random numbers of codebooks, and its losses."""
        batch = samples.shape[0]
        numbers, weights = zip(*self.config.n_codebooks, strict=True)
        drawn = self.rng.choice(numbers, batch, p=np.asarray(weights) / sum(weights))
        # One other number for all the batch: each number that occurs is a search of its own.
        other = self.rng.integers(1, self.model.config.codebooks + 1)
        drawn = np.where(self.rng.random(batch) < self.config.any_n_codebooks, other, drawn)
        n_codebooks = torch.as_tensor(drawn, device=self.device)
        first = torch.as_tensor(self.rng.integers(0, NOISE_PERIOD, batch), device=self.device)
        out: Outcome = self.parallel(samples, n_codebooks, first)
        return out

    def train_step(self, share: float) -> tuple[dict[str, float], Tensor]:
        """One optimizer step at learning rates for `share` of the budget spent.

        Raises:
            DivergedError: the loss is not finite, or the latent's mean power has left that of the start far behind.
        """
        config = self.config
        rate = learning_rate(config.learning_rate, share, self.step, config.warmup, config.final_share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        if self.batches is None:
            self.batches = batches(self.crops, config.batch, self.step, self.workers, self.device.type == "cuda")
        samples = next(self.batches).to(self.device, non_blocking=True)
        outcome = self.losses(samples)
        total = outcome.loss
        if self.adversarial is not None:
            start = int(self.rng.integers(0, max(1, samples.shape[1] - self.adversarial.length + 1)))
            added, adversarial_terms = self.adversarial.step(samples, outcome.output, start)
            total = total + added
            outcome.terms.update(adversarial_terms)
        terms = {"loss": float(total.detach()), **{name: float(value) for name, value in outcome.terms.items()}}
        if not self.power:
            self.power = self.objective.power = terms["power"]
        self.drift += 0.02 * (terms["power"] - self.drift) if self.drift else terms["power"]
        if not math.isfinite(terms["loss"]) or (not config.decoder_only and self.drift > 2.5 * self.power):
            raise DivergedError(
                f"training diverged at step {self.step} (loss {terms['loss']:.3g}, mean latent power "
                f"{self.drift:.3g}); the last checkpoint is kept, resume with a lower rate"
            )
        terms["gradient"] = optimizer_step(total, self.optimizer, config.gradient_clip)
        self._average()
        self.step += 1
        terms["rate"] = rate
        return terms, outcome.usage

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (self.step + 1) / (self.step + 10))
        for name, value in self._learned():
            self.average[name].lerp_(value.detach(), 1 - decay)

    # -- files -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole.

        Raises:
            NacError: it cannot be written.
        """
        self.books.write(self.model.quantizer)
        if distributed.rank():
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "books": self.books.state_dict(),
            "average": self.average,
            "step": self.step,
            "spent": self.spent,
            "power": self.power,
            "torch": torch.get_rng_state(),
            "numpy": self.rng.bit_generator.state,
            "config": self.config.to_json(),
            "shape": self.model.config.to_json(),
        }
        if self.adversarial is not None:
            state["adversarial"] = self.adversarial.state_dict()
        write_checkpoint(self.folder / CHECKPOINT, state)

    def restore(self, path: Path, *, weights_only: bool = False) -> None:
        """Continue from a checkpoint; with `weights_only` begin another stage from its averaged model.

        Raises:
            WeightsError: the file is not a checkpoint of this model's shape.
        """
        state = read_checkpoint(path)
        if state["shape"] != self.model.config.to_json():
            raise WeightsError(f"{path} is a checkpoint of another model config; start another run folder")
        self.model.load_state_dict(state["model"])
        self.books.load_state_dict(state["books"])
        average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.average |= {name: value for name, value in average.items() if name in self.average}
        self.power, self.spent = state["power"], state["spent"]
        self.objective.power = self.power or 1.0
        if self.adversarial is not None and "adversarial" in state:
            self.adversarial.load_state_dict(state["adversarial"])
        if weights_only:
            self.model.load_state_dict(average, strict=False)
            self.model.decoder.interpolate_untrained_embeddings()
            embedding = self.model.decoder.n_codebooks_embedding
            self.average["decoder.n_codebooks_embedding"] = embedding.detach().clone()
        else:
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
            torch.set_rng_state(state["torch"])
            if distributed.rank():  # the checkpoint holds the first process's random state; the others draw anew
                self.rng = np.random.default_rng([self.step, distributed.rank()])
            else:
                self.rng.bit_generator.state = state["numpy"]

    def averaged(self) -> NacModel:
        """A copy of the model with the averaged weights, on the CPU."""
        copy = NacModel(self.model.config)
        copy.load_state_dict(self.model.state_dict())
        copy.load_state_dict({name: value.cpu() for name, value in self.average.items()}, strict=False)
        return copy.eval()

    def export(self, path: Path, generation: int, notes: dict[str, str] | None = None) -> None:
        """Write the averaged weights for use by the codec."""
        hours = f"{(self.spent) / 3600:.2f}"
        save_model(
            self.averaged(),
            path,
            generation=generation,
            notes={"steps": str(self.step), "hours": hours, **(notes or {})},
        )

    # -- the run -----------------------------------------------------------------------------------------------

    def run(self, budget: Budget, save_minutes: float = 5.0, progress: bool = True, page_minutes: float = 0.0) -> None:
        """Train until the budget is spent.

        Args:
            budget: Time, steps, or a signal.
            save_minutes: Between checkpoints; there is one at the end too.
            progress: Whether to draw a bar.
            page_minutes: Between pages of curves and decoded clips; 0 for none.
        """
        saved = clock = shown_at = time.monotonic()
        usage = torch.zeros_like(self.books.counts)
        shown = progress and not distributed.rank()
        log_file = os.devnull if distributed.rank() else self.folder / FILE
        with open(log_file, "a", newline="") as file, tqdm(disable=not shown, unit="step", initial=self.step) as bar:
            record = Record(file)
            while True:
                # All processes save after the same step, whatever their clocks say: saving needs all of them.
                share, due = distributed.largest(
                    1.0 if budget.stop else budget.share(self.step), time.monotonic() - saved > save_minutes * 60
                )
                if share >= 1:
                    break
                if due:
                    self.save()
                    saved = time.monotonic()
                terms, hits = self.train_step(share)
                usage += hits
                record.add(terms)
                now = time.monotonic()
                self.spent += now - clock
                clock = now
                bar.update()
                if self.step % 50 == 0 or self.step == 1:
                    self._report(record, usage, bar)
                if self.step % 500 == 0:
                    usage.zero_()
                    self._revive()
                if page_minutes and time.monotonic() - shown_at > page_minutes * 60:
                    self.page()
                    shown_at = time.monotonic()
            self.save()
        if page_minutes:
            self.page()

    def page(self) -> None:
        """Write the run's page; its clips are the same every time."""
        if distributed.rank() == 0:
            crops = Crops(
                self.crops.corpus,
                4 * self.model.config.sample_rate,
                self.config.balance,
                self.config.source_power,
                seed=1,
            )
            write_page(self.folder, self.averaged(), crops.batch(4), self.step)

    def _revive(self) -> None:
        if self.config.decoder_only or self.config.codebook_decay >= 1:
            return
        samples = torch.from_numpy(self.crops.numbered(self.step, self.config.batch)).to(self.device)
        with torch.no_grad():
            latent = self.model.analyse(samples)
        self.books.write(self.model.quantizer)
        revived = self.books.revive(self.model.quantizer, latent.flatten(0, 1))
        if revived:
            log.info("step %d: %d unused codes given new places", self.step, revived)

    def _report(self, record: Record, usage: Tensor, bar: "tqdm[Any]") -> None:
        health = {f"perplexity{i}": round(value) for i, value in enumerate(perplexity(usage).tolist())}
        means = record.write(self.step, self.spent / 3600, health)
        bar.set_postfix({key: f"{means[key]:.3f}" for key in means if key not in ("loss", "rate", "gradient")})


def model_of(state: dict[str, Any]) -> ModelConfig:
    """The model config that a checkpoint was made with."""
    return ModelConfig.from_json(state["shape"])
