"""How old is the sound behind `nac encode --live - - | nac decode --live - -`? Measured from outside, in real time.

\b
    python -m scripts.live_latency --minutes 10     # fails unless --most holds
    python -m scripts.live_latency --seconds 5 --encode "--block 100ms"

A made voice goes in as a microphone gives it, 10 ms at a time when they are over. The delay of a sample is the time
from when it was due at the input to when it came out. Player: one that begins when the first sound is there and then
waits a little (--buffer) plays without a gap unless an underrun is counted: sound that comes later than its turn.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO

import click
import numpy as np

from nac.synthetic import speech_like
from scripts.soak import wav_head

NAC = (sys.executable, "-m", "nac")
HEAD_BYTES = 44
#: Milliseconds of sound that the microphone gives at a time.
STEP = 10


@dataclass
class Run:
    """What came out, as (samples so far, seconds since the first sample was due), and how the commands ended."""

    rate: int
    samples_in: int = 0
    arrivals: list[tuple[int, float]] = field(default_factory=list)
    codes: tuple[int, int] = (0, 0)

    @property
    def samples_out(self) -> int:
        return self.arrivals[-1][0] if self.arrivals else 0

    def delays(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Milliseconds from when a sample was due to when it came, of the first, and so oldest, of each arrival."""
        before = [0] + [samples for samples, _ in self.arrivals[:-1]]
        pairs = zip(before, self.arrivals, strict=True)
        return np.array([1000 * (when - start / self.rate) for start, (_, when) in pairs])

    def underruns(self, buffer: float) -> int:
        """Arrivals after their turn at a player that began `buffer` ms after the first sound came."""
        delays = self.delays()
        return int((delays > delays[0] + buffer).sum()) if len(delays) else 0


def measure(seconds: float, rate: int, encode: list[str], decode: list[str]) -> Run:
    """Send sound through the two commands in real time."""
    run = Run(rate)
    voice = speech_like(rate * 20, rate)
    pcm = (voice * 32_767).astype("<i2").tobytes()
    encoder = subprocess.Popen(
        [*NAC, "encode", "-", "-", "--live", "--quiet", *encode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert encoder.stdin is not None and encoder.stdout is not None
    decoder = subprocess.Popen(
        [*NAC, "decode", "-", "-", "--live", "--quiet", *decode], stdin=encoder.stdout, stdout=subprocess.PIPE
    )
    assert decoder.stdout is not None
    encoder.stdout.close()
    times: list[tuple[int, float]] = []

    def listen(stream: BinaryIO) -> None:
        count = 0
        while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
            count += len(piece)
            times.append((count // 2, time.monotonic()))

    listener = threading.Thread(target=listen, args=(decoder.stdout,))
    begun = time.monotonic()
    try:
        encoder.stdin.write(wav_head(rate, 1))
        encoder.stdin.flush()
        if len(decoder.stdout.read(HEAD_BYTES)) == HEAD_BYTES:  # both have started
            listener.start()
            begun = time.monotonic()
            step = rate * STEP // 1000
            for number in range(int(seconds * 1000 / STEP)):
                at = 2 * step * number % (len(pcm) - 2 * step)
                time.sleep(max(0, begun + (number + 1) * STEP / 1000 - time.monotonic()))
                encoder.stdin.write(pcm[at : at + 2 * step])
                encoder.stdin.flush()
                run.samples_in += step
        encoder.stdin.close()
    except BrokenPipeError:
        pass  # its exit code tells
    run.codes = encoder.wait(), decoder.wait()
    if listener.ident is not None:
        listener.join()
    run.arrivals = [(samples, when - begun) for samples, when in times]
    return run


@click.command(help=__doc__)
@click.option("--seconds", type=float, help="Length of the run, instead of --minutes.")
@click.option("--minutes", default=1.0, show_default=True)
@click.option("--rate", default=24_000, show_default=True, help="Sample rate.")
@click.option("--buffer", default=40.0, show_default=True, help="What the player waits after the first sound, in ms.")
@click.option("--most", default=100.0, show_default=True, help="The 99th percentile of the delay that passes, in ms.")
@click.option("--encode", "encode_options", default="", help="Further options of nac encode, as one text.")
@click.option("--decode", "decode_options", default="", help="Further options of nac decode, as one text.")
def main(
    seconds: float | None,
    minutes: float,
    rate: int,
    buffer: float,
    most: float,
    encode_options: str,
    decode_options: str,
) -> None:
    run = measure(seconds or 60 * minutes, rate, shlex.split(encode_options), shlex.split(decode_options))
    if run.codes != (0, 0) or not run.arrivals:
        raise click.ClickException(f"the commands ended with the codes {run.codes[0]} and {run.codes[1]}")
    delays = run.delays()
    click.echo(f"{run.samples_in / rate:.1f} s in real time; {run.samples_in} samples in, {run.samples_out} out")
    click.echo(f"first sound {1000 * run.arrivals[0][1]:.0f} ms after its first sample was due")
    click.echo("| delay | ms |\n| --- | ---: |")
    for name, value in (("least", delays.min()), ("median", np.median(delays)), ("90 %", np.percentile(delays, 90))):
        click.echo(f"| {name} | {value:.0f} |")
    high = float(np.percentile(delays, 99))
    click.echo(f"| 99 % | {high:.0f} |\n| most | {delays.max():.0f} |")
    underruns = run.underruns(buffer)
    click.echo(f"underruns of a player that waits {buffer:g} ms: {underruns}")
    if run.samples_out != run.samples_in:
        raise click.ClickException("the output has another length than the input")
    if high > most or underruns:
        raise click.ClickException(f"too late: 99 % within {high:.0f} ms, {underruns} underruns")


if __name__ == "__main__":
    main()
