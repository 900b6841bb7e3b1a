"""A day of audio through `nac encode - - | nac decode - -`: is memory flat, and the length exact?

\b
    python scripts/soak.py                  # 24 h of audio, or as much as 20 minutes of computing do
    python scripts/soak.py --minutes 0.5    # a quick look

The audio is made on the fly: a WAV stream of unknown length, speech-like with silences, fed as fast as it is taken.
When the time is up, or the day over, the stream ends, and every sample must come out. Memory is measured all along;
beyond the first quarter of the run no process may grow by more than --most MB.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import click
import numpy as np

NAC = (sys.executable, "-m", "nac")
#: Seconds between two measurements of memory.
STEP = 0.5


def sound(rate: int, channels: int, samples: int) -> Iterator[bytes]:
    """16-bit samples, a second at a time, that never repeat: glides and noise under a slow envelope, with silences."""
    rng = np.random.default_rng(0)
    phase = 0.0
    for second in range(-(-samples // rate)):
        count = min(rate, samples - second * rate)
        pitch = 120 * 2 ** rng.uniform(0, 1.5) + 20 * np.sin(np.arange(count) / rate * 5)
        phases = phase + np.cumsum(pitch) * 2 * np.pi / rate
        phase = float(phases[-1]) % (2 * np.pi)
        voice = sum(np.sin(k * phases) / k for k in (1, 2, 3, 5, 8))
        level = 0.0 if second % 37 == 36 else rng.uniform(0, 0.2)
        mono = level * voice + (level > 0) * 0.01 * rng.standard_normal(count)
        both = [mono, np.roll(mono, 7) * 0.7][:channels]
        yield (np.stack(both, 1).clip(-1, 1) * 32_767).astype("<i2").tobytes()


def wav_head(rate: int, channels: int) -> bytes:
    """Head of a 16-bit WAV stream that does not know its length."""
    unknown = 0xFFFFFFFF
    return (
        b"RIFF"
        + struct.pack("<I", unknown)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
        + b"data"
        + struct.pack("<I", unknown)
    )


def resident(process: int) -> float | None:
    """Resident memory of a process in MB; None when it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return None


@dataclass
class Soak:
    """A run: what went in and came out, and (seconds, MB of the encoder, MB of the decoder) over time."""

    samples_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    memory: list[tuple[float, float, float]] = field(default_factory=list)
    problem: str = ""

    def growth(self) -> tuple[float, float]:
        """MB by which encoder and decoder grew, at most, beyond their peak in the first quarter of the run."""
        settled = max(1, len(self.memory) // 4)
        early, late = np.array(self.memory[:settled]), np.array(self.memory[settled:] or self.memory)
        grown = late.max(0) - early.max(0)
        return float(grown[1]), float(grown[2])


def soak(hours: float, minutes: float, rate: int, channels: int, options: list[str], model: list[str]) -> Soak:
    """Stream audio through the two commands until `hours` of it are through or `minutes` have passed."""
    run = Soak()
    encoder = subprocess.Popen(
        [*NAC, "encode", "-", "-", "--quiet", *options, *model], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert encoder.stdin is not None and encoder.stdout is not None
    decoder = subprocess.Popen(
        [*NAC, "decode", "-", "-", "--quiet", *model], stdin=encoder.stdout, stdout=subprocess.PIPE
    )
    assert decoder.stdout is not None
    encoder.stdout.close()
    begun = time.monotonic()

    def drain(stream: BinaryIO) -> None:
        while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
            run.bytes_out += len(piece)

    def watch() -> None:
        while not done.wait(STEP):
            sizes = resident(encoder.pid), resident(decoder.pid)
            if run.bytes_out and sizes[0] is not None and sizes[1] is not None:  # both have started
                run.memory.append((time.monotonic() - begun, sizes[0], sizes[1]))

    done = threading.Event()
    threads = [threading.Thread(target=drain, args=(decoder.stdout,)), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        encoder.stdin.write(wav_head(rate, channels))
        for piece in sound(rate, channels, round(hours * 3600 * rate)):
            encoder.stdin.write(piece)
            run.samples_in += len(piece) // (2 * channels)
            if time.monotonic() - begun > 60 * minutes:
                break
        encoder.stdin.close()
    except BrokenPipeError:
        run.problem = "a command ended before its input did"
    codes = encoder.wait(), decoder.wait()
    done.set()
    for thread in threads:
        thread.join()
    run.seconds = time.monotonic() - begun
    if codes != (0, 0):
        run.problem = f"the commands ended with the codes {codes[0]} and {codes[1]}"
    return run


@click.command(help=__doc__)
@click.option("--hours", default=24.0, show_default=True, help="Audio to make.")
@click.option("--minutes", default=20.0, show_default=True, help="Time after which the input ends.")
@click.option("--rate", default=24_000, show_default=True, help="Its sample rate.")
@click.option("--channels", default=1, show_default=True, type=click.IntRange(1, 2))
@click.option("--kbps", default=6, show_default=True)
@click.option("--effort", default="fast", show_default=True)
@click.option("--most", default=20.0, show_default=True, help="Growth of memory, in MB, that is still called flat.")
@click.option("--model", help="Weights file to use instead of the one in the package.")
def main(
    hours: float, minutes: float, rate: int, channels: int, kbps: int, effort: str, most: float, model: str | None
) -> None:
    run = soak(
        hours, minutes, rate, channels, ["--kbps", str(kbps), "--effort", effort], ["--model", model] if model else []
    )
    click.echo("| minute | encoder MB | decoder MB |\n| --- | --- | --- |")
    for index in sorted({round(place) for place in np.linspace(0, max(0, len(run.memory) - 1), 11)}):
        if index < len(run.memory):
            when, one, two = run.memory[index]
            click.echo(f"| {when / 60:.1f} | {one:.0f} | {two:.0f} |")
    came = max(0, run.bytes_out - 44) / (2 * channels)
    length = run.samples_in / rate
    click.echo(
        f"\n{length / 3600:.3f} h of audio in {run.seconds / 60:.1f} min ({length / run.seconds:.1f} times real "
        f"time): {run.samples_in} samples in, {int(came)} out"
    )
    if run.problem:
        raise click.ClickException(run.problem)
    if came != run.samples_in:
        raise click.ClickException("the output has another length than the input")
    if not run.memory:
        click.echo("memory was not measured: the run was too short, or the system has no /proc")
        return
    grown = run.growth()
    click.echo(f"memory beyond the first quarter: {grown[0]:+.1f} MB encoder, {grown[1]:+.1f} MB decoder")
    if max(grown) > most:
        raise click.ClickException(f"memory grew by more than {most:g} MB")


if __name__ == "__main__":
    main()
