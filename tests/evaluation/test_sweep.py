import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.errors import AudioError, OptionError
from nac.evaluation.clips import Clip, find_clips
from nac.evaluation.metrics import METRICS, registry
from nac.evaluation.sweep.runner import available, sweep
from nac.synthetic import noise
from tests.evaluation.fakes import Rounding

RATE = 8000
NAMES = ["si_sdr", "snr"]


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    for number, name in enumerate(("speech/b", "speech/a", "music/c")):
        path = tmp_path / "clips" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(4000, number), RATE, subtype="FLOAT")
    return find_clips(tmp_path / "clips")


def test_rows_hold_true_rates_and_scores_without_delay(tmp_path: Path, clips: list[Clip]) -> None:
    rows = sweep(clips, [(Rounding(str(tmp_path)), (2, 4))], metrics=NAMES)
    assert [(row.kind, row.nominal, row.clip) for row in rows] == [
        ("speech", 2, "speech/a"), ("speech", 2, "speech/b"), ("speech", 4, "speech/a"), ("speech", 4, "speech/b"),
        ("music", 2, "music/c"), ("music", 4, "music/c"),
    ]  # fmt: skip
    for row in rows:
        assert row.error is None and row.seconds == 0.5 and row.bytes == 16008
        assert row.kbps == pytest.approx(16008 * 8 / 500)
        # noise of .1 with rounding errors of step/√12: the delay of 50 samples did not count
        expected = 20 * np.log10(0.1 / (2.0 ** -(row.nominal + 2) / np.sqrt(12)))
        assert row.scores["snr"] == pytest.approx(expected, abs=1.5)
        assert list(row.scores) == NAMES


def test_second_run_computes_nothing(tmp_path: Path, clips: list[Clip]) -> None:
    codec, cache = Rounding(str(tmp_path)), tmp_path / "cache"
    first = sweep(clips, [(codec, (2,))], metrics=NAMES, cache=cache)
    assert codec.used() == (3, 3)
    assert sweep(clips, [(codec, (2,))], metrics=NAMES, cache=cache) == first
    assert codec.used() == (3, 3)


def test_only_what_changed_is_computed(tmp_path: Path, clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    codec, cache = Rounding(str(tmp_path)), tmp_path / "cache"
    sweep(clips, [(codec, (2,))], metrics=NAMES, cache=cache)
    # one more score: decoded again, not encoded
    rows = sweep(clips, [(codec, (2,))], metrics=[*NAMES, "mse"], cache=cache)
    assert codec.used() == (3, 6) and list(rows[0].scores) == [*NAMES, "mse"]
    # one changed clip: that one anew
    soundfile.write(clips[0].path, noise(4000, 99), RATE, subtype="FLOAT")
    sweep(clips, [(codec, (2,))], metrics=NAMES, cache=cache)
    assert codec.used() == (4, 7)
    # a copy under another name is the same sound
    copy = Clip(clips[0].path.rename(clips[0].path.with_name("moved.wav")), "moved", clips[0].kind)
    sweep([copy], [(codec, (2,))], metrics=NAMES, cache=cache)
    assert codec.used() == (4, 7)
    # new definitions of scores: all decoded; a new version of the codec: everything
    monkeypatch.setattr(registry, "VERSION", registry.VERSION + 1)
    sweep([copy], [(codec, (2,))], metrics=NAMES, cache=cache)
    assert codec.used() == (4, 8)
    sweep([copy], [(Rounding(str(tmp_path), version="2"), (2,))], metrics=NAMES, cache=cache)
    assert codec.used() == (5, 9)


@pytest.mark.slow
def test_processes_give_the_same_rows(tmp_path: Path, clips: list[Clip]) -> None:
    calls: list[tuple[int, int]] = []
    codec = Rounding(str(tmp_path))
    kept = [(row.clip, row.nominal, row.scores) for row in sweep(clips, [(codec, (2,))], metrics=NAMES)]
    rows = sweep(
        clips, [(codec, (2,))], metrics=NAMES, jobs=2, progress=lambda done, total: calls.append((done, total))
    )
    assert [(row.clip, row.nominal, row.scores) for row in rows] == kept
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_failures_are_rows(tmp_path: Path, clips: list[Clip]) -> None:
    codec = Rounding(str(tmp_path), fails_below=3)
    broken = Clip(tmp_path / "none.wav", "none", "speech")
    rows = sweep([*clips, broken], [(codec, (2, 4))], metrics=NAMES)
    errors = {(row.clip, row.nominal): row.error for row in rows}
    assert errors["speech/a", 2] == "no 2 kbps" and errors["speech/a", 4] is None
    assert "none.wav" in (errors["none", 4] or "")


def test_lossless_codecs_are_only_measured(tmp_path: Path, clips: list[Clip]) -> None:
    rows = sweep(clips, [(Rounding(str(tmp_path), lossless=True), (2,))])
    assert all(row.scores == {} and row.bytes for row in rows)


def test_lost_end_counts_as_silence(tmp_path: Path, clips: list[Clip]) -> None:
    # 50 samples early: the first 50 samples are lost for good
    row = sweep(clips[:1], [(Rounding(str(tmp_path), late=0), (9,))], metrics=["snr"])[0]
    assert row.scores["snr"] > 40

    class Cutting(Rounding):
        def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[np.ndarray, int]:
            audio, rate = super().decode(data, sample_rate, folder)
            return audio[:, :-400], rate

    row = sweep(clips[:1], [(Cutting(str(tmp_path), late=0), (9,))], metrics=["snr"])[0]
    assert row.scores["snr"] == pytest.approx(10, abs=1)  # a tenth of the energy is missing


def test_nothing_to_do_and_equal_names_are_refused(tmp_path: Path, clips: list[Clip]) -> None:
    codec = Rounding(str(tmp_path))
    with pytest.raises(AudioError, match="nothing to evaluate"):
        sweep([], [(codec, (2,))])
    with pytest.raises(OptionError, match="two codecs are called rounding"):
        sweep(clips, [(codec, (2,)), (Rounding(str(tmp_path), version="2"), (2,))])


def test_missing_codecs_are_left_out(tmp_path: Path) -> None:
    class Gone(Rounding):
        def missing(self) -> str | None:
            return "no such tool"

    present, lines = available([(Rounding(str(tmp_path)), (2,)), (Gone(str(tmp_path), name="gone"), (2,))])
    assert [codec.name for codec, _ in present] == ["rounding"]
    assert lines == ["gone is left out: no such tool"]


def test_slow_scores_are_for_some_clips_and_each_kind_has_its_own(
    tmp_path: Path, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the slow scores replaced by constants: who gets them is seen, not what they are."""
    for name, value in (("visqol_speech", 2.0), ("visqol_audio", 3.0)):
        quick = dataclasses.replace(METRICS[name], compute=lambda *_, value=value: value, packages=())
        monkeypatch.setitem(METRICS, name, quick)
    for name, metric in METRICS.items():
        if metric.kind_only:  # large models, which are not what is tried here
            monkeypatch.setitem(METRICS, name, dataclasses.replace(metric, compute=lambda *_: 1.0, packages=()))

    def slow(**options: object) -> dict[str, dict[str, float | None]]:
        rows = sweep(clips, [(Rounding(str(tmp_path)), (2,))], **options)  # type: ignore[arg-type]
        return {row.clip: {k: v for k, v in row.scores.items() if METRICS[k].slow} for row in rows}

    speech, music = {"visqol_speech": 2.0}, {"visqol_audio": 3.0}
    assert slow() == {"speech/a": speech, "speech/b": speech, "music/c": music}
    assert slow(slow_clips=1) == {"speech/a": speech, "speech/b": {}, "music/c": music}
    assert slow(slow_clips=0) == {"speech/a": {}, "speech/b": {}, "music/c": {}}
    named = slow(metrics=["snr", "visqol_audio"], slow_clips=1)
    assert named == {"speech/a": music, "speech/b": {}, "music/c": music}
