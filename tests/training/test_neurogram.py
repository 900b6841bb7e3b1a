"""The loss on neurograms: what it hears, and what it forgives; the search that training codes with."""

import pytest
import torch

from nac.training.codebooks.trainer import CodebookTrainer
from nac.training.losses.neurogram import NeurogramLoss
from tests.conftest import small_model, speech_like

RATE = 24_000


def clean() -> torch.Tensor:
    return torch.from_numpy(speech_like(2 * RATE))[None]


def band_gain(samples: torch.Tensor, low: float, high: float, gain: float) -> torch.Tensor:
    """Samples with what lies between two frequencies in Hz times `gain`."""
    spectrum = torch.fft.rfft(samples)
    frequency = torch.fft.rfftfreq(samples.shape[-1], 1 / RATE)
    spectrum[:, (frequency >= low) & (frequency < high)] *= gain
    return torch.fft.irfft(spectrum, samples.shape[-1])


def test_unlikeness_grows_with_noise() -> None:
    loss, x = NeurogramLoss(RATE), clean()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    values = [float(loss(x, x + scale * noise)[0]) for scale in (0.0, 0.003, 0.03)]
    assert values[0] < 1e-3 and values[0] < values[1] < values[2]


def test_a_band_turned_down_is_noticed_beyond_two_decibels() -> None:
    loss, x = NeurogramLoss(RATE), clean()
    level = [float(loss(x, band_gain(x, 500, 3000, 10 ** (decibel / 20)))[1]) for decibel in (0, -1, -6, -12)]
    assert level[0] < 1e-3 and level[1] < 0.01 and 0.1 < level[2] < level[3]


def test_the_way_back_to_the_level_is_the_way_down() -> None:
    loss, x = NeurogramLoss(RATE), clean()
    quiet = band_gain(x, 500, 3000, 0.4).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x, quiet)[1].sum(), quiet)
    step = band_gain(x, 500, 3000, 0.41) - quiet.detach()  # a little louder
    assert float((gradient * step).sum()) < 0


def test_silence_has_finite_gradients() -> None:
    for reference in (torch.zeros(1, RATE), clean()):
        estimate = torch.zeros_like(reference).requires_grad_()
        unlike, level = NeurogramLoss(RATE)(reference, estimate)
        (unlike + level).sum().backward()
        assert estimate.grad is not None and bool(torch.isfinite(estimate.grad).all())


@pytest.mark.parametrize("beam", [2, 4])
def test_frozen_codebooks_are_searched_as_in_use(beam: int) -> None:
    model = small_model(codebooks=12)
    books = CodebookTrainer(model.quantizer, 1.0, 1.0, beam=beam)
    latent = (torch.randn(2, 30, model.config.latent_dim) * 0.1).requires_grad_()
    out, _, usage = books.quantize(model.quantizer, latent, torch.tensor([3, 12]), learn=False)
    for example, count in enumerate((3, 12)):
        codes = model.quantizer.encode(latent[example].detach(), count, beam)
        torch.testing.assert_close(out[example], model.quantizer.decode(codes.T[None])[0], atol=1e-6, rtol=0)
    assert usage[0].sum() == 60 and usage[3].sum() == 30
    (gradient,) = torch.autograd.grad(out.sum(), latent)
    torch.testing.assert_close(gradient, torch.ones_like(gradient))
