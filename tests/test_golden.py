"""Files coded by the shipped model must decode for ever, and to the sound that they were coded from."""

from pathlib import Path

import numpy as np
import pytest

import nac
from tests.sounds import golden_sound

GOLDEN = Path(__file__).parent / "golden"
#: Least SI-SDR in dB, a little below what the first decoder reached.
FILES = {"nac-24k-mono": 4.0, "nac-24k-stereo": 4.0, "nac-24k-slow": -2.5}


@pytest.fixture(scope="module")
def codec() -> nac.Codec:
    return nac.Codec.load()


@pytest.mark.parametrize(("name", "least"), FILES.items())
def test_golden_files_decode(codec: nac.Codec, name: str, least: float) -> None:
    original, rate = golden_sound(name)
    decoded, decoded_rate = codec.decode((GOLDEN / f"{name}.nac").read_bytes())
    assert decoded_rate == rate and decoded.shape == original.shape
    for a, b in zip(original, decoded, strict=True):
        target = a * (a @ b) / (a @ a)
        assert 10 * np.log10((target @ target) / ((b - target) @ (b - target))) > least


def test_silence_decodes_to_silence(codec: nac.Codec) -> None:
    decoded, _ = codec.decode(codec.encode(np.zeros(48_000, np.float32), 24_000, 6))
    assert np.abs(decoded).max() < 2e-3


def test_more_bits_sound_better(codec: nac.Codec) -> None:
    original, rate = golden_sound("nac-24k-mono")
    errors = []
    for kbps in (1, 3, 6, 12, 24):
        decoded, _ = codec.decode(codec.encode(original, rate, kbps))
        errors.append(float(np.square(decoded - original).mean()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.2 * errors[0]


def test_levels_come_back(codec: nac.Codec) -> None:
    """The loudness of what comes out is that of what went in, at every rate."""
    original, rate = golden_sound("nac-24k-mono")
    for kbps in (3, 6, 24):
        decoded, _ = codec.decode(codec.encode(original, rate, kbps))
        ratio = np.sqrt(np.square(decoded).mean() / np.square(original).mean())
        assert 0.6 < ratio < 1.4


def test_alike_channels_gain_from_each_other(codec: nac.Codec) -> None:
    """Stereo at 6 kbps beats two mono files at 3 kbps where the channels are alike."""
    voice, rate = golden_sound("nac-24k-mono")
    stereo = np.concatenate([voice, 0.8 * voice])
    together, _ = codec.decode(codec.encode(stereo, rate, 6))
    apart = np.concatenate([codec.decode(codec.encode(channel, rate, 3))[0] for channel in stereo])
    assert np.square(together - stereo).mean() < 0.85 * np.square(apart - stereo).mean()
