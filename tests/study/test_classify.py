from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given
from hypothesis import strategies as st

from nac.errors import AudioError, OptionError
from nac.study.classify import Clips, classify, judge, read_clips, split, write_verdicts
from nac.study.coder import Coder
from nac.study.features import Latents, LogMel, parse_features
from tests.study.small import prepared, small

pytest.importorskip("sklearn.model_selection")  # here, since importing it takes longer than a test may


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7)), min_size=1, max_size=60), st.integers(2, 5))
def test_no_recording_is_on_both_sides(clips: list[tuple[int, int]], folds: int) -> None:
    label = np.array([a for a, _ in clips])
    recording = np.array([10 * a + b for a, b in clips])
    assume(np.bincount(label).max() >= min(folds, len(set(recording))))
    fold = split(label, recording, folds)
    assert ((fold >= 0) & (fold < folds)).all()
    for number in np.unique(recording):
        assert len(set(fold[recording == number])) == 1


@given(st.lists(st.integers(1, 4), min_size=2, max_size=12), st.integers(2, 5))
def test_each_label_is_spread_over_the_folds(sizes: list[int], folds: int) -> None:
    recording = np.repeat(np.arange(len(sizes)), sizes)
    fold = split(np.zeros(len(recording), dtype=np.int64), recording, folds)
    counts = np.bincount(fold, minlength=folds)
    assert len(set(fold)) == min(folds, len(sizes))
    assert counts.max() - counts.min() <= max(sizes)


def test_what_can_be_told_apart_is_and_what_cannot_is_not() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(300) % 3
    seen = rng.standard_normal((300, 8)).astype(np.float32)
    assert abs(np.mean(classify(seen[:200], label[:200], seen[200:]) == label[200:]) - 1 / 3) < 0.2
    seen[:, 2] += 4 * label
    assert np.mean(classify(seen[:200], label[:200], seen[200:]) == label[200:]) > 0.9


def write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 8000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng, time = np.random.default_rng(0), np.arange(8000) / 8000
    for i in range(3):
        write(tmp_path / "sounds" / "tone" / f"{i}.wav", 0.3 * np.sin(2 * np.pi * (300 + 50 * i) * time))
        for part in range(2):  # two files of one recording
            write(tmp_path / "sounds" / "noise" / f"r{i}" / f"{part}.wav", 0.1 * rng.standard_normal(8000))
    return tmp_path / "sounds"


def test_files_in_a_folder_are_one_recording(folder: Path) -> None:
    clips = read_clips(folder, 8000, seconds=0.25, per_recording=5)
    assert clips.labels == ("noise", "tone") and len(set(clips.recording)) == 6
    assert np.bincount(clips.recording).tolist() == [5, 5, 5, 4, 4, 4]
    assert all(len(samples) == 2000 for samples in clips.samples)


@pytest.mark.slow
def test_verdicts_on_latents_and_log_mel(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    clips = read_clips(folder, 8000, seconds=0.25, per_recording=4)
    kinds = (small(name="conv"), small(name="vq", architecture="vqvae"), small(name="wave", representation="waveform"))
    features = [LogMel(8000), *(Latents(Coder(prepared(config))) for config in kinds)]
    verdicts = [judge(clips, each, folds=3) for each in features]
    for verdict in verdicts:
        assert verdict.confusion.sum() == len(clips.samples)
        assert verdict.confusion.sum(1).tolist() == np.bincount(clips.label).tolist()
    assert verdicts[0].accuracy > 0.9 and verdicts[0].balanced > 0.9
    table = write_verdicts(verdicts, clips, tmp_path / "out")
    assert [row[0] for row in table] == ["features", "log-mel", "latent of conv", "latent of vq", "latent of wave"]
    assert (tmp_path / "out" / "confusion.png").stat().st_size > 1000
    assert "noise: 12 clips of 3 recordings" in (tmp_path / "out" / "classify.md").read_text()


def test_what_cannot_be_told_apart_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="two folders"):
        read_clips(folder / "noise" / "r0", 8000)
    (folder / "tone" / "1.wav").unlink()
    (folder / "tone" / "2.wav").unlink()
    with pytest.raises(AudioError, match="tone has a single recording"):
        read_clips(folder, 8000)
    write(folder / "tone" / "1.wav", np.zeros(8000))
    with pytest.raises(AudioError, match="not silent"):
        read_clips(folder, 8000, seconds=0.5)
    for spec in ("nac:x", str(tmp_path / "none")):
        with pytest.raises(OptionError):
            parse_features(spec, 8000)
    two = Clips(8000, ("a", "b"), (np.ones(2000, np.float32),) * 2, np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(OptionError, match="two folds"):
        judge(two, LogMel(8000), 1)
