import importlib.util
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner

from nac.evaluation import codecs, examples

from .fakes import Rounding
from .sounds import noise

pytest.importorskip("matplotlib")
SCRIPT = Path(__file__).parents[2] / "scripts" / "evaluate.py"


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setitem(codecs.TOOLS, "rounding", Rounding(str(tmp_path)))
    spec = importlib.util.spec_from_file_location("evaluate_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for kind, name in (("speech", "a"), ("speech", "b"), ("music", "c")):
        (tmp_path / "clips" / kind).mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "clips" / kind / f"{name}.wav", noise(4000), 8000, subtype="FLOAT")
    return module.main


def test_report_from_a_folder(tmp_path: Path, main: object) -> None:
    options = ["--codec", "rounding:2,4", "--metric", "snr", "--cache", str(tmp_path / "cache"), "--html"]
    result = CliRunner().invoke(main, [str(tmp_path / "clips"), *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "rounding 4" in result.output and "speech" in result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<audio") == 3 * 3  # three clips: the reference and two rates
    assert len((tmp_path / "out" / "clips.csv").read_text().splitlines()) == 1 + 3 * 2


def test_misuse_and_failures(tmp_path: Path, main: object) -> None:
    clips, out = str(tmp_path / "clips"), ["--no-cache", "--out", str(tmp_path / "out")]
    unknown = CliRunner().invoke(main, [clips, "--codec", "x", *out])
    assert unknown.exit_code == 1 and "no such codec: x" in unknown.output
    gone = CliRunner().invoke(main, [str(tmp_path / "none"), "--codec", "rounding", *out])
    assert gone.exit_code == 1 and "no folder" in gone.output
    (tmp_path / "clips" / "music" / "d.wav").write_bytes(b"no sound")
    some = CliRunner().invoke(main, [clips, "--codec", "rounding:2", "--metric", "snr", *out])
    assert some.exit_code == 1 and "failed on music/d" in some.output and "(1 failed)" in some.output


def test_examples_are_spread_over_the_clips(tmp_path: Path) -> None:
    clips = [examples.Clip(tmp_path, name, kind) for kind in ("speech", "music") for name in "abcdef"]
    assert [clip.name for clip in examples.choose(clips, 2)] == ["a", "d", "a", "d"]
    assert len(examples.choose(clips, 99)) == 12 and examples.choose(clips, 0) == []
