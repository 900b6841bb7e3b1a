"""The source and its filters."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from nac.models.voice.synthesis import RUMBLE, highpass_response

RATE = 24_000


def test_the_high_pass_is_the_one_that_scipy_designs() -> None:
    from scipy.signal import butter, freqz

    frequencies = torch.linspace(0, RATE / 2, 501, dtype=torch.float64)
    numerator, denominator = butter(2, RUMBLE, "high", fs=RATE)
    expected = freqz(numerator, denominator, frequencies.numpy(), fs=RATE)[1]
    np.testing.assert_allclose(highpass_response(frequencies, RUMBLE).numpy(), expected, atol=1e-6)


def test_a_decoder_does_without_scipy_s_filters() -> None:
    """They take most of a second to import."""
    code = (
        "import sys; from tests.models.voice.whole import small_voice_model; from nac.models.streaming import "
        "FrameDecoder; import numpy as np; FrameDecoder(small_voice_model(), 1).push([np.ones((8, 4), int)]); "
        "assert 'scipy.signal' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
