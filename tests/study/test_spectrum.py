import numpy as np
import pytest
import torch

from nac.study.circle import direction, lift
from nac.study.representations import Representation, cosine_basis
from nac.study.spectrum import Stft, griffin_lim
from tests.study.small import small, sound


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 1000])
def test_the_spectrum_gives_all_samples_back(samples: int) -> None:
    stft, x = Stft(256, 64), torch.from_numpy(sound(samples))[None]
    spectrum = stft(x)
    assert spectrum.shape == (1, 129, stft.frames(samples))
    assert torch.allclose(stft.inverse(spectrum, samples), x, atol=1e-5)


def test_griffin_lim_finds_a_sound_of_that_spectrum() -> None:
    stft, x = Stft(256, 64), torch.from_numpy(sound(4000))[None]
    magnitude = stft(x).abs()
    few, many = (stft(griffin_lim(stft, magnitude, 4000, rounds)).abs() for rounds in (1, 32))
    error = [float((y - magnitude).norm() / magnitude.norm()) for y in (few, many)]
    assert error[1] < 0.25 and error[1] < 0.6 * error[0]
    again = griffin_lim(stft, magnitude, 4000)
    assert torch.equal(again, griffin_lim(stft, magnitude, 4000))


@pytest.mark.parametrize("kind", ["stft", "log-stft", "mel", "log-mel", "mfcc", "complex"])
def test_features_have_unit_size_and_give_their_magnitude_back(kind: str) -> None:
    config = small(representation=kind, coefficients=20)
    representation = Representation(config)
    spectrum = Stft(config.n_fft, config.hop)(torch.from_numpy(sound(8000))[None])
    representation.fit(spectrum)
    features = representation(spectrum)
    assert features.shape == (1, representation.channels, representation.rows, spectrum.shape[-1])
    assert float(features[:, 0].std()) == pytest.approx(1, abs=1e-3)
    back, true = representation.magnitude(features), spectrum.abs()
    if kind in ("stft", "log-stft", "complex"):
        assert torch.allclose(back, true, atol=1e-3)
    else:  # bands blur what lies within them, but their own sums must be right
        filters = representation.get_buffer("filters")
        assert float((filters @ back - filters @ true).norm() / (filters @ true).norm()) < 0.2
    if kind == "complex":
        turned = torch.polar(torch.ones_like(true), direction(features).angle() - spectrum.angle())
        assert torch.allclose(turned.real, torch.ones_like(true), atol=1e-4)
        turned = direction(lift(features)) - direction(features)
        assert float(turned.abs().max()) < 1e-3


def test_cosines_are_orthonormal() -> None:
    basis = cosine_basis(20, 20)
    assert np.allclose(basis @ basis.T, np.eye(20), atol=1e-5)
