"""Codes that learn by gradient, and what a run does about codebooks that were refined."""

from pathlib import Path

import pytest
import torch

from nac.errors import OptionError
from nac.models.model import NacModel
from nac.training.codebooks.trainer import dequantize, enable_gradient
from nac.training.trainer import CHECKPOINT
from tests.training.test_training import quantized, trainer

NAME = "quantizer.codebooks"


def test_what_codes_say_is_what_the_decoder_hears() -> None:
    model, _, latent = quantized(beam=2)
    codes = model.quantizer.encode(latent.flatten(0, 1), 12, 2)
    codes[3, 5:], codes[4] = -1, -1
    expected = model.quantizer.decode(codes.T[None])[0]
    torch.testing.assert_close(dequantize(model.quantizer, codes), expected)
    assert not dequantize(model.quantizer, codes)[4].any()


def test_the_gradient_reaches_the_codes_in_use_and_what_they_code() -> None:
    model, books, latent = quantized(beam=2)
    enable_gradient(model.quantizer)
    latent.requires_grad_()
    out, loss, usage = books.quantize(model.quantizer, latent, torch.tensor([6, 9]), learn=False)
    weights = torch.randn_like(out)
    ((out * weights).sum() + 0 * loss).backward()
    torch.testing.assert_close(latent.grad, weights)
    gradient = model.quantizer.codebooks.grad
    assert gradient is not None
    assert torch.equal(gradient.abs().amax(2) > 0, usage > 0)
    for index in range(12):
        assert not gradient[index, :, model.config.codebook_dim(index) :].any()
    # Every stage has what all its frames' gradients add up to.
    size = model.config.codebook_dim(0)
    torch.testing.assert_close(gradient[0].sum(0)[:size], weights.sum((0, 1))[:size], atol=1e-4, rtol=1e-4)


def test_codes_move_by_gradient_and_are_averaged_saved_and_resumed(tmp_path: Path) -> None:
    run = trainer(tmp_path, codebook_share=0.5, codebook_decay=1.0, any_n_codebooks=0.0)
    before = run.model.quantizer.codebooks.detach().clone()
    for _ in range(4):
        run.train_step(0.0)
    moved = (run.model.quantizer.codebooks.detach() - before).abs()
    assert moved[0].max() > 0 and not moved[4:].any()  # no rate of this run has more than four
    assert not torch.equal(run.average[NAME], before)
    assert torch.equal(run.averaged().quantizer.codebooks, run.average[NAME])
    run.save()
    rest = [run.train_step(0.0)[0]["loss"] for _ in range(3)]
    again = trainer(tmp_path, NacModel(run.model.config), codebook_share=0.5, codebook_decay=1.0, any_n_codebooks=0.0)
    again.restore(tmp_path / CHECKPOINT)
    assert [again.train_step(0.0)[0]["loss"] for _ in range(3)] == rest


def test_a_stage_with_running_means_does_not_bring_learned_codes_back(tmp_path: Path) -> None:
    run = trainer(tmp_path, codebook_share=0.5, codebook_decay=1.0)
    run.train_step(0.0)
    run.save()
    second = trainer(tmp_path)
    second.restore(tmp_path / CHECKPOINT, weights_only=True)
    assert torch.equal(second.model.quantizer.codebooks, run.average[NAME])
    with torch.no_grad():
        second.model.quantizer.codebooks[0] = 1.0
    assert torch.equal(second.averaged().quantizer.codebooks, second.model.quantizer.codebooks)


@pytest.mark.parametrize("changes", [{"codebook_share": 0.5, "codebook_decay": 1.0}, {}])
def test_refined_codebooks_stay_refined(tmp_path: Path, changes: dict[str, float]) -> None:
    run = trainer(tmp_path, **changes)
    before = run.model.quantizer.codebooks.detach().clone()
    run.refine(400)
    refined = run.model.quantizer.codebooks.detach().clone()
    assert (refined - before).abs().amax() > 0.001
    run.books.pending = 12
    run.save()
    torch.testing.assert_close(run.averaged().quantizer.codebooks.detach(), refined)


@pytest.mark.parametrize(
    "changes", [{}, {"codebook_decay": 1.0, "decoder_only": True}, {"codebook_decay": 1.0, "beam": 1}]
)
def test_two_ways_to_learn_at_once_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="codebook_share=0"):
        trainer(tmp_path, codebook_share=0.5, **changes)
