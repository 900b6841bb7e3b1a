"""The control network, the game and the classifier learn, stay finite, and go on after an interruption."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nac.errors import WeightsError
from nac.models.config import VoiceConfig
from nac.models.voice.refinement import Refinement
from nac.training.adversarial.discriminators import Discriminators
from nac.training.budget import Budget
from nac.training.losses.spectra import spectral_distance
from nac.training.optimizer import DivergedError
from nac.training.voice.average import Average
from nac.training.voice.checkpoint import CHECKPOINT, write_checkpoint
from nac.training.voice.coding import CodedRecordings
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.control import train_control
from nac.training.voice.examples import Stretch, parameters, samples
from nac.training.voice.game import Game
from nac.training.voice.mode import train_mode
from nac.training.voice.parts import FILE, load_parts
from nac.training.voice.prepare import prepare
from tests.training.voice.made import AUDIBLE, CONFIG, write_noises


def new_game(start: tuple[Path, CodedRecordings], folder: Path, bfloat16: bool = False, **settings: object) -> Game:
    folder.mkdir(exist_ok=True)
    config = dataclasses.replace(AUDIBLE, **settings)  # type: ignore[arg-type]
    return Game(load_parts(start[0] / FILE), start[1], config, folder, bfloat16)


def test_the_control_network_comes_nearer_to_the_analysis(start: tuple[Path, CodedRecordings]) -> None:
    config = dataclasses.replace(CONFIG, control_steps=60, control_learning_rate=3e-3)
    terms = train_control(load_parts(start[0] / FILE), start[1], config, False, Budget())
    assert terms["bands"] + terms["aperiodicity"] < 0.97 * (terms["bands_before"] + terms["aperiodicity_before"])


def test_discriminators_learn_alone_first(start: tuple[Path, CodedRecordings], tmp_path: Path) -> None:
    game = new_game(start, tmp_path)
    before = {name: value.clone() for name, value in game.decoder.state_dict().items()}
    seen = next(game.adversarial.discriminators.parameters()).clone()
    for _ in range(2):
        assert game.train_step()["generator_loss"] == 0
    assert all(torch.equal(value, before[name]) for name, value in game.decoder.state_dict().items())
    assert not torch.equal(next(game.adversarial.discriminators.parameters()), seen)
    game.train_step()
    changed = {name for name, value in game.decoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("refinement.") for name in changed)


def test_the_output_is_aligned_with_the_recording(start: tuple[Path, CodedRecordings], tmp_path: Path) -> None:
    """With every codebook the low band is a waveform: shifted by 2 ms it fits worse."""
    game = new_game(start, tmp_path, all_envelope=1.0, low_band_counts=(7,), hops=40, batch=4)
    rng = np.random.default_rng(0)
    stretches = [game._audible(rng) for _ in range(4)]
    with torch.no_grad():
        output = game._decode(stretches, game._codes(stretches, rng), torch.Generator().manual_seed(0))
    sound = samples(game.coded.recordings, stretches)[:, 2 * 480 : -480]
    assert output.shape == sound.shape
    fit = [float((output[:, 100 + lag : -100 + lag] * sound[:, 100:-100]).sum()) for lag in (-48, 0, 48)]
    assert fit[1] > max(0.0, fit[0], fit[2])


@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_game_is_finite_from_the_first_step_of_the_decoder(
    start: tuple[Path, CodedRecordings], tmp_path: Path, bfloat16: bool
) -> None:
    game = new_game(start, tmp_path, bfloat16, discriminator_warmup=0, silence=0.0)
    for _ in range(4):
        terms = game.train_step()
        assert all(math.isfinite(value) for value in terms.values()), terms
        assert terms["gradient_norm"] > 0
    assert all(torch.isfinite(value).all() for value in game.decoder.state_dict().values())


def test_what_is_not_finite_is_named_and_changes_nothing(start: tuple[Path, CodedRecordings], tmp_path: Path) -> None:
    game = new_game(start, tmp_path, discriminator_warmup=0)
    before = {name: value.clone() for name, value in game.refinement.named_parameters()}
    game.refinement.norm.weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(DivergedError, match=r"step 0: gradient of norm\.weight;"):
        game.train_step()
    assert all(torch.equal(value, before[name]) for name, value in game.refinement.named_parameters())


def test_a_resumed_game_goes_on_as_one_without_interruption(
    start: tuple[Path, CodedRecordings], tmp_path: Path
) -> None:
    whole = new_game(start, tmp_path / "whole")
    whole.run(Budget(steps=8), 5.0, log_steps=2)
    parts = new_game(start, tmp_path / "parts")
    parts.run(Budget(steps=5), 5.0, log_steps=2)
    again = new_game(start, tmp_path / "parts")
    again.restore()
    assert again.step == 5 and again.passed == parts.passed and again.seconds == parts.seconds
    for name, value in parts.refinement.named_parameters():
        assert torch.equal(dict(again.refinement.named_parameters())[name], value)
        assert torch.allclose(again.average.values[name], parts.average.values[name], atol=1e-5)
    again.run(Budget(steps=8), 5.0, log_steps=2)
    start_of = load_parts(start[0] / FILE).refinement.state_dict()
    moved = error = 0.0
    for name, value in whole.refinement.named_parameters():
        moved += float((value - start_of[name]).detach().square().sum())
        error += float((value - dict(again.refinement.named_parameters())[name]).detach().square().sum())
    assert error < 1e-3 * moved
    assert (tmp_path / "parts" / "metrics.csv").read_text().count("step") == 1


def test_a_checkpoint_of_other_shapes_is_refused(start: tuple[Path, CodedRecordings], tmp_path: Path) -> None:
    new_game(start, tmp_path).save()
    with pytest.raises(WeightsError, match="other shapes"):
        new_game(start, tmp_path, discriminator_channels=16).restore()


def test_a_checkpoint_of_the_default_networks_is_at_most_64_mib(tmp_path: Path) -> None:
    config = VoiceTrainingConfig()
    refinement = Refinement(VoiceConfig())
    discriminators = Discriminators(
        config.discriminator_windows,
        config.discriminator_channels,
        config.discriminator_periods,
        config.period_channels,
    )
    optimizers = {}
    for key, module in (("refinement", refinement), ("discriminators", discriminators)):
        optimizers[key] = torch.optim.AdamW(module.parameters())
        sum(p.sum() for p in module.parameters()).backward()  # type: ignore[union-attr]
        optimizers[key].step()
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, refinement, Average(refinement, 0.999).values, discriminators, optimizers, {"step": 1})
    assert path.stat().st_size <= 64 << 20


def test_the_spectral_distance_grows_with_the_error() -> None:
    x = torch.randn(2, 4800, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, 4800, generator=torch.Generator().manual_seed(1))
    small, large = (float(spectral_distance(x, x + size * noise)) for size in (0.1, 1.0))
    assert float(spectral_distance(x, x)) == 0 < small < large
    silent = torch.zeros(1, 4800, requires_grad=True)
    spectral_distance(x[:1], silent).backward()  # type: ignore[no-untyped-call]
    assert silent.grad is not None and bool(torch.isfinite(silent.grad).all())


def test_the_classifier_tells_voices_from_noise(start: tuple[Path, CodedRecordings], tmp_path: Path) -> None:
    others = prepare(write_noises(tmp_path / "noises"), tmp_path / "general")
    classifier = train_mode(start[1].recordings, others, CONFIG, Budget())
    with torch.no_grad():
        found = [
            classifier.decide(parameters(some, [Stretch(0, 0, 120, 0.0)]), {})[0, 60:].float().mean()
            for some in (start[1].recordings, others)
        ]
    assert found[0] > 0.9 and found[1] < 0.1
