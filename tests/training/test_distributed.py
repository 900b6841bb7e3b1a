"""Two processes on one machine train one model: torchrun starts them, gloo connects them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from nac.synthetic import speech_like
from nac.training.trainer import CHECKPOINT, read_checkpoint

ROOT = Path(__file__).parents[2]
WORKER = """
import hashlib, json, sys
from pathlib import Path
from nac.training import distributed
from nac.training.trainer import Budget
distributed.start("cpu")
from tests.training.test_training import crops, trainer
run = trainer(Path(sys.argv[1]), adversarial=0.1, discriminator_warmup=1, discriminator_seconds=0.2,
              discriminator_windows=[256])
run.crops = crops(distributed.rank())
run.run(Budget(steps=4), progress=False)
def digest(tensors):
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()
out = {"model": digest(run.model.parameters()), "books": digest([run.model.quantizer.codebooks]),
       "discriminators": digest(run.adversarial.discriminators.parameters()), "draw": float(run.crops.batch(1).sum())}
Path(sys.argv[1], f"rank{distributed.rank()}.json").write_text(json.dumps(out))
distributed.stop()
"""


def torchrun(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs another store there")
def test_all_processes_hold_the_same_model(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    torchrun(str(worker), str(tmp_path))
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    for part in ("model", "books", "discriminators"):
        assert first[part] == second[part], part
    # And not because both saw the same audio.
    assert first["draw"] != second["draw"]
    assert read_checkpoint(tmp_path / CHECKPOINT)["step"] == 4


@pytest.mark.slow
def test_processes_whose_clocks_differ_save_together(tmp_path: Path) -> None:
    """Saving needs all processes; one that would save alone waits for the others' gradients and gets nonsense."""
    worker = tmp_path / "worker.py"
    worker.write_text("""
import itertools, sys
from pathlib import Path
from nac.training import distributed, trainer as loop
distributed.start("cpu")
from tests.training.test_training import trainer
class Clock:
    ticks = itertools.count()
    monotonic = staticmethod(lambda: next(Clock.ticks) * (20.0 if distributed.rank() else 0.001))
loop.time = Clock
run = trainer(Path(sys.argv[1]))
saves, write = [], loop.write_checkpoint
loop.write_checkpoint = lambda path, state: (saves.append(state["step"]), write(path, state))
run.run(loop.Budget(steps=8), save_minutes=1.0, progress=False)
Path(sys.argv[1], f"rank{distributed.rank()}.txt").write_text(repr(saves))
distributed.stop()
""")
    torchrun(str(worker), str(tmp_path))
    # The second process's clock says when, the first one writes.
    assert (tmp_path / "rank0.txt").read_text() == "[2, 4, 6, 8]" and (tmp_path / "rank1.txt").read_text() == "[]"


@pytest.mark.slow
def test_the_verb_runs_under_torchrun(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "audio" / "speech" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, speech_like(48_000, seed=number), 24_000)
    shapes = {
        "encoder_width": 24,
        "decoder_width": 24,
        "encoder_blocks": 1,
        "decoder_blocks": 1,
        "codebooks": 12,
        "codebook_size": 64,
        "layers": [[0, 40]],
    }
    settings = {"batch": 2, "seconds": 0.5, "n_codebooks": [[12, 1.0]]}
    torchrun(
        "-m",
        "nac",
        "train",
        str(tmp_path / "audio"),
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "3",
        "--fit-frames",
        "2000",
        "--page-minutes",
        "0",
        *(f"--model-set={key}={json.dumps(value)}" for key, value in shapes.items()),
        *(f"--set={key}={json.dumps(value)}" for key, value in settings.items()),
    )
    assert (tmp_path / "run" / "model.safetensors").stat().st_size > 10_000
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 2
