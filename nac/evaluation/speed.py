"""Speed and memory, always beside a peer in the same run: figures alone say more of the machine than of the code.

Every measurement is a process of its own, so that no figure contains another's caches, threads or imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SECONDS = 20
ROUNDS = 3

#: Runs in a child: encode and decode `SECONDS` of audio some rounds over, print the least CPU and wall seconds of each.
_TIMER = """
import json, sys, time
import numpy as np, torch
from nac.evaluation.speed import PEERS, test_signal
threads, seconds, rounds = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
encode, decode = PEERS[sys.argv[1]]()
signal = test_signal(seconds)
rows = []
for _ in range(rounds):
    wall, cpu = time.perf_counter(), time.process_time()
    coded = encode(signal)
    wall1, cpu1 = time.perf_counter(), time.process_time()
    decode(coded)
    wall2, cpu2 = time.perf_counter(), time.process_time()
    rows.append((wall1 - wall, wall2 - wall1, cpu1 - cpu, cpu2 - cpu1))
print(json.dumps(np.min(rows, 0).tolist()))
"""


@dataclass(frozen=True)
class Speed:
    """Seconds of computing per second of audio: the least of some rounds."""

    encode_wall: float
    decode_wall: float
    encode_cpu: float
    decode_cpu: float


def test_signal(seconds: float, rate: int = 24_000) -> npt.NDArray[np.float32]:
    """Noise with a speech-like envelope, `[samples]`: the cost of a codec hardly depends on the sound."""
    rng = np.random.default_rng(0)
    time_axis = np.arange(int(seconds * rate)) / rate
    envelope = 0.1 * (1 + np.sin(2 * np.pi * 3 * time_axis))
    return (envelope * rng.standard_normal(len(time_axis))).astype(np.float32)


def _nac(effort: str) -> Any:
    import nac

    codec = nac.Codec.load()
    return lambda x: codec.encode(x, 24_000, 6, effort=effort), codec.decode


def _encodec() -> Any:
    import types
    from importlib import import_module

    import torch

    # The package imports torchaudio for its file functions, which are not used here.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))

    model: Any = import_module("encodec").EncodecModel.encodec_model_24khz(pretrained=False).eval()
    model.set_target_bandwidth(6.0)

    def encode(x: npt.NDArray[np.float32]) -> Any:
        with torch.inference_mode():
            return model.encode(torch.from_numpy(x)[None, None])

    def decode(frames: Any) -> Any:
        with torch.inference_mode():
            return model.decode(frames)

    return encode, decode


PEERS = {
    "nac fast": lambda: _nac("fast"),
    "nac": lambda: _nac("default"),
    "nac best": lambda: _nac("best"),
    "EnCodec 24 kHz": _encodec,
}


def measure(name: str, threads: int, seconds: int = SECONDS, rounds: int = ROUNDS) -> Speed | None:
    """Speed of a codec of `PEERS` at 6 kbps; None where its package is missing."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _TIMER, name, str(threads), str(seconds), str(rounds)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if run.returncode:
        return None
    return Speed(*(value / seconds for value in json.loads(run.stdout.splitlines()[-1])))


@dataclass(frozen=True)
class Run:
    """A finished command: wall seconds, CPU seconds, and the peak of its resident memory in MB."""

    wall: float
    cpu: float
    peak: float


def run_command(arguments: list[str]) -> Run:
    """Run a command to its end and account for it.

    Raises:
        RuntimeError: it failed.
    """
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed with code {process.returncode}")
    return Run(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def memory(minutes: tuple[int, ...] = (1, 60)) -> dict[int, tuple[Run, Run]]:
    """Encode and decode files of so many minutes on the command line."""
    import soundfile

    nac = [sys.executable, "-m", "nac"]
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        wav, coded, back = (str(Path(folder, name)) for name in ("a.wav", "a.nac", "b.wav"))
        for length in minutes:
            minute = test_signal(60)
            with soundfile.SoundFile(wav, "w", 24_000, 1, "PCM_16") as file:
                for _ in range(length):
                    file.write(minute)
            encoded = run_command([*nac, "encode", wav, coded, "--quiet", "--force"])
            out[length] = encoded, run_command([*nac, "decode", coded, back, "--quiet", "--force"])
    return out


def start_up(rounds: int = 5) -> dict[str, float]:
    """Wall seconds, the least of some rounds, from start to end of small commands."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        wav, coded, back = (str(Path(folder, name)) for name in ("a.wav", "a.nac", "b.wav"))
        soundfile.write(wav, test_signal(0.02), 24_000)
        nac = [sys.executable, "-m", "nac"]
        run_command([*nac, "encode", wav, coded, "--quiet"])
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "nac info": [*nac, "info", coded],
            "import torch": [sys.executable, "-c", "import torch"],
            "nac decode (20 ms of audio)": [*nac, "decode", coded, back, "--quiet", "--force"],
        }
        return {name: min(run_command(command).wall for _ in range(rounds)) for name, command in commands.items()}
