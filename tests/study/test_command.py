import json
import re
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner, Result

import nac
from nac.study.__main__ import main
from nac.study.coder import load_coder
from nac.study.single import report
from tests.study.small import SMALL, sound

pytest.importorskip("matplotlib")
FILE = Path(__file__)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_train_compress_decompress(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / "audio").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "audio" / f"{i}.wav", sound(8000, i), 8000)
    sets = [f"--set={key}={json.dumps(value)}" for key, value in SMALL.items() if key not in ("loss", "channels")]
    done = call(
        "train",
        tmp_path / "audio",
        "--preset",
        "complex",
        "--out",
        tmp_path / "out",
        "--epochs",
        1,
        "--max-files",
        1,
        "--max-seconds",
        0.5,
        "--channels",
        "4,6",
        "--mel-weight",
        0.5,
        "--store-phase",
        *sets,
    )
    assert done.exit_code == 0, done.output
    assert "compression, input over latent: " in done.output and "SI-SDR" in done.output
    assert "1 steps" in done.output  # half a second in crops of a quarter, two at a time
    lines = done.output.splitlines()
    heading = next(i for i, line in enumerate(lines) if line.startswith("setting"))
    row = dict(zip(re.split(r"  +", lines[heading]), lines[heading + 2].split(), strict=True))
    scores = report(load_coder(tmp_path / "out"), tmp_path / "audio")[0].scores
    assert row["SNR (dB)"] == f"{scores['snr']:.2f}" and row["SI-SDR (dB)"] == f"{scores['si_sdr']:.2f}"
    config = json.loads((tmp_path / "out" / "system.json").read_text())["system"]
    assert config["channels"] == [4, 6] and config["phase"] == "transmitted" and ["mel", 0.5] in config["loss"]
    assert "phase" not in dict(config["loss"])
    coded, back = tmp_path / "x.nst", tmp_path / "back.wav"
    done = call("compress", tmp_path / "out", tmp_path / "audio" / "0.wav", coded)
    assert done.exit_code == 0 and f"{coded.stat().st_size} bytes" in done.output
    assert f"{coded.stat().st_size * 8 / 1000:.2f} kbps" in done.output
    assert call("decompress", tmp_path / "out", coded, back).exit_code == 0
    assert soundfile.info(back).frames == 8000


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "none.toml", "--train", ".", "--clips", ".", "--out", "{out}"),
        ("compare", "{out}", "--out", "{out}"),
        ("document", "none.md", "{out}"),
        ("document", str(FILE), "{out}"),
        ("classify", "none", "--out", "{out}"),
        ("classify", "none", "--features", "nothing", "--out", "{out}"),
        ("train", "none", "--out", "{out}"),
        ("train", ".", "--set", "latent=x", "--out", "{out}"),
        ("train", ".", "--channels", "a", "--out", "{out}"),
        ("train", ".", "--set", "nothing=1", "--out", "{out}"),
        ("compress", "none", "none.wav", "{out}/x"),
        ("decompress", "none", "none", "{out}/x.wav"),
        ("--quick", "--out", str(FILE)),
    ],
)
def test_failures_are_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = call(*(argument.format(out=tmp_path) for argument in arguments))
    assert done.exit_code == 1
    messages = [line for line in done.output.splitlines() if line.startswith("study: ")]
    assert len(messages) == 1 and "Traceback" not in done.output


def test_wrong_usage() -> None:
    for arguments in (
        (),
        ("--quick",),
        ("--quick", "--out", "x", "compare", "a", "--out", "b"),
        ("train", ".", "--minutes", "0", "--out", "x"),
        ("train", ".", "--epochs", "-1", "--out", "x"),
    ):
        assert call(*arguments).exit_code == 2


def test_nothing_else_in_nac_knows_the_bench() -> None:
    root = Path(nac.__file__).parent
    knowing = [
        path
        for path in root.rglob("*.py")
        if "nac.study" in path.read_text(encoding="utf-8") and path.parent != root / "study"
    ]
    assert not knowing
