"""The soak of scripts/soak.py, for a moment: the long one is run by hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "soak.py"


def soak(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (44_100, 2)])
def test_all_that_goes_in_comes_out(small_weights: Path, rate: int, channels: int) -> None:
    done = soak("--minutes", 0.5, "--hours", 0.0061, "--rate", rate, "--channels", channels, "--model", small_weights)
    assert done.returncode == 0, done.stderr
    samples = round(0.0061 * 3600 * rate)
    (found,) = re.findall(r"(\d+) samples in, (\d+) out", done.stdout)
    assert int(found[0]) == int(found[1]) <= samples and int(found[0]) > rate


@pytest.mark.slow
def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    done = soak("--minutes", 0.1, "--hours", 0.001, "--model", tmp_path / "none.safetensors")
    assert done.returncode == 1 and "codes 1 and" in done.stderr and "Traceback" not in done.stderr
