"""The objective as a measure of weights: what it says of clips, and the command that prints it."""

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch

from nac.models.weights import save_model
from nac.synthetic import speech_like
from nac.training.data.corpus import cut
from nac.training.measure import measure
from tests.conftest import small_model
from tests.training.test_training import CONFIG, corpus, trainer


@pytest.mark.slow
def test_it_is_the_loss_that_training_lowers(tmp_path: Path) -> None:
    run = trainer(tmp_path, decoder_only=True, codebook_decay=1.0, learning_rate=3e-3)
    before = measure(run.model.eval(), corpus(), 4, run.config, seconds=1.0)
    run.model.train()
    for _ in range(40):
        run.train_step(0.0)
    after = measure(run.model.eval(), corpus(), 4, run.config, seconds=1.0)
    assert sorted(before) == ["music", "speech"]
    assert after["speech"]["loss"] < before["speech"]["loss"] - 0.02
    assert after["speech"]["commitment"] == pytest.approx(before["speech"]["commitment"], rel=1e-5)


def test_it_means_over_the_clips_of_a_kind() -> None:
    model, config, found = small_model(codebooks=12), CONFIG, corpus()
    whole = measure(model, found, 2, config, seconds=0.5)["speech"]
    singles = []
    for source, clips in found.clips["speech"].items():
        for clip in clips:
            alone = type(found)(24_000, {"speech": {source: [clip]}})
            singles.append(measure(model, alone, 2, config, seconds=0.5)["speech"]["mel"])
    assert whole["mel"] == pytest.approx(sum(singles) / len(singles), rel=1e-5)
    assert len({round(value, 6) for value in singles}) == len(singles)
    # And a clip shorter than asked for counts as if silence followed it.
    clip = found.clips["music"]["c"][0]
    assert torch.from_numpy(cut(clip, 0, len(clip) + 5))[-5:].abs().max() == 0


@pytest.mark.slow
def test_the_command_prints_a_row_for_each_and_refuses_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "speech"
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", speech_like(24_000), 24_000)
    weights = tmp_path / "w.safetensors"
    save_model(small_model(codebooks=12), weights, generation=0)

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "nac", "training-losses", *map(str, arguments)], capture_output=True, text=True
        )

    done = run(tmp_path / "clips", weights, "--codebooks", 2, "--codebooks", 4, "--seconds", 1)
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert done.returncode == 0 and [row[:3] for row in rows] == [["| w.safetensors", "speech", n] for n in "24"]
    assert all(float(row[3]) > 0 for row in rows)
    for arguments in (
        (tmp_path / "none", weights),
        (tmp_path / "clips", tmp_path / "none.safetensors"),
        (tmp_path / "clips", weights, "--codebooks", 13),
    ):
        done = run(*arguments)
        assert done.returncode and not done.stdout.splitlines()[2:] and "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 4
