"""Growing a trained model."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch

from nac.errors import OptionError
from nac.models.weights import load_model, save_model
from nac.synthetic import speech_like
from nac.training.grow import grow
from tests.conftest import small_model


def test_a_grown_model_sounds_as_before_and_all_of_it_learns() -> None:
    model = small_model(codebooks=4)
    shape = dataclasses.replace(model.config, encoder_blocks=3, decoder_blocks=5)
    grown = grow(model, shape)
    assert grown.config == shape and not grown.training
    samples = torch.from_numpy(speech_like(9600))[None]
    latent = model.analyse(samples)
    assert torch.equal(grown.analyse(samples), latent)
    rate = torch.full(latent.shape[:2], 4)
    assert torch.equal(grown.synthesise(latent, rate), model.synthesise(latent, rate))
    (grown.synthesise(latent.detach(), rate).square().mean() + grown.analyse(samples).square().mean()).backward()
    for block in (*grown.encoder.blocks[2:], *grown.decoder.blocks[2:]):
        gradient = block.out.weight.grad
        assert isinstance(gradient, torch.Tensor) and gradient.any()


@pytest.mark.parametrize(
    "change",
    [{"decoder_blocks": 1}, {"decoder_width": 32}, {"codebooks": 5}, {"encoder_blocks": 1, "decoder_blocks": 3}],
)
def test_other_shapes_are_refused(change: dict[str, int]) -> None:
    model = small_model(codebooks=4)
    with pytest.raises(OptionError, match="only grow"):
        grow(model, dataclasses.replace(model.config, **change))  # type: ignore[arg-type]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "nac", "train", *arguments, "--page-minutes", "0", "--set=batch=2"],
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_training_goes_on_from_smaller_weights(tmp_path: Path) -> None:
    start, audio, out = tmp_path / "start.safetensors", tmp_path / "audio", tmp_path / "run"
    number = save_model(small_model(codebooks=12), start, generation=0)
    audio.mkdir()
    soundfile.write(audio / "a.wav", speech_like(60_000), 24_000)
    done = run(
        str(audio),
        "--init",
        str(start),
        "--out",
        str(out),
        "--steps",
        "2",
        "--model-set=decoder_blocks=3",
        "--set=codebook_decay=1",
        "--set=n_codebooks=[[12, 1.0]]",
    )
    assert done.returncode == 0, done.stderr
    model, notes = load_model(out / "model.safetensors")
    assert model.config.decoder_blocks == 3 and notes["fingerprint"] == f"{number:08x}"
    assert model.decoder.blocks[2].out.weight.any()  # type: ignore[operator, union-attr]
    failed = run(str(audio), "--init", str(start), "--out", str(tmp_path / "x"), "--model-set=decoder_width=32")
    assert failed.returncode == 2 and "only grow" in failed.stderr and "Traceback" not in failed.stderr
    failed = run(str(audio), "--resume", "--out", str(out), "--model-set=decoder_blocks=4")
    assert failed.returncode == 2 and "--model-set" in failed.stderr and "Traceback" not in failed.stderr
