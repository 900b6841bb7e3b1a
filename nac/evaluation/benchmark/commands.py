"""What whole commands cost: wall and processor seconds, peak memory, over the length of the audio and at start-up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nac.errors import NacError
from nac.format.blocks import BlockWriter
from nac.format.entropy.tables import tables_beside, tables_field
from nac.format.header import Metadata, frame_count, pack_header
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, Layout, default_block_frames, split_codebooks
from nac.format.payload import payload_coder
from nac.packaged import default_weights, table_library

NAC = (sys.executable, "-m", "nac")
RATE = 24_000
SOME = 20
"""Blocks that differ, in files of made-up codes."""
LAG = 8
"""By how many codebooks side has fewer than mid in them."""


@dataclass(frozen=True)
class Run:
    """A finished command: wall seconds, user CPU seconds, and the peak of its resident memory in MB.

    The peak is at least the memory of the process that started the command: the system counts from there.
    """

    wall: float
    user: float
    peak: float


def run_command(arguments: Sequence[str]) -> Run:
    """Run a command to its end and account for it.

    Raises:
        NacError: it failed.
    """
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise NacError(f"{' '.join(arguments)} failed with code {process.returncode}")
    return Run(time.perf_counter() - start, usage.ru_utime, usage.ru_maxrss / 1024)


def over_length(lengths: Sequence[float]) -> Iterator[tuple[float, Run, Run]]:
    """For files of so many seconds: the seconds, and what `nac encode` at 6 kbps and `nac decode` cost.

    Runs as it is iterated over.
    """
    with tempfile.TemporaryDirectory() as folder:
        wav, coded, back = (str(Path(folder, name)) for name in ("a.wav", "a.nac", "b.wav"))
        for seconds in lengths:
            _write_noise(wav, seconds)
            encoded = run_command([*NAC, "encode", wav, coded, "--quiet", "--force"])
            yield seconds, encoded, run_command([*NAC, "decode", coded, back, "--quiet", "--force"])


def lengths_up_to(longest: float) -> list[float]:
    """Seconds from 1 to `longest`, each about four times the one before.

    >>> lengths_up_to(60)
    [1.0, 4.0, 15.0, 60.0]
    """
    if longest <= 1:
        return [float(longest)]
    steps = max(1, round(float(np.log(longest) / np.log(4))))
    return [float(np.round(value)) for value in np.geomspace(1, longest, steps + 1)]


def edits(minutes: int = 60, kbps: int = 24, entropy: bool = False) -> dict[str, float]:
    """Time work on a file without the model, start of the program included.

    Args:
        minutes: Length of the file. Its codes are noise, which costs what any other codes do.
        kbps: Bit rate of the file.
        entropy: Whether it is entropy coded; its codes are then such as the packaged tables expect.

    Returns:
        How many times faster than real time each command is, counting the whole file.

    Raises:
        WeightsError: there are no tables beside the packaged weights.
    """
    seconds = minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        names = ("whole", "stereo", "first", "second", "part")
        whole, stereo, first, second, part = (str(Path(folder, f"{name}.nac")) for name in names)
        write_codes(Path(whole), seconds, kbps, entropy)
        write_codes(Path(stereo), seconds, kbps, entropy, channels=2)
        middle = str(seconds // 2)
        commands = {
            f"nac reduce ({kbps} to 6 kbps)": ["reduce", whole, part, "--kbps", "6"],
            f"nac reduce (stereo, {kbps} to 6 kbps)": ["reduce", stereo, part, "--kbps", "6"],
            f"nac reduce ({kbps} to 9 kbps)": ["reduce", whole, part, "--kbps", "9"],
            "nac trim (half of it)": ["trim", whole, first, "--end", middle],
            "nac trim (the other half)": ["trim", whole, second, "--start", middle],
            "nac cat (both halves)": ["cat", first, second, "-o", part],
            "nac trim (half of it, from within a block)": ["trim", whole, part, "--start", middle + ".5"],
            "nac tag": ["tag", whole, "--set", "TITLE=Noise"],
        }
        options = {"reduce": ("--quiet", "--force"), "trim": ("--quiet", "--force"), "cat": ("--force",)}
        return {
            name: seconds / run_command([*NAC, *command, *options.get(command[0], ())]).wall
            for name, command in commands.items()
        }


def write_codes(path: Path, seconds: float, kbps: int, entropy: bool = False, channels: int = 1) -> None:
    """A `.nac` file of so many seconds whose codes are noise, or such as the packaged tables expect."""
    samples = int(seconds * RATE)
    size = default_block_frames(channels, kbps)
    meta = Metadata(RATE, channels, samples, kbps, 2 * kbps, 0, "noise", block_frames=size)
    rng = np.random.default_rng(0)
    library = table_library()
    if entropy:
        tables = tables_beside(default_weights())
        meta = replace(meta, fingerprint=tables.model, coding=ENTROPY, extra=(tables_field(tables),))
    writer, frames = BlockWriter(meta, library), frame_count(samples, RATE)
    drawn = [_likely(meta, rng) if entropy else rng.integers(0, 1024, (2 * kbps, size)) for _ in range(SOME)]
    lag = LAG if channels == 2 else 0
    full = [payload_coder(meta, library).encode(codes.T[None], [lag])[0] for codes in drawn]
    mid = split_codebooks(meta.codebooks, channels, lag)[0]
    with path.open("wb") as file:
        file.write(pack_header(meta))
        for number, first in enumerate(range(0, frames, size)):
            rest = frames - first
            whole, codes = full[number % SOME], drawn[number % SOME]
            parts = [codes[:mid, :rest], codes[mid:, :rest]][:channels]
            file.write(writer.packed(whole, size, lag) if rest >= size else writer.block(parts, lag))


def _likely(meta: Metadata, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Codes of a block, `[codebooks, frames]`, as likely as the tables have it: what they read out of noise."""
    meta = replace(meta, coding=ENTROPY_WHOLE)  # without sections, whose lengths noise would not fit
    noise = b"\1" + rng.bytes(Layout(meta).payload_bytes(meta.block_frames) - 3) + b"\1"
    # All codebooks but the last, since the noise must not be held against the length that it would have.
    lag = LAG if meta.channels == 2 else 0
    codes = payload_coder(meta, table_library()).decode([noise], meta.block_frames, [lag], meta.codebooks - 1)[0]
    last = rng.integers(0, 1024, (meta.block_frames, 1), np.uint16)
    found: npt.NDArray[np.uint16] = np.concatenate([codes, last], 1).T
    return found


def start_up(rounds: int = 5) -> dict[str, float]:
    """Wall seconds, the least of some rounds, from start to end of small commands."""
    with tempfile.TemporaryDirectory() as folder:
        wav, coded, back = (str(Path(folder, name)) for name in ("a.wav", "a.nac", "b.wav"))
        _write_noise(wav, 0.02)
        run_command([*NAC, "encode", wav, coded, "--quiet"])
        commands: dict[str, list[str]] = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "nac info": [*NAC, "info", coded],
            "import torch": [sys.executable, "-c", "import torch"],
            "nac decode (20 ms of audio)": [*NAC, "decode", coded, back, "--quiet", "--force"],
        }
        return {name: min(run_command(command).wall for _ in range(rounds)) for name, command in commands.items()}


def _write_noise(path: str, seconds: float) -> None:
    """A 16-bit WAV file of noise, written minute by minute: its length shall not count as memory of ours."""
    import soundfile

    rng = np.random.default_rng(0)
    left = round(seconds * RATE)
    minute = (0.1 * rng.standard_normal(min(left, 60 * RATE))).astype(np.float32)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left > 0:
            file.write(minute[:left])
            left -= len(minute)
