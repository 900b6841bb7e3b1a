import math
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nac.errors import WeightsError
from nac.study.fit import fit
from nac.training.plots import read_metrics
from nac.training.trainer import DivergedError


def batch(step: int) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(step))


def start() -> tuple[nn.Linear, object]:
    torch.manual_seed(0)
    module = nn.Linear(3, 3)

    def loss(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        error = (module(x) - 2 * x).square().mean()
        return error, {"error": error.detach()}

    return module, loss


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, loss = start()
    (tmp_path / "whole").mkdir()
    assert fit(whole, loss, batch, tmp_path / "whole", minutes=math.inf, steps=40, learning_rate=0.05)  # type: ignore[arg-type]
    parts, loss = start()

    def broken(step: int) -> Tensor:
        if step == 23:
            raise KeyboardInterrupt
        return batch(step)

    (tmp_path / "parts").mkdir()
    with pytest.raises(KeyboardInterrupt):
        fit(
            parts,
            loss,
            broken,
            tmp_path / "parts",
            minutes=math.inf,
            steps=40,
            learning_rate=0.05,  # type: ignore[arg-type]
            save_minutes=0,
        )
    parts, loss = start()
    assert fit(parts, loss, batch, tmp_path / "parts", minutes=math.inf, steps=40, learning_rate=0.05)  # type: ignore[arg-type]
    assert torch.equal(parts.weight, whole.weight)
    rows = read_metrics([tmp_path / "whole"])
    assert rows[-1]["step"] == 40 and rows[-1]["error"] < 0.8 * rows[0]["error"]


def test_spent_time_counts_in_all_calls_together(tmp_path: Path) -> None:
    module, loss = start()
    assert fit(module, loss, batch, tmp_path, minutes=math.inf, steps=5)  # type: ignore[arg-type]
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({**state, "spent": 3600.0}, tmp_path / "checkpoint.pt")
    before = module.weight.clone()
    assert fit(module, loss, batch, tmp_path, minutes=59)  # type: ignore[arg-type]
    assert torch.equal(module.weight, before)


def test_a_signal_ends_it_and_then_means_what_it_meant(tmp_path: Path) -> None:
    module, loss = start()

    def signalled(step: int) -> Tensor:
        if step == 3:
            signal.raise_signal(signal.SIGTERM)
        return batch(step)

    before = signal.getsignal(signal.SIGTERM)
    assert not fit(module, loss, signalled, tmp_path, minutes=math.inf, steps=100, listen=True)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) is before
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4


def test_divergence_and_foreign_checkpoints_are_said(tmp_path: Path) -> None:
    module, _ = start()
    with pytest.raises(DivergedError, match="lower learning_rate"):
        fit(module, lambda x: (module(x).sum() * torch.nan, {}), batch, tmp_path, minutes=1)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a checkpoint"):
        fit(module, lambda x: (module(x).sum(), {}), batch, tmp_path, minutes=1)
