"""Pushes packets of every wrong kind at a receiver, and tells what goes wrong: for tests and scripts/fuzz_format.py.

A string of bytes is a program: the first byte chooses the receiver, each five bytes after it one thing that happens.
The network is left out: frames decode to silence.
"""

from functools import lru_cache
from types import SimpleNamespace
from unittest import mock

import numpy as np

from nac.format.packets import NUMBERS, Packet, Run
from nac.packets import MAX_AHEAD, MAX_LOST, PacketDecoder
from tests.conftest import SMALL

FINGERPRINT = 0x01234567
CODEC = SimpleNamespace(
    model=SimpleNamespace(config=SimpleNamespace(**{**vars(SMALL), "codebook_size": 1024}, bits=10, hop=480)),
    fingerprint=FINGERPRINT,
)
RECOVERY_EVERY = 16


class Silence:
    """Stands for the network."""

    def __init__(self, model, channels, first_frame=0):
        self.channels = channels

    def push(self, codes):
        assert len(codes) == self.channels and all(channel.shape[1] == 1 for channel in codes)
        return np.zeros((self.channels, 480), np.float32)

    def conceal(self, frames):
        return np.zeros((self.channels, 480 * frames), np.float32)

    def flush(self):
        return np.zeros((self.channels, 0), np.float32)


@lru_cache(maxsize=4096)
def sent(number, channels=1, frames=1, model=FINGERPRINT >> 16):
    """A packet as a sender makes it, with redundancy."""
    codes = np.random.default_rng(number % 7).integers(0, 1024, (frames, 12)).astype(np.uint16)
    lag = number % 5 if channels == 2 else 0
    own = Run(number % NUMBERS, codes, lag)
    earlier = [Run((number - 2) % NUMBERS, codes[:1], lag).reduced(channels, 2)]
    return Packet(model, channels, own, earlier).pack()


def verdict(program):
    """What goes wrong: "" if nothing. Raises what the receiver raises."""
    with mock.patch("nac.packets.FrameDecoder", Silence):
        return _run(program)


def _run(program):
    head = program[0] if program else 0
    delay, channels = head % 11, 1 + head // 11 % 2
    decoder = PacketDecoder(CODEC, delay, channels=channels)
    pulls, pushed = 0, 0
    next_number = 65_500
    for start in range(1, len(program) - 4, 5):
        kind, high, low, size, value = program[start : start + 5]
        place = high << 8 | low
        packets, wanted = [], 0
        if kind % 11 == 0:  # what a call is made of
            packets, wanted = [sent(next_number + index) for index in range(size % 20)], size % 20
            next_number += size % 20
        elif kind % 11 == 1:
            wanted = size
        else:
            data = bytearray(sent(next_number, 1 + value % 2, 1 + size % 4))
            if kind % 11 == 2:
                data[place % len(data)] ^= 1 << value % 8
            elif kind % 11 == 3:
                del data[place % len(data) :]
            elif kind % 11 == 4:
                data += np.random.default_rng(place).bytes(size)
            elif kind % 11 == 5:
                data = np.random.default_rng(place).bytes(size * 6)
            elif kind % 11 == 6:
                data[3:5] = place.to_bytes(2, "big")
            elif kind % 11 == 7:
                data[1:3] = place.to_bytes(2, "big")
            elif kind % 11 == 8:
                data[5:] = np.random.default_rng(place).bytes(size)
            packets = [bytes(data)] * (1 + value % 3)
            if kind % 11 == 9:  # old ones again
                packets = [sent(next_number - place % 300 + index) for index in range(size % 9)]
            elif kind % 11 == 10:  # the sender begins anew
                next_number = place
        for packet in packets:
            decoder.push(packet)
            pushed += 1
        for _ in range(wanted):
            if decoder.pull().shape != (channels, 480):
                return "a pull is not 20 ms"
            pulls += 1
        if len(decoder._frames) > 2 * delay + MAX_AHEAD + 1:
            return f"{len(decoder._frames)} frames are held"
    report = decoder.report
    if report.played + report.repaired + report.concealed > pulls:
        return "more frames were heard than were pulled"
    if report.packets + report.rejected != pushed:
        return "a packet was not counted"
    return _recovery(decoder, next_number + 20_000) if sum(program) % RECOVERY_EVERY == 0 else ""


def _recovery(decoder, number):
    """Whatever was before, a call that goes on is heard before long."""
    for index in range(MAX_LOST + 2 * (decoder.delay + MAX_AHEAD)):
        decoder.push(sent(number + index))
        decoder.pull()
    before = decoder.report.played
    for index in range(20):
        decoder.push(sent(number + MAX_LOST + 2 * (decoder.delay + MAX_AHEAD) + index))
        decoder.pull()
    return "" if decoder.report.played == before + 20 else "the receiver does not come back"
