"""What happens when the machine fails: real processes, killed, crowded out or left without disk or reader.

`NAC_FAULTS=50 python -m pytest tests/test_faults.py` tries every fault so many times; by default a few times.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.format.check import check
from nac.synthetic import speech_like

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are those of POSIX")
TRIES = int(os.environ.get("NAC_FAULTS", "3"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "nac", *map(str, arguments)]


def nac(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def recording(name: str, seconds: float, seed: int = 0) -> None:
    soundfile.write(
        name, np.tile(speech_like(48_000, seed=seed), int(np.ceil(seconds / 2)))[: int(seconds * 24_000)], 24_000
    )


def whole(path: Path) -> bool:
    return check(path).intact


@pytest.mark.slow
def test_killed_at_any_moment_the_target_is_old_or_new(small_weights: Path, here: Path) -> None:
    recording("in.wav", 30)
    encode = command("encode", "in.wav", "out.nac", "--model", small_weights, "--effort", "fast", "--force", "-q")
    begin = time.monotonic()
    subprocess.run(encode, check=True)
    took = time.monotonic() - begin
    new = Path("out.nac").read_bytes()
    recording("short.wav", 1, seed=1)
    nac("encode", "short.wav", "old.nac", "--model", small_weights, "--effort", "fast")
    old = Path("old.nac").read_bytes()
    rng = random.Random(0)
    for _ in range(TRIES):
        Path("out.nac").write_bytes(old)
        process = subprocess.Popen(encode)
        # Most of the time is the start of Python and torch; the writing comes at the end.
        time.sleep(took * rng.uniform(0.3, 1.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = Path("out.nac").read_bytes()
        assert found in (old, new)
    nac("encode", "in.wav", "out.nac", "--model", small_weights, "--effort", "fast", "--force")
    assert Path("out.nac").read_bytes() == new


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_behind(small_weights: Path, here: Path) -> None:
    recording("in.wav", 20)
    nac("encode", "in.wav", "in.nac", "--model", small_weights, "--effort", "fast")
    size = Path("in.nac").stat().st_size
    for limit, arguments in (
        (size // 2, ("encode", "in.wav", "full.nac", "--effort", "fast")),
        (200_000, ("decode", "in.nac", "full.wav")),
    ):
        # Files end at the limit, as on a disk that fills up; Python turns the signal into an error.
        done = subprocess.run(
            command(*arguments, "--model", small_weights),
            capture_output=True,
            text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and "full." in done.stderr, done.stderr
        assert sorted(path.name for path in here.iterdir()) == ["in.nac", "in.wav"]


@pytest.mark.slow
def test_a_small_disk_that_fills_up(small_weights: Path, here: Path) -> None:
    disk = here / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        recording("in.wav", 120)
        nac("encode", "in.wav", "in.nac", "--model", small_weights, "--effort", "fast", "--kbps", 6)
        (disk / "out.nac").write_bytes(b"old")
        for verb, source, target in (("encode", "in.wav", "disk/out.nac"), ("decode", "in.nac", "disk/out.wav")):
            message = nac(verb, source, target, "--model", small_weights, "--force", code=1)
            assert len(message.strip().splitlines()) == 1 and "space" in message, message
        assert [path.name for path in disk.iterdir()] == ["out.nac"]
        assert (disk / "out.nac").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_two_processes_with_one_target_leave_one_whole_file(small_weights: Path) -> None:
    recording("a.wav", 6, seed=0)
    recording("b.wav", 6, seed=1)
    both = {}
    for name in ("a", "b"):
        nac("encode", f"{name}.wav", f"{name}.nac", "--model", small_weights, "--effort", "fast")
        both[name] = Path(f"{name}.nac").read_bytes()
    for _ in range(TRIES):
        running = [
            subprocess.Popen(
                command(
                    "encode", f"{name}.wav", "same.nac", "--model", small_weights, "--effort", "fast", "--force", "-q"
                )
            )
            for name in ("a", "b")
        ]
        assert [process.wait() for process in running] == [0, 0]
        assert Path("same.nac").read_bytes() in both.values()
        assert not [
            path for path in Path().iterdir() if path.name not in {"a.wav", "b.wav", "a.nac", "b.nac", "same.nac"}
        ]


@pytest.mark.slow
def test_a_reader_that_leaves_ends_the_writer_quietly(small_weights: Path) -> None:
    recording("in.wav", 20)
    nac("encode", "in.wav", "in.nac", "--model", small_weights, "--effort", "fast")
    process = subprocess.Popen(
        command("decode", "in.nac", "-", "--model", small_weights), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    message = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=120) != 0 and "Traceback" not in message and "BrokenPipe" not in message


@pytest.mark.slow
def test_a_killed_batch_goes_on_where_it_was(small_weights: Path, here: Path) -> None:
    Path("in").mkdir()
    for number in range(6):
        recording(f"in/{number}.wav", 8, seed=number)
    Path("in/3x.wav").write_bytes(b"RIFF, but no more")
    batch = command("encode", "in", "-o", "out", "--model", small_weights, "--effort", "fast", "-q")
    process = subprocess.Popen(batch)
    while not (Path("out").exists() and list(Path("out").glob("*.nac"))) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.nac")}
    assert first and all(whole(Path("out", name)) for name in first)
    done = subprocess.run([*batch, "--skip-existing"], capture_output=True, text=True)
    assert done.returncode == 1 and "3x.wav" in done.stderr
    names = sorted(path.name for path in Path("out").glob("*.nac"))
    assert names == [f"{number}.nac" for number in range(6)]
    assert all(whole(Path("out", name)) for name in names)
    assert all(Path("out", name).stat().st_mtime_ns == stamp for name, stamp in first.items())
