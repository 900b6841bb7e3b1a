"""A corpus on a Ray of this machine: every input once, whatever dies."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import nac
from nac.synthetic import speech_like

pytest.importorskip("ray.data")
pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "encode_corpus.py"


def start(*arguments: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    assert "Traceback" not in errors, errors
    return errors


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def workers_below(process: int) -> list[int]:
    """Ray's workers that encode, among the descendants of a process."""
    parents, found = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if b"ShardEncoder" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue

    def below(child: int) -> bool:
        while child > 1 and child != process:
            child = parents.get(child, 0)
        return child == process

    return [child for child in found if child != process and below(child)]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker under /proc")
def test_a_list_with_a_worker_killed_and_a_run_repeated(small_weights: Path, tmp_path: Path) -> None:
    names = [tmp_path / f"{number:02}.wav" for number in range(8)]
    for number, name in enumerate(names):
        soundfile.write(name, np.tile(speech_like(24_000, seed=number), 20), 24_000)
    (tmp_path / "bad.wav").write_bytes(b"RIFF, but no more")
    (tmp_path / "list.txt").write_text("\n".join(map(str, [*names[:3], tmp_path / "bad.wav", *names[3:]])) + "\n")
    out = tmp_path / "codes"
    options = (
        tmp_path / "list.txt",
        out,
        "--kbps",
        3,
        "-e",
        "fast",
        "--model",
        small_weights,
        "--shard-files",
        1,
        "--workers",
        1,
    )
    process = start(*options)
    victims: list[int] = []
    while process.poll() is None and not (victims and list(out.glob("*.parquet"))):
        victims = workers_below(process.pid)
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[1]
    os.kill(victims[0], signal.SIGKILL)
    assert "9 shards done, 0 there already; 9 rows, 1 failed" in finish(process, 1)
    rows = rows_of(out)
    assert [row["id"] for row in rows] == [*map(str, names), str(tmp_path / "bad.wav")]
    assert "bad.wav" in rows[-1]["error"] and rows[-1]["codes"] is None
    codec = nac.Codec.load(small_weights)
    for row, name in zip(rows[:-1:3], names[::3], strict=True):
        audio, _ = soundfile.read(name, dtype="float32")
        codes = np.frombuffer(row["codes"], "<i2").reshape(row["channels"], row["codebooks"], row["frames"])
        np.testing.assert_array_equal(codes, codec.encode_codes(audio, 24_000, 3, "fast"))
        assert (row["error"], row["sample_rate"], row["samples"], row["kbps"], row["fingerprint"]) == (
            None,
            24_000,
            len(audio),
            3,
            codec.fingerprint,
        )

    # As if the run had been stopped: what is there stays, what is missing comes, half a shard is none.
    kept = {path: path.stat().st_mtime_ns for path in sorted(out.glob("*.parquet"))}
    for path in list(kept)[2:5]:
        path.unlink()
        del kept[path]
    (out / ".part-000002.parquet.0123456789ab.part").write_bytes(b"half")
    assert "shards done, 6 there already" in finish(start(*options), 1)  # one of the missing has the bad file
    assert rows_of(out) == rows
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert "0 shards done, 9 there already" in finish(start(*options))
    assert "another corpus" in finish(start(*options, "-b", 6), 1)


def test_a_table_of_audio(small_weights: Path, tmp_path: Path) -> None:
    audio, rate = np.stack([speech_like(8_000, 16_000, seed) for seed in (0, 1)]), 16_000
    wav = io.BytesIO()
    soundfile.write(wav, audio.T, rate, format="WAV", subtype="FLOAT")
    files = [wav.getvalue(), None, wav.getvalue(), b"no audio", wav.getvalue()]
    (tmp_path / "in").mkdir()
    table = pa.table({"key": list("abcde"), "sound": [{"bytes": data, "path": None} for data in files]})
    pq.write_table(table, tmp_path / "in" / "0.parquet", row_group_size=2)
    columns = ("--id-column", "key", "--audio-column", "sound")
    options = (tmp_path / "in", tmp_path / "out", "-e", "fast", "--model", small_weights, "--workers", 1)
    assert "no column audio" in finish(start(*options), 1)
    assert "3 shards done, 0 there already; 5 rows, 2 failed" in finish(start(*options, *columns), 1)
    rows = rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == list("abcde")
    assert [row["error"] is None for row in rows] == [True, False, True, False, True]
    codes = nac.Codec.load(small_weights).encode_codes(audio, rate, 6, "fast")
    assert codes.shape == (2, 12, rows[0]["frames"]) and codes.astype("<i2").tobytes() == rows[0]["codes"]


def test_lists_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.wav\nb.wav\na.wav\n")
    assert "lists a file twice" in finish(start(tmp_path / "list.txt", tmp_path / "out"), 1)
    (tmp_path / "empty").mkdir()
    assert "no .parquet files" in finish(start(tmp_path / "empty", tmp_path / "out"), 1)
    assert not (tmp_path / "out").exists()
