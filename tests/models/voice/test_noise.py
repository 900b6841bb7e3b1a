"""The even noise of the voice model."""

import torch

from nac.models.transform import noise_table
from nac.models.voice.noise import WINDOW, WINDOW_HOP, even_noise_table


def _spread(noise: torch.Tensor) -> float:
    """Standard deviation of the magnitudes of all short-time spectra, over their mean."""
    window = torch.hann_window(WINDOW)
    # The last row goes on in the first.
    around = torch.cat([noise.flatten(), noise.flatten()[:WINDOW]])
    magnitudes = torch.fft.rfft(around.unfold(0, WINDOW, WINDOW_HOP) * window)[:, 1:-1].abs()
    return float(magnitudes.std() / magnitudes.mean())


def test_short_time_spectra_are_evener_than_those_of_plain_noise_also_at_the_seam() -> None:
    even, plain = even_noise_table(480), noise_table(480)
    assert _spread(even) < 0.65 * _spread(plain)
    seam = torch.cat([even[-2:], even[:2]])
    assert _spread(seam) < 0.8 * _spread(plain[:4])


def test_power_is_one_everywhere_in_time_and_frequency() -> None:
    noise = even_noise_table(480)
    assert abs(float(noise.square().mean()) - 1) < 1e-3
    rows = noise.square().mean(1)
    assert float(rows.min()) > 0.8 and float(rows.max()) < 1.2
    spectrum = torch.fft.rfft(noise).abs().square().mean(0) / 480
    bands = spectrum[1:241].view(24, 10).mean(1)
    assert float(bands.min()) > 0.85 and float(bands.max()) < 1.15
