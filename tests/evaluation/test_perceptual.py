import numpy as np
import pytest

from nac.evaluation.metrics import perceptual
from nac.evaluation.metrics.perceptual import estoi, pesq_wb, resample, stoi, visqol_audio, visqol_speech
from nac.synthetic import buzz_speech, noise

RATE = 16000


def test_pesq_is_its_library() -> None:
    pesq = pytest.importorskip("pesq")
    reference = buzz_speech(4, RATE)
    for level in (0.0003, 0.001):
        decoded = reference + noise(len(reference), level=level)
        expected = pesq.pesq(RATE, reference, decoded, "wb")
        assert 1.05 < expected < 4.6
        assert pesq_wb(reference, decoded, RATE) == pytest.approx(expected, abs=1e-3)


def test_stoi_is_its_library() -> None:
    pystoi = pytest.importorskip("pystoi")
    reference = buzz_speech(4, RATE)
    decoded = reference + noise(len(reference), level=0.05)
    for metric, extended in ((stoi, False), (estoi, True)):
        expected = pystoi.stoi(reference, decoded, RATE, extended=extended)
        assert 0.1 < expected < 0.99
        assert metric(reference, decoded, RATE) == pytest.approx(expected, abs=1e-3)


def test_other_rates_are_resampled_first() -> None:
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    reference = buzz_speech(3, 24000)
    decoded = reference + noise(len(reference), level=0.01)
    low = [resample(signal, 24000, RATE) for signal in (reference, decoded)]
    assert pesq_wb(reference, decoded, 24000) == pytest.approx(pesq_wb(*low, RATE), abs=1e-3)
    assert stoi(reference, decoded, 24000) == pytest.approx(stoi(*low, RATE), abs=1e-3)


def test_undefined_cases() -> None:
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    clip = buzz_speech(2, RATE)
    silence = np.zeros_like(clip)
    for metric in (pesq_wb, stoi, estoi):
        assert metric(silence, clip, RATE) is None
        assert metric(clip, silence, RATE) is None
        assert metric(clip[:2000], clip[:2000], RATE) is None  # an eighth of a second


def test_long_signals_are_scored_in_equal_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pystoi")
    reference = buzz_speech(4, RATE)
    decoded = reference + noise(len(reference), level=0.05)
    monkeypatch.setattr(perceptual, "PIECE_SECONDS", 2.5)
    halves = [stoi(reference[part], decoded[part], RATE) for part in (slice(None, 2 * RATE), slice(2 * RATE, None))]
    assert stoi(reference, decoded, RATE) == pytest.approx(np.mean(halves), abs=1e-9)


def test_resample_keeps_shape_and_tone() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(24000) / 24000).astype(np.float32)
    both = resample(np.stack([tone, -tone]), 24000, 16000)
    assert both.shape == (2, 16000) and both.dtype == np.float32
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(both[0, 500:-500], expected[500:-500], atol=1e-3)
    assert resample(tone, 24000, 24000) is tone


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "rate"), [("speech", 16000), ("audio", 48000)])
def test_visqol_is_its_library(mode: str, rate: int, capfd: pytest.CaptureFixture[str]) -> None:
    visqol = pytest.importorskip("visqol")
    pytest.importorskip("ai_edge_litert")
    metric = {"speech": visqol_speech, "audio": visqol_audio}[mode]
    reference = buzz_speech(2, rate)
    decoded = reference + noise(len(reference), level=0.002)
    perceptual._visqol_api.cache_clear()
    found = metric(reference, decoded, rate)
    assert capfd.readouterr() == ("", "")  # the library's runtime talks
    api = visqol.VisqolApi()
    api.create(mode=mode)
    expected = api.measure_from_arrays(reference.astype(np.float64), decoded.astype(np.float64), rate).moslqo
    assert 1.1 < expected < 4.4
    assert found == pytest.approx(expected, abs=1e-3)
    assert found < metric(reference, reference, rate)


def test_visqol_is_undefined_for_silence_and_for_less_than_a_second() -> None:
    pytest.importorskip("visqol")
    pytest.importorskip("ai_edge_litert")
    clip = buzz_speech(1.5, RATE)
    for metric in (visqol_speech, visqol_audio):
        assert metric(clip[:8000], clip[:8000], RATE) is None
        assert metric(np.zeros_like(clip), clip, RATE) is None
        assert metric(clip, np.zeros_like(clip), RATE) is None
