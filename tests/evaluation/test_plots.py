from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.errors import OptionError
from nac.evaluation.compare import compare
from nac.evaluation.report.plots import plot_comparison, plot_spectrograms, spectrogram_db
from nac.synthetic import buzz_speech, noise

pytest.importorskip("matplotlib")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("samples", [1, 700, 30_000])
def test_picture_of_any_length(tmp_path: Path, samples: int) -> None:
    sound = noise(samples)[None]
    plot_comparison(sound, sound * 0, 8000, tmp_path / "a.png", "some_$name$")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_pictures_of_two_folders(tmp_path: Path) -> None:
    for side in ("ref", "out"):
        (tmp_path / side / "speech").mkdir(parents=True)
        soundfile.write(tmp_path / side / "speech" / "a.wav", buzz_speech(1, 16000), 16000)
    compare(tmp_path / "ref", tmp_path / "out", metrics=["snr"], plot=tmp_path / "pictures")
    assert (tmp_path / "pictures" / "speech_a.png").read_bytes().startswith(PNG)


def test_wrong_places_are_refused(tmp_path: Path) -> None:
    sound = noise(2000)[None]
    with pytest.raises(OptionError, match=r"\.png"):
        plot_comparison(sound, sound, 8000, tmp_path / "a.jpeg", "")
    with pytest.raises(OptionError, match="cannot write"):
        plot_comparison(sound, sound, 8000, tmp_path / "missing" / "a.png", "")


def test_full_scale_sine_is_0_db() -> None:
    tone = np.sin(2 * np.pi * 1500 * np.arange(24000) / 24000).astype(np.float32)
    level = spectrogram_db(tone, 256)[10:-10]
    assert level.max() == pytest.approx(0, abs=0.1)
    assert level.argmax(axis=1).tolist() == [64] * len(level)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_spectrograms_of_any_number_and_length(tmp_path: Path, count: int) -> None:
    versions = [(f"some_$name$ {index}", noise(samples)[None]) for index, samples in enumerate([9000] * count)]
    plot_spectrograms(versions, 8000, tmp_path / "a.png", "a title")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    plot_spectrograms([("silence", np.zeros((2, 1), np.float32))], 8000, tmp_path / "b.svg")
    assert b"<svg" in (tmp_path / "b.svg").read_bytes()
    with pytest.raises(OptionError, match="nothing to draw"):
        plot_spectrograms([], 8000, tmp_path / "c.png")
