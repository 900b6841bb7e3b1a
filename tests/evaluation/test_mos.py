import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nac
from nac.evaluation.metrics import METRICS, default_metrics, score
from nac.evaluation.metrics.mos import stubs
from nac.synthetic import buzz_speech, noise

RATE = 24_000
PREDICTORS = ["distillmos", "dnsmos_sig", "dnsmos_ovrl", "dnsmos_p808"]
INSTALLED = [name for name in PREDICTORS if METRICS[name].available()]


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTALLED)
def test_noise_over_a_voice_lowers_the_score_and_a_reference_changes_nothing(name: str) -> None:
    clean = buzz_speech(3, RATE)
    noisy = clean + noise(len(clean), level=0.1)
    alone = [score(sound, sound, RATE, metrics=[name])[name] for sound in (clean, noisy)]
    assert all(1 <= value <= 5 for value in alone)
    if name in ("dnsmos_sig", "dnsmos_ovrl"):  # to the others a buzz is as little speech as noise is
        assert alone[1] < alone[0] - 0.1
    assert score(clean, noisy, RATE, metrics=[name])[name] == alone[1]


@pytest.mark.parametrize("name", INSTALLED)
def test_silence_and_sounds_too_short_are_undefined(name: str) -> None:
    short = noise(RATE // 10)
    assert score(short, short, RATE, metrics=[name]) == {name: None}
    assert score(short * 0, short * 0, RATE, metrics=[name]) == {name: None}


def test_they_are_for_speech_and_never_a_surprise() -> None:
    assert set(PREDICTORS) <= set(default_metrics("speech"))
    assert not set(PREDICTORS) & {*default_metrics("music"), *default_metrics(None, slow=True)}


def test_a_stand_in_is_there_for_an_import_and_no_longer() -> None:
    with stubs(there_is_no_such_module={"value": 3}, json={"value": 3}):
        import json

        import there_is_no_such_module  # type: ignore[import-not-found]

        assert there_is_no_such_module.value == 3 and not hasattr(json, "value")
    assert "there_is_no_such_module" not in sys.modules and "json" in sys.modules


@pytest.mark.slow
def test_no_loss_can_reach_a_score() -> None:
    """Importing all that training computes imports no score: what is judged by must not be learned from."""
    code = (
        "import sys, nac.training.objective, nac.training.adversarial.trainer; "
        "assert not [name for name in sys.modules if name.startswith('nac.evaluation.metrics')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(nac.__file__).parents[1])


@pytest.mark.skipif(not METRICS["dnsmos_p808"].available(), reason="needs speechmos")
def test_mel_spectra_are_those_of_a_full_scale_tone() -> None:
    from nac.evaluation.metrics.mos import _log_mel

    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    mel = _log_mel(tone)
    assert mel.shape == (100, 120) and mel.max() == 1.0 and mel.min() >= -1.0
    peak = mel[50].argmax()  # the band at 1 kHz, a third of the way up Slaney's scale
    assert 35 <= peak <= 45
