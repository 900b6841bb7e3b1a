import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nac.errors import AudioError, OptionError
from nac.evaluation.metrics import METRICS, default_metrics, registry, score, shown, unavailable
from nac.synthetic import buzz_speech, noise

RATE = 24000
LIGHT = ["si_sdr", "snr", "mel_distance", "mse"]


@pytest.mark.slow
def test_every_default_score_of_speech_is_there_and_a_number() -> None:
    clip = buzz_speech(2, RATE)
    scores = score(clip, clip + noise(len(clip), level=0.01), RATE, "speech")
    expected = [name for name in default_metrics("speech") if METRICS[name].available()]
    assert list(scores) == expected
    assert all(isinstance(value, float) and np.isfinite(value) for value in scores.values())


def test_kind_chooses_metrics() -> None:
    clip = noise(4800)
    assert "pesq_wb" not in score(clip, clip, RATE, "music")
    assert "pesq_wb" in default_metrics() and not any(METRICS[name].slow for name in default_metrics())
    kinds = ("speech", "music", None)
    slow = {kind: set(default_metrics(kind, slow=True)) - set(default_metrics(kind)) for kind in kinds}
    assert slow == {"speech": {"visqol_speech"}, "music": {"visqol_audio"}, None: {"visqol_speech", "visqol_audio"}}


def test_channels_are_averaged_and_undefined_ones_left_out() -> None:
    left, right, silence = noise(4800, 1), noise(4800, 2), np.zeros(4800, np.float32)
    decoded = np.stack([left * 0.9, right * 0.5])
    scores = score(np.stack([left, right]), decoded, RATE, metrics=["snr"])
    assert scores["snr"] == pytest.approx((20 + 20 * np.log10(2)) / 2, abs=1e-3)
    half = score(np.stack([left, silence]), decoded, RATE, metrics=["snr"])
    assert half["snr"] == pytest.approx(20, abs=1e-3)


def test_undefined_is_none_not_zero() -> None:
    silence = np.zeros(4800, np.float32)
    assert score(silence, silence, RATE, metrics=["snr", "si_sdr"]) == {"si_sdr": None, "snr": None}
    broken = noise(4800)
    broken[7] = np.nan
    assert set(score(noise(4800), broken, RATE, metrics=LIGHT).values()) == {None}
    assert set(score(silence[:0], silence[:0], RATE, metrics=LIGHT).values()) == {None}


def test_misuse_is_named() -> None:
    with pytest.raises(AudioError, match="different shapes"):
        score(noise(10), noise(11), RATE)
    with pytest.raises(OptionError, match="no such metric: loudness"):
        score(noise(10), noise(10), RATE, metrics=["loudness"])


def test_missing_package_leaves_its_metric_out_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    scores = score(noise(4800), noise(4800), RATE, metrics=["pesq_wb", "snr", "visqol_audio"])
    assert list(scores) == ["snr"]
    lines = unavailable(["pesq_wb", "snr", "visqol_audio"])
    assert len(lines) == 2
    assert "PESQ-WB" in lines[0] and "pip install 'nac[eval]'" in lines[0]
    assert "ViSQOL-audio" in lines[1] and "pip install 'nac[eval]'" in lines[1]


def test_text_of_a_score() -> None:
    assert shown("stoi", None) == "undefined"
    assert shown("pesq_wb", 3.14159) == "3.14"


def test_every_metric_says_what_it_is() -> None:
    for name in METRICS:
        text = getattr(registry, name).__doc__
        assert f"{METRICS[name].better} is better" in " ".join(text.split())


def test_scores_need_no_torch() -> None:
    code = (
        "import sys, numpy as np; from nac.evaluation.metrics import score;"
        f"score(np.ones(999), np.ones(999), 24000, metrics={LIGHT}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(registry.__file__).parents[3])
