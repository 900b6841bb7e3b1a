"""Training for any module with a loss: so many minutes or steps, resumable, with its curve on disk."""

from __future__ import annotations

import contextlib
import csv
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nac.errors import WeightsError
from nac.files import replacing
from nac.training.loop import CHECKPOINT, Budget, DivergedError, read_checkpoint

Loss = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]
FINAL_SHARE, WARMUP, CLIP = 0.03, 20, 1.0
REPORT_EVERY = 10  # steps for each row of metrics.csv


def fit(module: nn.Module, loss: Loss, batch: Callable[[int], Tensor], folder: Path, *, minutes: float, steps: int = 0,
        learning_rate: float = 1e-3, weight_decay: float = 0.01, save_minutes: float = 2.0, progress: bool = False,
        listen: bool = False) -> bool:
    """Train `module` with AdamW until `minutes` of training or `steps` are spent, in all calls on `folder` together.

    `batch` gives the batch of a step, `loss` its loss and terms; the learning rate falls along a cosine over the
    budget.
    The folder gets metrics.csv, in the form that `nac.training.plots.read_metrics` reads, and checkpoint.pt.
    `listen`: at SIGINT and SIGTERM stop after the step at hand. Returns whether the budget is spent.

    Raises:
        DivergedError: the loss is not finite.
        WeightsError: the folder's checkpoint cannot be read or is that of another module.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    step, spent = _restore(folder / CHECKPOINT, module, optimiser)
    budget = Budget(minutes, steps or 1 << 60)
    budget.start -= spent
    saved = time.monotonic()
    window: list[dict[str, float]] = []
    module.train()
    with (_listening(budget, listen), open(folder / "metrics.csv", "a" if step else "w", newline="") as file,
          tqdm(disable=not progress, unit="step", initial=step) as bar):
        writer = csv.writer(file)

        def report() -> None:
            means = {key: sum(row[key] for row in window) / len(window) for key in window[0]}
            if file.tell() == 0:
                writer.writerow(["step", "hours", *means])
            hours = (time.monotonic() - budget.start) / 3600
            writer.writerow([step, f"{hours:.6f}", *(f"{value:.6g}" for value in means.values())])
            file.flush()
            bar.set_postfix({key: f"{value:.3f}" for key, value in means.items()})
            window.clear()

        while (share := budget.share(step)) < 1 and not budget.stop:
            fall = FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * share))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * fall * min(1.0, (step + 1) / WARMUP)
            total, terms = loss(batch(step))
            if not math.isfinite(float(total.detach())):
                raise DivergedError(f"training diverged at step {step} (loss {float(total.detach()):.3g}); "
                                    "take a lower learning_rate")
            optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            if math.isfinite(float(nn.utils.clip_grad_norm_(parameters, CLIP))):
                optimiser.step()
            step += 1
            window.append({"loss": float(total.detach()), **{name: float(value) for name, value in terms.items()}})
            bar.update()
            if step % REPORT_EVERY == 0 or step == 1:
                report()
            if time.monotonic() - saved > save_minutes * 60:
                _save(folder / CHECKPOINT, module, optimiser, step, time.monotonic() - budget.start)
                saved = time.monotonic()
        if window:
            report()
    _save(folder / CHECKPOINT, module, optimiser, step, time.monotonic() - budget.start)
    module.eval()
    return budget.share(step) >= 1


@contextlib.contextmanager
def _listening(budget: Budget, listen: bool) -> Iterator[None]:
    """Signals end the training; afterwards they do again what they did before."""
    numbers = (signal.SIGINT, signal.SIGTERM) if listen else ()
    before = [signal.getsignal(number) for number in numbers]
    if listen:
        budget.listen()
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _save(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, step: int, spent: float) -> None:
    # "shape" is what `read_checkpoint` knows checkpoints by; here the module itself is the description.
    state = {"model": module.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent,
             "shape": type(module).__name__}
    with replacing(path) as temporary:
        torch.save(state, temporary)


def _restore(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Steps and seconds that are behind; (0, 0) where there is no checkpoint."""
    if not path.exists():
        return 0, 0.0
    state = read_checkpoint(path)
    try:
        module.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"]), float(state["spent"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no checkpoint of this system ({str(error).splitlines()[0]}); "
                           "remove its folder or choose another") from None
