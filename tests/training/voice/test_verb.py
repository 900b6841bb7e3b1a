"""`nac train-voice`: from a folder of recordings to a weights file."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from nac.cli import main
from nac.models.config import ModelConfig
from nac.models.model import NacModel
from nac.models.weights import load_model, save_model
from nac.training.budget import Budget
from nac.training.voice.checkpoint import CHECKPOINT
from nac.training.voice.coding import CodedRecordings
from nac.training.voice.parts import FILE, stages_of
from nac.training.voice.run import VoiceRun
from tests.models.voice.small import SIZE, SMALL
from tests.training.voice.made import CONFIG, write_noises, write_voices

#: Settings of the small run that differ from the defaults, but for what the verb finds out by itself.
CHANGED = {
    field.name: getattr(CONFIG, field.name)
    for field in dataclasses.fields(CONFIG)
    if getattr(CONFIG, field.name) not in (field.default, False)
}
SHAPE = {
    field.name: getattr(SMALL, field.name)
    for field in dataclasses.fields(SMALL)
    if getattr(SMALL, field.name) != field.default
}


def train_voice(audio: Path, out: Path, *more: str) -> Result:
    options = [part for name, value in CHANGED.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    options += [part for name, value in SHAPE.items() for part in ("--model-set", f"{name}={json.dumps(value)}")]
    options += ["--codebook-size", str(SIZE), "--threads", str(torch.get_num_threads())]
    return CliRunner().invoke(main, ["train-voice", str(audio), "--out", str(out), *options, *more])


def small_general(path: Path) -> Path:
    torch.manual_seed(0)
    model = NacModel(
        ModelConfig(
            encoder_channels=(4, 16, 80),
            decoder_channels=(4, 16, 80),
            encoder_units=((), (), ()),
            decoder_units=((), (), ()),
            encoder_width=16,
            encoder_blocks=1,
            decoder_width=16,
            decoder_blocks=1,
            codebook_size=SIZE,
        )
    )
    model.spectrum.deviation.fill_(1.0)
    model.spectrum.spread.fill_(1.0)
    save_model(model, path, generation=1)
    return path


def test_from_recordings_to_a_weights_file(tmp_path: Path) -> None:
    audio, run = write_voices(tmp_path / "audio"), tmp_path / "run"
    general = ("--general", str(write_noises(tmp_path / "noises")))
    base = ("--base", str(small_general(tmp_path / "base.safetensors")))
    result = train_voice(audio, run, "--steps", "4", *general, *base)
    assert result.exit_code == 0, result.output
    model, _ = load_model(run / "model.safetensors")
    assert model.voice is not None and model.config.voice == SMALL
    first = model.voice.state_dict()["refinement.out.weight"].clone()

    refused = train_voice(audio, run, "--steps", "6", *base)
    assert refused.exit_code == 2 and "--resume" in refused.output
    prepared = (run / "data" / "audio.npy").stat().st_mtime_ns
    result = train_voice(audio, run, "--steps", "6", "--resume", *base)
    assert result.exit_code == 0, result.output
    assert (run / "data" / "audio.npy").stat().st_mtime_ns == prepared
    later = load_model(run / "model.safetensors")[0].voice
    assert later is not None and not torch.equal(later.state_dict()["refinement.out.weight"], first)


def test_a_signal_ends_a_stage_that_is_then_not_done(start: tuple[Path, CodedRecordings], tmp_path: Path) -> None:
    run = VoiceRun(start[0] / "audio", tmp_path, None, CONFIG, SMALL, SIZE)
    shutil.copytree(start[0] / "data", tmp_path / "data")
    shutil.copy(start[0] / FILE, tmp_path / FILE)
    run.run("all", Budget(stop=True), resume=True)
    assert stages_of(tmp_path / FILE) == ("fit",) and not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--stage", "game"), "run the stages fit and control first"),
        (("--stage", "mode"), "--general"),
        (("--set", "discriminator_seconds=9"), "discriminator_seconds is 9"),
        (("--set", "mel=1"), "there is no setting 'mel'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    result = train_voice(write_voices(tmp_path / "audio"), tmp_path / "run", *more)
    assert result.exit_code == 2
    assert message in result.output and "Traceback" not in result.output
