import dataclasses
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner, Result

from nac.cli import main
from nac.evaluation import metrics
from nac.evaluation.codecs import neural, tools
from nac.synthetic import noise
from tests.evaluation.fakes import Rounding

pytest.importorskip("matplotlib")


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tools.TOOLS, "rounding", Rounding(str(tmp_path)))
    for kind, name in (("speech", "a"), ("speech", "b"), ("music", "c")):
        (tmp_path / "clips" / kind).mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "clips" / kind / f"{name}.wav", noise(4000), 8000, subtype="FLOAT")


def test_report_from_a_folder(tmp_path: Path) -> None:
    options = ["--codec", "rounding:2,4", "--metric", "snr", "--cache", str(tmp_path / "cache"), "--html"]
    result = evaluate(str(tmp_path / "clips"), *options, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "rounding 4" in result.output and "speech" in result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<audio") == 3 * 3  # three clips: the reference and two rates
    assert len((tmp_path / "out" / "clips.csv").read_text().splitlines()) == 1 + 3 * 2
    assert "<svg" in (tmp_path / "out" / "chart.svg").read_text()


@pytest.mark.slow
def test_picture_of_a_made_sound_or_of_the_first_clip(tmp_path: Path) -> None:
    picture = tmp_path / "made.png"
    options = ["--codec", "rounding:2,4", "--no-cache", "--picture", str(picture)]
    made = evaluate(*options)
    assert made.exit_code == 0, made.output
    assert picture.read_bytes().startswith(b"\x89PNG") and "wrote" in made.output
    picture.unlink()
    folder = [str(tmp_path / "clips"), "--metric", "snr", "--out", str(tmp_path / "out")]
    assert evaluate(*folder, *options).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    nothing = evaluate("--codec", "rounding:2")
    assert nothing.exit_code == 2 and "--picture" in nothing.output


def test_missing_tools_are_lines_and_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    monkeypatch.setattr(neural, "find_spec", lambda name: None)
    names = ["opus", "encodec", "dac", "rounding:2"]
    options = [part for name in names for part in ("--codec", name)]
    common = [str(tmp_path / "clips"), "--metric", "snr", "--no-cache", "--out", str(tmp_path / "out")]
    result = evaluate(*common, *options)
    assert result.exit_code == 0, result.output
    for line in (
        "opus is left out: opusdec and opusenc not found (Debian package opus-tools)",
        "encodec is left out: the package encodec is not installed",
        "dac is left out: the package dac is not installed",
    ):
        assert line in result.stderr.splitlines()
    assert "rounding 2" in result.stdout


def test_slow_scores_can_be_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = dataclasses.replace(metrics.METRICS["visqol_speech"], compute=lambda *_: 3.0, packages=())
    monkeypatch.setitem(metrics.METRICS, "visqol_speech", slow)
    common = [str(tmp_path / "clips"), "--codec", "rounding:2", "--no-cache", "--out", str(tmp_path / "out")]
    chosen = ["--metric", "snr", "--metric", "visqol_speech", "--visqol-clips", "1"]
    result = evaluate(*common, *chosen)
    assert result.exit_code == 0, result.output
    assert "ViSQOL-speech is over 1 of the 2 clips." in result.stdout
    assert "ViSQOL-speech is over 1 of the 2 clips." in (tmp_path / "out" / "report.md").read_text()


def test_misuse_and_failures(tmp_path: Path) -> None:
    clips, out = str(tmp_path / "clips"), ["--no-cache", "--out", str(tmp_path / "out")]
    unknown = evaluate(clips, "--codec", "x", *out)
    assert unknown.exit_code == 2 and "no such codec: x" in unknown.output
    gone = evaluate(str(tmp_path / "none"), "--codec", "rounding", *out)
    assert gone.exit_code == 1 and "no folder" in gone.output
    (tmp_path / "clips" / "music" / "d.wav").write_bytes(b"no sound")
    some = evaluate(clips, "--codec", "rounding:2", "--metric", "snr", *out)
    assert some.exit_code == 1 and "failed on music/d" in some.output and "(1 failed)" in some.output
