import numpy as np
import pytest
import torch

from nac.evaluation.metrics import spectra
from nac.evaluation.metrics.spectra import (
    log_spectral_distance,
    log_spectrum_rmse,
    mel_distance,
    slaney_mel_filters,
    stft_magnitudes,
)
from nac.synthetic import noise

RATE = 24000


@pytest.mark.parametrize("window", [32, 256, 2048])
@pytest.mark.parametrize("samples", [5000, 4800])
def test_stft_is_torchs_centred_stft(window: int, samples: int) -> None:
    signal = noise(samples)
    ours = np.concatenate(list(stft_magnitudes(signal, window)))
    theirs = torch.stft(
        torch.from_numpy(signal), window, window // 4, window=torch.hann_window(window), center=True,
        pad_mode="reflect", return_complex=True,
    ).abs().T.numpy()  # fmt: skip
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_stft_in_blocks_is_the_stft_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = noise(5000)
    whole = np.concatenate(list(stft_magnitudes(signal, 64)))
    monkeypatch.setattr(spectra, "BLOCK_SAMPLES", 64 * 7)
    blocks = list(stft_magnitudes(signal, 64))
    assert {len(block) for block in blocks[:-1]} == {7}
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_mel_scale_of_slaney() -> None:
    # 1 kHz is 15 mel, 6.4 kHz is 42 mel, and the scale is linear below and logarithmic above
    assert spectra._hz_to_mel(1000) == 15
    assert spectra._hz_to_mel(500) == 7.5
    assert spectra._hz_to_mel(6400) == pytest.approx(42)
    mels = np.linspace(0, 50, 200)
    np.testing.assert_allclose([spectra._hz_to_mel(hz) for hz in spectra._mel_to_hz(mels)], mels, atol=1e-9)


def test_slaney_mel_filters_are_triangles_of_unit_area() -> None:
    filters = slaney_mel_filters(RATE, 1 << 15, 10)
    bin_width = RATE / (1 << 15)
    np.testing.assert_allclose(filters.sum(axis=1) * bin_width, 1, rtol=1e-3)
    edges = spectra._mel_to_hz(np.linspace(0, spectra._hz_to_mel(RATE / 2), 12))
    np.testing.assert_allclose(filters.argmax(axis=1) * bin_width, edges[1:-1], atol=bin_width)
    assert not filters.flags.writeable  # it is cached and shared


def test_slaney_mel_filters_hand_computed() -> None:
    # One band from 0 over 20·2/3... to 40 mel-linear Hz: at 600 Hz all is linear, so the triangle peaks at 150 Hz
    filters = slaney_mel_filters(600, 8, 1)  # bins at 0, 75, 150, 225, 300 Hz
    np.testing.assert_allclose(filters[0], np.array([0, 0.5, 1, 0.5, 0]) * 2 / 300, rtol=1e-6)


def test_mel_distance_counts_decades_on_every_scale() -> None:
    signal = noise(24000, level=0.3)
    # Loud noise at a tenth of the level is one decade lower in every band of each of the seven scales, except in
    # bands that hold no bin at all, which differ by nothing.
    empty = sum(
        (slaney_mel_filters(RATE, window, bands).sum(axis=1) == 0).mean() for window, bands in spectra.MEL_SCALES
    )
    assert empty < 0.6
    assert mel_distance(signal, signal, RATE) == 0
    assert mel_distance(signal * 0.9, signal * 0.09, RATE) == pytest.approx(7 - empty, abs=0.1)


def test_mel_distance_matches_its_definition_written_in_torch() -> None:
    x, y = noise(9600, seed=1), noise(9600, seed=2, level=0.02)
    expected = 0.0
    for window, bands in spectra.MEL_SCALES:
        filters = torch.from_numpy(slaney_mel_filters(RATE, window, bands).copy())
        mels = [
            filters
            @ torch.stft(
                torch.from_numpy(signal), window, window // 4, window=torch.hann_window(window), return_complex=True
            ).abs()
            for signal in (x, y)
        ]
        a, b = (mel.clamp(1e-5).log10() for mel in mels)
        expected += float(torch.nn.functional.l1_loss(a, b))
    assert mel_distance(x, y, RATE) == pytest.approx(expected, rel=1e-4)


def test_log_spectral_distance_of_a_gain_is_the_gain() -> None:
    signal = noise(24000, level=0.3)
    assert log_spectral_distance(signal, signal * 0.5) == pytest.approx(6.02, abs=0.05)
    assert log_spectrum_rmse(signal, signal * 0.5) == pytest.approx(6.02, abs=0.05)
    assert log_spectral_distance(signal, signal) == log_spectrum_rmse(signal, signal) == 0


def test_log_spectrum_scores_average_frames_differently() -> None:
    # A quarter of the time silent: a distance d in a quarter of the frames averages to d/4, but to d/2 as a square.
    signal = noise(2048 * 40, level=0.3)
    gapped = signal.copy()
    gapped[: len(gapped) // 4] = 0
    mean, root = log_spectral_distance(signal, gapped), log_spectrum_rmse(signal, gapped)
    assert root == pytest.approx(2 * mean, rel=0.05)


def test_silence_and_single_samples_have_scores() -> None:
    for samples in (0, 1, 2, 100):
        silence = np.zeros(samples, np.float32)
        assert mel_distance(silence, silence, RATE) == log_spectral_distance(silence, silence) == 0
