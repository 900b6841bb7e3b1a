import numpy as np
import pytest

from nac.evaluation import perceptual
from nac.evaluation.perceptual import estoi, pesq_wb, resample, stoi

from .sounds import noise, speech_like

RATE = 16000


def test_pesq_is_its_library() -> None:
    pesq = pytest.importorskip("pesq")
    reference = speech_like(4, RATE)
    for level in (0.0003, 0.001):
        decoded = reference + noise(len(reference), level=level)
        expected = pesq.pesq(RATE, reference, decoded, "wb")
        assert 1.05 < expected < 4.6
        assert pesq_wb(reference, decoded, RATE) == pytest.approx(expected, abs=1e-3)


def test_stoi_is_its_library() -> None:
    pystoi = pytest.importorskip("pystoi")
    reference = speech_like(4, RATE)
    decoded = reference + noise(len(reference), level=0.05)
    for metric, extended in ((stoi, False), (estoi, True)):
        expected = pystoi.stoi(reference, decoded, RATE, extended=extended)
        assert 0.1 < expected < 0.99
        assert metric(reference, decoded, RATE) == pytest.approx(expected, abs=1e-3)


def test_other_rates_are_resampled_first() -> None:
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    reference = speech_like(3, 24000)
    decoded = reference + noise(len(reference), level=0.01)
    low = [resample(signal, 24000, RATE) for signal in (reference, decoded)]
    assert pesq_wb(reference, decoded, 24000) == pytest.approx(pesq_wb(*low, RATE), abs=1e-3)
    assert stoi(reference, decoded, 24000) == pytest.approx(stoi(*low, RATE), abs=1e-3)


def test_undefined_cases() -> None:
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    clip = speech_like(2, RATE)
    silence = np.zeros_like(clip)
    for metric in (pesq_wb, stoi, estoi):
        assert metric(silence, clip, RATE) is None
        assert metric(clip, silence, RATE) is None
        assert metric(clip[:2000], clip[:2000], RATE) is None  # an eighth of a second


def test_long_signals_are_scored_in_equal_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pystoi")
    reference = speech_like(4, RATE)
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


def test_visqol_orders_degradations_in_both_modes() -> None:
    pytest.importorskip("visqol")
    pytest.importorskip("ai_edge_litert")
    reference = speech_like(3, RATE)
    for metric in (perceptual.visqol_speech, perceptual.visqol_audio):
        same = metric(reference, reference, RATE)
        worse = metric(reference, reference + noise(len(reference), level=0.02), RATE)
        assert 1 <= worse < same <= 5
        assert same > 4
        assert metric(reference[:8000], reference[:8000], RATE) is None
        assert metric(np.zeros_like(reference), reference, RATE) is None
