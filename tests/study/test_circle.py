"""The predicted phase is learned, and the stored one is there and counted."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from nac.errors import OptionError
from nac.study.circle import direction, lift
from nac.study.coder import Coder
from nac.study.quantize import Part
from nac.study.system import make_system
from tests.study.small import prepared, small, sound


def tones(samples: int, count: int, seed: int) -> Tensor:
    """Tones of any pitch and phase in a little noise `[count, samples]`."""
    rng = np.random.default_rng(seed)
    turn = 2 * np.pi * (rng.uniform(200, 1500, (count, 1)) / 8000 * np.arange(samples) + rng.random((count, 1)))
    return torch.from_numpy((0.3 * np.sin(turn) + 0.01 * rng.standard_normal(turn.shape)).astype(np.float32))


@pytest.mark.slow
def test_phases_that_were_never_heard_are_predicted() -> None:
    config = small(
        representation="complex",
        architecture="fully-conv",
        phase="predicted",
        n_fft=128,
        hop=32,
        seconds=0.125,
        channels=(12, 16),
        loss=(("l1", 1.0), ("phase", 1.0)),
    )
    system = make_system(config)
    system.prepare(tones(system.crop, 8, 0))
    unheard = tones(system.crop, 32, 1)

    def left() -> tuple[float, float]:
        with torch.no_grad():
            terms = system.loss(unheard)[1]
        y = Coder(system).decompress(Coder(system).compress(unheard[0].numpy(), 8000))[0][0]
        x = unheard[0].numpy()
        return float(terms["phase"]), 10 * math.log10(float(np.sum(x**2) / np.sum((x - y) ** 2)))

    phase, snr = left()
    assert phase == pytest.approx(1, abs=0.1) and snr < 2  # chance
    optimiser = torch.optim.AdamW(system.train().parameters(), lr=5e-3)
    for step in range(200):
        optimiser.zero_grad()
        system.loss(tones(system.crop, 8, 100 + step))[0].backward()
        optimiser.step()
    system.calibrate([unheard])
    phase, snr_after = left()
    assert phase < 0.4 and snr_after > 5


def test_a_stored_phase_is_true_and_costs_what_it_holds() -> None:
    x, files = sound(4000), {}
    for phase in ("predicted", "transmitted", "griffin-lim"):
        loss = (("l1", 1.0), ("phase", 1.0)) if phase == "predicted" else (("l1", 1.0),)
        system = prepared(
            small(
                representation="complex", architecture="fully-conv", phase=phase, phase_bits=8, deflate=False, loss=loss
            )
        )
        files[phase] = len(Coder(system).compress(x, 8000))
        _, beside = system.cut(torch.from_numpy(x))
        if phase == "transmitted":
            assert torch.equal(beside[0], system.stft(torch.from_numpy(x)[None])[0].angle())  # type: ignore[operator]
        else:
            assert not beside
    frames = 4000 // 64 + 2  # the last one begun by what is left of a hop
    assert files["predicted"] == files["griffin-lim"]
    assert files["transmitted"] - files["predicted"] == Part(129, frames, 8, "cyclic").size == 129 * frames


def test_a_stored_phase_makes_the_sound_right_where_the_network_knows_none() -> None:
    x, snr = sound(8000), {}
    for phase in ("transmitted", "griffin-lim"):
        system = prepared(
            small(
                representation="log-stft",
                architecture="none",
                phase=phase,
                phase_bits=8,
                bits=(12,),
                quantizer="max-norm",
            )
        )
        y = Coder(system).decompress(Coder(system).compress(x, 8000))[0][0]
        snr[phase] = 10 * math.log10(float(np.sum(x**2) / np.sum((x - y) ** 2)))
    assert snr["transmitted"] > 30 > 10 > snr["griffin-lim"]


def test_directions_survive_the_circle_and_have_a_gradient_at_its_centre() -> None:
    features = torch.randn(2, 2, 3, 4)
    assert torch.allclose(direction(lift(features)), direction(features), atol=1e-4)
    centre = torch.zeros(1, 3, 1, 1, requires_grad=True)
    direction(centre).real.sum().backward()
    assert bool(torch.isfinite(centre.grad).all()) and float(centre.grad.abs().sum()) > 0


def test_a_phase_that_nothing_teaches_is_refused() -> None:
    for loss in ((("l1", 1.0),), (("l1", 1.0), ("phase", 0.0)), (("stft", 1.0),)):
        with pytest.raises(OptionError, match="teaches the predicted phase"):
            small(representation="complex", architecture="fully-conv", phase="predicted", loss=loss)
