"""A call over UDP on 127.0.0.1: a sender in real time, a network that loses packets, a receiver that plays.

\b
    python -m scripts.live_loopback --loss 10 --fec-kbps 1 --out heard.wav
    python -m scripts.live_loopback talk.wav --loss 10 --burst 3
    python -m scripts.live_loopback --microphone        # with sounddevice: speak, and hear what the other end would

Without AUDIO a made voice is sent. Losses are independent, or come in bursts with the mean length --burst (Gilbert and
Elliott's model: good times without any loss and bad ones in which every packet is lost). Each packet is late by a
random time up to --jitter. In the end it tells the delay, and how many frames were played, repaired and concealed.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from nac.audio import AudioWriter
from nac.codec import Codec
from nac.errors import NacError
from nac.packets import PacketDecoder, PacketEncoder
from nac.settings import codebooks_for
from scripts.concealment_report import recording

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class Losses:
    """Which packets a network loses, by Gilbert and Elliott's model; with a mean burst of 1 / (1 − rate) at random.

    E. N. Gilbert, "Capacity of a burst-noise channel", 1960.
    """

    def __init__(self, rate: float, burst: float | None, seed: int = 0) -> None:
        """A network in its good state.

        Args:
            rate: of all packets that are lost, 0 to below 1.
            burst: mean number of packets lost in a row; None: each is lost or not whatever happened before.
        """
        self._rng = np.random.default_rng(seed)
        self._leave = 1 - rate if burst is None else 1 / burst
        # In the long run the share `rate` of all packets meets the bad state.
        self._enter = rate if burst is None else rate / (1 - rate) * self._leave
        if not 0 <= self._enter <= 1 or self._leave > 1:
            raise click.ClickException(
                "no such network: the mean burst must be 1 or more, and room left between bursts"
            )
        self._bad = False

    def lost(self) -> bool:
        """Whether the next packet is lost."""
        change = self._rng.random()
        self._bad = change >= self._leave if self._bad else change < self._enter
        return self._bad


class Network:
    """UDP on this machine: packets are lost, or sent after a random time."""

    def __init__(self, losses: Losses, jitter: float, seed: int = 1) -> None:
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("127.0.0.1", 0))
        self.receiver.setblocking(False)
        self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._losses, self._jitter = losses, jitter
        self._rng = np.random.default_rng(seed)
        self._timers: list[threading.Timer] = []
        self.sent = self.lost = self.bytes = 0

    def send(self, packet: bytes) -> None:
        """Send a packet, perhaps."""
        self.sent += 1
        self.bytes += len(packet)
        if self._losses.lost():
            self.lost += 1
            return
        target = self.receiver.getsockname()
        if not self._jitter:
            self._sender.sendto(packet, target)
            return
        timer = threading.Timer(self._rng.uniform(0, self._jitter) / 1000, self._sender.sendto, (packet, target))
        self._timers = [old for old in self._timers if old.is_alive()] + [timer]
        timer.start()

    def receive(self) -> Iterator[bytes]:
        """What has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                yield self.receiver.recv(1 << 16)

    def close(self) -> None:
        for timer in self._timers:
            timer.join()
        self.receiver.close()
        self._sender.close()


def speak(encoder: PacketEncoder, network: Network, blocks: Iterator[Floats]) -> None:
    """Send sound as it comes."""
    for block in blocks:
        for packet in encoder.push(block):
            network.send(packet)
    for packet in encoder.flush():
        network.send(packet)


def in_real_time(samples: Floats, rate: int, begun: float) -> Iterator[Floats]:
    """20 ms at a time, each when it is over."""
    step = rate // 50
    for first in range(0, samples.shape[1], step):
        time.sleep(max(0.0, begun + (first + step) / rate - time.monotonic()))
        yield samples[:, first : first + step]


def microphone(rate: int, seconds: float) -> Iterator[Floats]:
    """20 ms at a time from the microphone."""
    import sounddevice

    taken: queue.Queue[Floats] = queue.Queue()

    def take(data: Floats, *details: object) -> None:
        taken.put(data.T.copy())

    with sounddevice.InputStream(rate, rate // 50, channels=1, dtype="float32", callback=take):
        for _ in range(int(seconds * 50)):
            yield taken.get()


@contextlib.contextmanager
def loudspeaker(rate: int, wanted: bool) -> Iterator[object]:
    """A stream of sounddevice to write to, or None."""
    if not wanted:
        yield None
        return
    import sounddevice

    with sounddevice.OutputStream(rate, rate // 50, channels=1, dtype="float32") as stream:
        yield stream


def call(
    codec: Codec, encoder: PacketEncoder, decoder: PacketDecoder, network: Network, audio: Floats | None, seconds: float
) -> tuple[Floats, float]:
    """Hold a call; returns what was heard, and the milliseconds from a sample's being due to its being heard."""
    rate = codec.sample_rate
    begun = time.monotonic()
    blocks = microphone(rate, seconds) if audio is None else in_real_time(audio, rate, begun)
    sender = threading.Thread(target=speak, args=(encoder, network, blocks))
    sender.start()
    heard, first_frame_at = [], None
    frames = int(seconds * 50) + decoder.delay + 10
    with loudspeaker(rate, audio is None) as out:
        for index in range(frames):
            time.sleep(max(0.0, begun + (index + 1) / 50 - time.monotonic()))
            for packet in network.receive():
                decoder.push(packet)
            heard.append(decoder.pull())
            if first_frame_at is None and decoder.report.played + decoder.report.repaired + decoder.report.concealed:
                first_frame_at = time.monotonic() - begun
            if out is not None:
                out.write(heard[-1].T.copy())  # type: ignore[attr-defined]
    sender.join()
    # The first frame precedes the sound by a hop: its samples are those that come with the second.
    delay = 1000 * (first_frame_at or 0.0) + 20
    return np.concatenate(heard, 1), delay


@click.command(help=__doc__)
@click.argument("audio", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--kbps", default=6, show_default=True, help="Of a packet's own frames.")
@click.option("--frames", default=1, show_default=True, help="Frames of 20 ms in a packet.")
@click.option("--fec-kbps", default=0.0, show_default=True, help="Redundancy, in kbps more.")
@click.option("--fec-distance", default=2, show_default=True, help="How many packets before its own frames lie.")
@click.option("--delay", default=3, show_default=True, help="Of the jitter buffer, in frames.")
@click.option("--loss", default=10.0, show_default=True, type=click.FloatRange(0, 90), help="Packets lost, per cent.")
@click.option("--burst", type=click.FloatRange(1), help="Mean number of packets lost in a row; else at random.")
@click.option("--jitter", default=10.0, show_default=True, type=click.FloatRange(0, 1000), help="In ms.")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Audio file that gets what is heard.")
@click.option("--microphone", "spoken", is_flag=True, help="Speak and listen, instead of AUDIO.")
@click.option("--model", help="Weights file to use instead of the one in the package.")
def main(
    audio: Path | None,
    kbps: int,
    frames: int,
    fec_kbps: float,
    fec_distance: int,
    delay: int,
    loss: float,
    burst: float | None,
    jitter: float,
    seconds: float,
    seed: int,
    out: Path | None,
    spoken: bool,
    model: str | None,
) -> None:
    try:
        codebooks_for(kbps)
        codec = Codec.load(model, threads=1)
        codec.warm_up(kbps)
        sound = None if spoken else recording(audio, codec.sample_rate, seconds)
        encoder = PacketEncoder(
            codec, codec.sample_rate, 1, kbps, "fast", frames, fec_kbps=fec_kbps, fec_distance=fec_distance
        )
        decoder = PacketDecoder(codec, delay)
        network = Network(Losses(loss / 100, burst, seed), jitter)
        try:
            heard, late = call(codec, encoder, decoder, network, sound, seconds)
        finally:
            network.close()
        if out is not None:
            with AudioWriter(str(out), codec.sample_rate, 1) as writer:
                writer.write(heard)
    except NacError as error:
        raise click.ClickException(str(error)) from error
    except ImportError:
        raise click.ClickException("a microphone needs sounddevice: pip install sounddevice") from None
    report = decoder.report
    click.echo(f"{network.sent} packets sent, {network.lost} lost on the way, {report.late} too late")
    click.echo(f"{network.bytes * 8 / 1000 / seconds:.2f} kbps without the heads of UDP and IP")
    click.echo(f"frames: {report.played} played, {report.repaired} repaired, {report.concealed} concealed")
    click.echo(f"delay from when a sample was due to when it is heard: {late:.0f} ms")


if __name__ == "__main__":
    main()
