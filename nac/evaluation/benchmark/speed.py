"""Speed of codecs, always beside a peer in the same run: figures alone say more of the machine than of the code.

Every measurement is a process of its own, so that no figure contains another's caches, threads or imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nac.audio import AudioWriter
from nac.evaluation.benchmark.commands import run_command
from nac.evaluation.codecs.tools import TOOLS
from nac.synthetic import modulated_noise

SECONDS = 20
ROUNDS = 3

#: Runs in a child: encode and decode `SECONDS` of audio some rounds over, print the least CPU and wall seconds of each.
_TIMER = """
import json, sys, time
import numpy as np, torch
from nac.evaluation.benchmark.speed import PEERS
from nac.synthetic import modulated_noise
threads, seconds, rounds = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
encode, decode = PEERS[sys.argv[1]]()
signal = modulated_noise(seconds)
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


def measure_tool(name: str, seconds: int = SECONDS, rounds: int = ROUNDS) -> Speed | None:
    """Speed of a program of `nac.evaluation.codecs.tools.TOOLS` at its lowest usual bit rate; None if not installed.

    Its CPU seconds are user time, start of the program included.

    Raises:
        NacError: it is installed but fails.
    """
    tool = TOOLS[name]
    if tool.missing() is not None:
        return None
    rate, rows = 24_000, []
    with tempfile.TemporaryDirectory() as folder:
        source, coded, back = Path(folder, "in.wav"), Path(folder, f"coded.{tool.suffix}"), Path(folder, "out.wav")
        with AudioWriter(source, rate, 1, subtype="pcm16") as writer:
            writer.write(modulated_noise(seconds, rate)[None])
        for _ in range(rounds):
            encoded = run_command(tool.filled(tool.encoder, source, coded, tool.rates[0], rate))
            decoded = run_command(tool.filled(tool.decoder, coded, back, tool.rates[0], rate))
            rows.append((encoded.wall, decoded.wall, encoded.user, decoded.user))
    return Speed(*(float(value) / seconds for value in np.min(rows, 0)))
