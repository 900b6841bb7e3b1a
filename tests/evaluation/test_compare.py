import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.errors import AudioError, OptionError
from nac.evaluation import compare as compare_module
from nac.evaluation.compare import compare, fit
from nac.evaluation.metrics import METRICS
from nac.evaluation.metrics.align import shifted
from nac.synthetic import noise

RATE = 8000
NAMES = ["snr", "mse"]


def write(path: Path, audio: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, rate, subtype="PCM_24" if path.suffix == ".flac" else "FLOAT")
    return path


def test_late_and_longer_copy_is_moved_and_equal(tmp_path: Path) -> None:
    sound = noise(RATE)
    reference = write(tmp_path / "a.wav", sound)
    decoded = write(tmp_path / "b.wav", np.concatenate([np.zeros(300, np.float32), sound, noise(99)]))
    pair = compare(reference, decoded, metrics=NAMES).pairs[0]
    assert (pair.delay, pair.sample_rate, pair.seconds) == (300, RATE, 1.0)
    assert pair.scores == {"snr": np.inf, "mse": 0.0}
    assert "300 samples (37.5 ms) later" in pair.notes[0]
    assert "399 samples (0.050 s) longer" in pair.notes[1]
    assert len(pair.notes) == 2
    kept = compare(reference, decoded, metrics=NAMES, keep_delay=True).pairs[0]
    assert kept.delay == 0 and kept.scores["snr"] < 0


def test_slow_scores_of_long_sounds_are_for_those_who_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = dataclasses.replace(METRICS["visqol_audio"], compute=lambda *_: 3.0, packages=())
    monkeypatch.setitem(METRICS, "visqol_audio", slow)
    monkeypatch.setattr(compare_module, "LONGEST_SLOW", 0.5)
    short, long = (write(tmp_path / f"{size}.wav", noise(size)) for size in (RATE // 2, RATE // 2 + 1))
    pair = compare(short, short, kind="music").pairs[0]
    assert pair.scores["visqol_audio"] == 3 and pair.notes == ()
    pair = compare(long, long, kind="music").pairs[0]
    assert "visqol_audio" not in pair.scores
    assert pair.notes == ("longer than 0.5 s: visqol_audio only when asked for by name",)
    assert compare(long, long, metrics=["visqol_audio"]).pairs[0].scores == {"visqol_audio": 3.0}


@pytest.mark.parametrize("shift", [-200, 0, 200])
def test_only_the_common_part_is_compared(shift: int) -> None:
    sound = noise(4000)[None]
    short = shifted(sound, -shift, 3000)
    x, y, rate, found, notes = fit(sound, short, (RATE, RATE))
    assert found == shift and rate == RATE
    assert x.shape == y.shape == (1, 3000 - max(shift, 0))  # the late copy begins with zeros instead of sound
    np.testing.assert_array_equal(x, y)
    assert any("1000 samples (0.125 s) shorter" in note for note in notes)
    assert any("common part" in note for note in notes)


def test_other_rates_are_resampled_and_said(tmp_path: Path) -> None:
    time = np.arange(16000)
    tone = np.sin(2 * np.pi * 440 * time / 16000).astype(np.float32) * np.hanning(16000).astype(np.float32)
    reference, decoded = write(tmp_path / "a.wav", tone, 16000), write(tmp_path / "b.wav", tone[::2], 8000)
    pair = compare(reference, decoded, metrics=NAMES).pairs[0]
    assert pair.sample_rate == 16000 and pair.scores["snr"] > 60
    assert pair.notes == ("decoded resampled from 8000 to 16000 Hz",)
    low = compare(reference, decoded, metrics=NAMES, sample_rate=8000).pairs[0]
    assert low.sample_rate == 8000 and low.notes == ("reference resampled from 16000 to 8000 Hz",)


def test_stereo_and_mono_meet_as_mono(tmp_path: Path) -> None:
    left, right = noise(4000, 1), noise(4000, 2)
    reference = write(tmp_path / "a.wav", np.stack([left, right]))
    decoded = write(tmp_path / "b.wav", (left + right) / 2)
    pair = compare(reference, decoded, metrics=NAMES).pairs[0]
    assert pair.channels == 1 and pair.scores["mse"] < 1e-12
    assert pair.notes == ("reference has 2 channels, decoded has 1: compared as mono",)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for number, name in enumerate(("speech/one", "music/two", "three")):
        sound = noise(4000, number)
        write(tmp_path / "ref" / f"{name}.wav", sound)
        write(tmp_path / "out" / f"{name}.flac", sound * np.float32(0.9))
    write(tmp_path / "ref" / "alone.wav", noise(10))
    write(tmp_path / "out" / "stray.wav", noise(10))
    return tmp_path / "ref", tmp_path / "out"


def test_folders_are_paired_by_name(folders: tuple[Path, Path]) -> None:
    calls: list[tuple[int, int]] = []
    result = compare(*folders, metrics=NAMES, progress=lambda done, total: calls.append((done, total)))
    assert [(pair.name, pair.kind) for pair in result.pairs] == [
        ("music/two", "music"), ("speech/one", "speech"), ("three", None),
    ]  # fmt: skip
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert sorted(Path(path).stem for path in result.unpaired) == ["alone", "stray"]
    lines = result.text().splitlines()
    assert lines[0].split() == ["file", "SNR", "(dB)", "MSE", "(FS²)"]
    assert lines[5].split()[:2] == ["mean", "20.00"]
    assert sum("no partner" in line for line in lines) == 2


def test_json_and_csv_hold_the_same_scores(folders: tuple[Path, Path]) -> None:
    result = compare(*folders, metrics=NAMES)
    data = json.loads(result.json())
    assert data["metrics"]["snr"] == {"label": "SNR", "unit": "dB", "better": "higher"}
    rows = list(csv.DictReader(io.StringIO(result.csv())))
    assert [row["name"] for row in rows] == [pair["name"] for pair in data["pairs"]]
    for row, pair in zip(rows, data["pairs"], strict=True):
        assert float(row["snr"]) == pytest.approx(pair["scores"]["snr"])
        assert pair["scores"]["snr"] == pytest.approx(20, abs=0.1)


def test_one_pair_is_a_list_of_scores(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(4000, np.float32))
    lines = compare(path, path, metrics=NAMES).text().splitlines()
    assert lines[2].split() == ["SNR", "undefined", "dB", "higher"]
    assert lines[3].split() == ["MSE", "0.000000", "FS²", "lower"]


def test_what_cannot_be_compared_is_said(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    sound, empty = write(tmp_path / "a.wav", noise(100)), write(tmp_path / "b.wav", noise(0))
    with pytest.raises(AudioError, match="file with a folder"):
        compare(sound, folders[0])
    with pytest.raises(AudioError, match=r"b\.wav holds no samples"):
        compare(sound, empty)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(AudioError, match="same name"):
        compare(folders[0], tmp_path / "nothing")
    with pytest.raises(OptionError, match="kind"):
        compare(sound, sound, kind="noise")
    with pytest.raises(OptionError, match="Hz"):
        compare(sound, sound, sample_rate=5)
    with pytest.raises(OptionError, match=r"end it with \.png"):
        compare(sound, sound, plot=tmp_path / "x.jpeg")
    with pytest.raises(OptionError, match="folder for the pictures"):
        compare(*folders, plot=tmp_path / "x.png")
