"""The low bands' transform, scale and codebooks."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nac.models.layers import State
from nac.models.voice.low_band import LowBand, compress, expand
from nac.models.voice.spectrum import EnvelopeSpectrum
from tests.models.voice.small import HOP, SIZE, SMALL


def small_band() -> LowBand:
    torch.manual_seed(0)
    band = LowBand(SMALL, SIZE)
    with torch.no_grad():
        for value in band.parameters():
            value.copy_(torch.randn_like(value) * 0.7 ** torch.arange(len(value))[:, None, None])
    return band


BAND = small_band()


def test_the_transform_gives_back_what_lies_in_the_bands() -> None:
    x = torch.sin(torch.arange(20 * HOP) * 0.1)[None]  # 382 Hz
    state: State = {}
    rows = torch.cat([BAND.analyse(part, state) for part in x.split([HOP, 4 * HOP, 15 * HOP], 1)], 1)
    torch.testing.assert_close(rows, BAND.analyse(x), atol=1e-5, rtol=0)
    back = torch.cat([BAND.synthesise(part, state) for part in rows.split([3, 1, 16], 1)], 1)
    torch.testing.assert_close(back[:, 2 * HOP :], x[:, HOP:-HOP], atol=0.01, rtol=0)


@given(scale=st.floats(0, 500), knee=st.floats(0.5, 3))
def test_companding_has_an_inverse(scale: float, knee: float) -> None:
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)) * scale
    assert (compress(x, knee).norm(dim=1) <= x.norm(dim=1) * 1.001 + 1e-6).all()
    # Up to where decoding stops to grow.
    if scale < 100 * knee:
        torch.testing.assert_close(expand(compress(x, knee), knee), x, rtol=1e-3, atol=1e-3)


def test_small_vectors_are_coded_as_they_are() -> None:
    x = torch.full((3, 40), 0.9)
    assert torch.equal(compress(x, 1.5), x)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 7])
def test_codes_of_fewer_codebooks_are_the_first_of_more(count: int) -> None:
    coefficients = torch.randn(2, 9, 88, generator=torch.Generator().manual_seed(1))
    scale = torch.full_like(coefficients, 0.5)
    every = BAND.encode(coefficients, scale, 7, beam=3, commit_points=(1, 5))
    codes = BAND.encode(coefficients, scale, count, beam=3, commit_points=(1, 5))
    assert codes.shape == (2, count, 9)
    assert torch.equal(codes, every[:, :count])
    error = (BAND.decode(codes, scale) - coefficients).square().mean((0, 1))
    if count < 5:  # the second band is not coded
        torch.testing.assert_close(error[40:], coefficients[..., 40:].square().mean((0, 1)))
    if count >= 4:
        assert error[:40].mean() < 0.9 * coefficients[..., :40].square().mean()
    if count == 7:
        assert error[40:].mean() < 0.9 * coefficients[..., 40:].square().mean()


def test_the_scale_follows_the_envelope_at_the_end_of_the_hop() -> None:
    spectrum = EnvelopeSpectrum(SMALL)
    curves = torch.full((1, 8, SMALL.n_curves), -8.0)
    curves[:, 2:4] = -6.0
    flat = BAND.scale(curves, spectrum)
    np.testing.assert_allclose(flat[0, 0], np.exp(-3), rtol=1e-5)
    np.testing.assert_allclose(flat[0, 1], np.exp(-4), rtol=1e-5)
    tilted = torch.linspace(-4, -8, SMALL.n_bands).expand(1, 4, -1)
    ratios = [
        float(scale[0, 0, 0] / scale[0, 0, -1])
        for tilt in (0.0, 0.5, 1.0)
        for scale in [LowBand(dataclasses.replace(SMALL, scale_tilt=tilt), SIZE).scale(tilted, spectrum)]
    ]
    assert ratios[0] == pytest.approx(1)
    assert ratios[2] == pytest.approx(ratios[1] ** 2)
    assert ratios[1] > 1.05
