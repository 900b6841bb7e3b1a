"""The call of scripts/live_loopback.py, for a moment; and its networks."""

import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile

from scripts.live_loopback import Losses

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("rate", "burst"), [(0.1, None), (0.3, None), (0.1, 3.0), (0.3, 3.0), (0.0, 3.0)])
def test_networks_lose_as_many_packets_as_they_should(rate: float, burst: float | None) -> None:
    network = Losses(rate, burst)
    lost = np.array([network.lost() for _ in range(40_000)])
    assert abs(lost.mean() - rate) < 0.02
    if rate:
        starts = np.flatnonzero(np.diff(lost.astype(int), prepend=0) == 1)
        assert lost.sum() / len(starts) == pytest.approx(burst or 1 / (1 - rate), rel=0.1)


def test_networks_that_are_not_possible() -> None:
    with pytest.raises(click.ClickException):
        Losses(0.9, 2.0)


@pytest.mark.slow
def test_a_call_goes_through(small_weights: Path, tmp_path: Path) -> None:
    options = ["--seconds", "2", "--loss", "20", "--fec-kbps", "1", "--delay", "150", "--jitter", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.live_loopback", *options, "--out", "heard.wav", "--model", str(small_weights)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    sent, lost, _ = map(int, re.findall(r"(\d+) packets sent, (\d+) lost on the way, (\d+)", done.stdout)[0])
    played, repaired, _ = map(int, re.findall(r"(\d+) played, (\d+) repaired, (\d+) concealed", done.stdout)[0])
    assert sent == 101 and 0 < lost < 50 and 0 < repaired <= lost
    # What takes longer than the buffer on a busy machine is too late, and what is behind the end is not heard.
    assert 0 < played <= sent - lost
    audio, rate = soundfile.read(tmp_path / "heard.wav")
    assert rate == 24_000 and len(audio) == 480 * (100 + 150 + 10) and np.abs(audio).max() > 0.01
