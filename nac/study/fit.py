"""Training for any module with a loss: so many minutes or steps, resumable, with its curve on disk."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nac.errors import WeightsError
from nac.training.budget import Budget
from nac.training.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from nac.training.optimizer import DivergedError, optimizer_step
from nac.training.optimizer import learning_rate as rate_at
from nac.training.record import FILE, Record

Loss = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]
FINAL_SHARE, WARMUP, CLIP = 0.03, 20, 1.0
REPORT_EVERY = 10  # steps for each row of metrics.csv


def processor_seconds() -> float:
    """Processor time of this process for each of torch's threads: on a busy machine all systems still learn alike."""
    return time.process_time() / torch.get_num_threads()


def fit(
    module: nn.Module,
    loss: Loss,
    batch: Callable[[int], Tensor],
    folder: Path,
    *,
    minutes: float,
    steps: int = 0,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    save_minutes: float = 2.0,
    progress: bool = False,
    listen: bool = False,
) -> bool:
    """Train `module` with AdamW until `minutes` of processor time or `steps` are spent.

    All calls on `folder` count together. The learning rate falls along a cosine over the budget.

    Args:
        module: What learns.
        loss: Gives the loss of a batch, and its terms for the log.
        batch: Gives the batch of a step.
        folder: Gets metrics.csv, in the form that `nac.training.plots.read_metrics` reads, and checkpoint.pt.
        minutes: Of processor time.
        steps: 0 for no limit.
        learning_rate: The highest.
        weight_decay: Of AdamW.
        save_minutes: Between checkpoints.
        progress: Whether to draw a bar.
        listen: Whether to stop, at SIGINT and SIGTERM, after the step at hand.

    Returns:
        Whether the budget is spent.

    Raises:
        DivergedError: the loss is not finite.
        WeightsError: the folder's checkpoint cannot be read or is that of another module.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    step, spent = _restore(folder / CHECKPOINT, module, optimizer)
    budget = Budget(minutes, steps or 1 << 60, clock=processor_seconds)
    budget.start -= spent
    saved = time.monotonic()
    module.train()
    with (
        budget.listening() if listen else contextlib.nullcontext(),
        open(folder / FILE, "a" if step else "w", newline="") as file,
        tqdm(disable=not progress, unit="step", initial=step) as bar,
    ):
        record = Record(file)
        while (share := budget.share(step)) < 1 and not budget.stop:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(learning_rate, share, step, WARMUP, FINAL_SHARE)
            total, terms = loss(batch(step))
            value = float(total.detach())
            if not math.isfinite(value):
                raise DivergedError(f"training diverged at step {step} (loss {value:.3g}); take a lower learning_rate")
            optimizer_step(total, optimizer, CLIP)
            step += 1
            record.add({"loss": value, **{name: float(term) for name, term in terms.items()}})
            bar.update()
            if step % REPORT_EVERY == 0 or step == 1:
                means = record.write(step, budget.seconds / 3600)
                bar.set_postfix({key: f"{mean:.3f}" for key, mean in means.items()})
            if time.monotonic() - saved > save_minutes * 60:
                _save(folder / CHECKPOINT, module, optimizer, step, budget.seconds)
                saved = time.monotonic()
        if record.rows:
            record.write(step, budget.seconds / 3600)
    _save(folder / CHECKPOINT, module, optimizer, step, budget.seconds)
    module.eval()
    return budget.share(step) >= 1


def _save(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int, spent: float) -> None:
    # "shape" is what `read_checkpoint` knows checkpoints by; here the module itself is the description.
    write_checkpoint(
        path,
        {
            "model": module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "spent": spent,
            "shape": type(module).__name__,
        },
    )


def _restore(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Steps and seconds that are behind; (0, 0) where there is no checkpoint."""
    if not path.exists():
        return 0, 0.0
    state = read_checkpoint(path)
    try:
        module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"]), float(state["spent"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} is not a checkpoint of this system ({str(error).splitlines()[0]}); "
            "remove its folder or choose another"
        ) from None
