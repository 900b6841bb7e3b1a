"""The discriminators learn to tell, the decoder learns from them, and the codes stay as they are."""

import dataclasses
from pathlib import Path

import torch

from nac.models.model import NacModel
from nac.training.adversarial.discriminators import Discriminators
from nac.training.adversarial.losses import discriminator_loss, feature_loss, generator_loss, same_level
from nac.training.adversarial.trainer import AdversarialTrainer
from nac.training.trainer import CHECKPOINT
from tests.training.test_training import CONFIG, crops, trainer

ADVERSARIAL = {
    "adversarial": 0.1,
    "feature": 0.1,
    "discriminator_warmup": 1,
    "discriminator_seconds": 0.2,
    "discriminator_windows": (512, 256),
    "discriminator_channels": 8,
}


def test_discriminators_learn_to_tell_noisy_from_clean() -> None:
    torch.manual_seed(0)
    adversarial = AdversarialTrainer(
        dataclasses.replace(
            CONFIG, **{**ADVERSARIAL, "discriminator_warmup": 1000, "discriminator_learning_rate": 2e-3}
        ),
        24_000,
        torch.device("cpu"),
    )
    clean = torch.from_numpy(crops(1).batch(4))
    losses = [
        float(adversarial.step(clean, clean + 0.02 * torch.randn_like(clean), 0)[1]["discriminator_loss"])
        for _ in range(40)
    ]
    assert losses[-1] < 0.6 * losses[0]


def test_the_gradient_reaches_the_output_and_not_the_discriminators() -> None:
    adversarial = AdversarialTrainer(
        dataclasses.replace(CONFIG, **{**ADVERSARIAL, "discriminator_warmup": 0}), 24_000, torch.device("cpu")
    )
    clean = torch.from_numpy(crops(1).batch(2))
    output = (clean + 0.02 * torch.randn_like(clean)).requires_grad_()
    added, _ = adversarial.step(clean, output, 0)
    adversarial.optimizer.zero_grad(set_to_none=True)
    added.backward()
    assert output.grad is not None and bool(output.grad[:, :4800].any()) and not output.grad[:, 4800:].any()
    assert all(p.grad is None for p in adversarial.discriminators.parameters())


def test_losses_of_perfect_and_hopeless_discriminators() -> None:
    right, wrong = [(torch.ones(1, 1, 2, 2), [])], [(torch.zeros(1, 1, 2, 2), [])]
    assert float(discriminator_loss(right, wrong)) == 0 and float(discriminator_loss(wrong, right)) == 2
    assert float(generator_loss(right)) == 0 and float(generator_loss(wrong)) == 1
    discriminators = Discriminators((256,), 8, (3,), 12)
    sound = torch.randn(1, 4800)
    assert float(feature_loss(discriminators(sound), discriminators(sound)).detach()) == 0
    assert float(feature_loss(discriminators(sound), discriminators(2 * sound)).detach()) > 0.01


def test_level_does_not_matter() -> None:
    discriminators = Discriminators((256,), 8, (3,), 12)
    clean = torch.randn(2, 4800) * 0.1
    loud, quiet = (discriminators(same_level(gain * clean, clean)[0])[0][0] for gain in (1.0, 0.1))
    torch.testing.assert_close(loud, quiet, atol=1e-2, rtol=0)


def test_the_adversarial_phase_changes_the_decoder_alone(tmp_path: Path) -> None:
    run = trainer(tmp_path, decoder_only=True, **ADVERSARIAL)
    books = run.model.quantizer.codebooks.clone()
    encoder = [p.clone() for p in run.model.encoder.parameters()]
    for _ in range(4):
        terms, _ = run.train_step(0.0)
    assert terms["generator_loss"] > 0 and terms["feature_loss"] > 0
    assert torch.equal(books, run.model.quantizer.codebooks)
    assert all(torch.equal(a, b) for a, b in zip(encoder, run.model.encoder.parameters(), strict=True))


def test_resuming_the_adversarial_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    straight = trainer(tmp_path, **ADVERSARIAL)
    for _ in range(3):
        straight.train_step(0.0)
    straight.save()
    rest = [straight.train_step(0.0)[0] for _ in range(3)]
    resumed = trainer(tmp_path, NacModel(straight.model.config), **ADVERSARIAL)
    resumed.restore(tmp_path / CHECKPOINT)
    assert [resumed.train_step(0.0)[0] for _ in range(3)] == rest


def test_it_can_be_switched_on_from_a_checkpoint_without_it(tmp_path: Path) -> None:
    plain = trainer(tmp_path)
    plain.train_step(0.0)
    plain.save()
    adversarial = trainer(tmp_path, **ADVERSARIAL)
    adversarial.restore(tmp_path / CHECKPOINT, weights_only=True)
    assert adversarial.train_step(0.0)[0]["discriminator_loss"] > 0
