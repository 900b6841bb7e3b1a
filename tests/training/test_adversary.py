"""The discriminators learn to tell, the decoder learns from them, and the codes stay as they are."""

import dataclasses
from pathlib import Path

import torch

from nac.models.model import NacModel
from nac.training.adversarial.adversary import Adversary
from nac.training.adversarial.discriminators import Discriminators, feature_loss, fool_loss, judge_loss, same_level
from nac.training.trainer import CHECKPOINT
from tests.training.test_training import CONFIG, crops, trainer

GAME = {
    "adversarial": 0.1,
    "feature": 0.1,
    "judge_steps": 1,
    "judged_seconds": 0.2,
    "judge_windows": (512, 256),
    "judge_channels": 4,
}


def test_discriminators_learn_to_tell_noisy_from_clean() -> None:
    torch.manual_seed(0)
    game = Adversary(
        dataclasses.replace(CONFIG, **{**GAME, "judge_steps": 1000, "judge_rate": 2e-3}), 24_000, torch.device("cpu")
    )
    clean = torch.from_numpy(crops(1).batch(4))
    losses = [float(game.play(clean, clean + 0.02 * torch.randn_like(clean), 0)[1]["judge"]) for _ in range(40)]
    assert losses[-1] < 0.6 * losses[0]


def test_the_gradient_reaches_the_output_and_not_the_discriminators() -> None:
    game = Adversary(dataclasses.replace(CONFIG, **{**GAME, "judge_steps": 0}), 24_000, torch.device("cpu"))
    clean = torch.from_numpy(crops(1).batch(2))
    output = (clean + 0.02 * torch.randn_like(clean)).requires_grad_()
    added, _ = game.play(clean, output, 0)
    game.optimiser.zero_grad(set_to_none=True)
    added.backward()
    assert output.grad is not None and bool(output.grad[:, :4800].any()) and not output.grad[:, 4800:].any()
    assert all(p.grad is None for p in game.judges.parameters())


def test_losses_of_perfect_and_hopeless_play() -> None:
    right, wrong = [(torch.ones(1, 1, 2, 2), [])], [(torch.zeros(1, 1, 2, 2), [])]
    assert float(judge_loss(right, wrong)) == 0 and float(judge_loss(wrong, right)) == 2
    assert float(fool_loss(right)) == 0 and float(fool_loss(wrong)) == 1
    judges = Discriminators((256,), 4)
    sound = torch.randn(1, 4800)
    assert float(feature_loss(judges(sound), judges(sound)).detach()) == 0
    assert float(feature_loss(judges(sound), judges(2 * sound)).detach()) > 0.01


def test_level_does_not_matter() -> None:
    judges = Discriminators((256,), 4)
    clean = torch.randn(2, 4800) * 0.1
    loud, quiet = (judges(same_level(gain * clean, clean)[0])[0][0] for gain in (1.0, 0.1))
    torch.testing.assert_close(loud, quiet, atol=1e-2, rtol=0)


def test_the_adversarial_phase_changes_the_decoder_alone(tmp_path: Path) -> None:
    run = trainer(tmp_path, decoder_only=True, **GAME)
    books = run.model.quantizer.codebooks.clone()
    encoder = [p.clone() for p in run.model.encoder.parameters()]
    for _ in range(4):
        terms, _ = run.advance(0.0)
    assert terms["fool"] > 0 and terms["feature"] > 0
    assert torch.equal(books, run.model.quantizer.codebooks)
    assert all(torch.equal(a, b) for a, b in zip(encoder, run.model.encoder.parameters(), strict=True))


def test_resuming_the_game_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    straight = trainer(tmp_path, **GAME)
    for _ in range(3):
        straight.advance(0.0)
    straight.save()
    rest = [straight.advance(0.0)[0] for _ in range(3)]
    resumed = trainer(tmp_path, NacModel(straight.model.config), **GAME)
    resumed.restore(tmp_path / CHECKPOINT)
    assert [resumed.advance(0.0)[0] for _ in range(3)] == rest


def test_it_can_be_switched_on_from_a_checkpoint_without_it(tmp_path: Path) -> None:
    plain = trainer(tmp_path)
    plain.advance(0.0)
    plain.save()
    game = trainer(tmp_path, **GAME)
    game.restore(tmp_path / CHECKPOINT, weights_only=True)
    assert game.advance(0.0)[0]["judge"] > 0
