"""A stand-in for the codec, so that the command line is tested without a model, and files to test it on."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

import numpy as np
import soundfile

from nac.audio import AudioWriter, open_audio
from nac.errors import WeightsError
from nac.files import NewFile
from nac.format.blocks import Block, BlockReader, BlockWriter, Damage
from nac.format.header import Metadata, frame_count, pack_header, read_header
from nac.format.layout import Layout, default_block_frames

FINGERPRINT = 0x12345678


def nac_bytes(samples=100_000, rate=44100, channels=1, kbps=6, unknown=False, tags=(), fingerprint=FINGERPRINT):
    """A valid file whose codes are noise."""
    size = default_block_frames(channels, kbps)
    known = None if unknown else samples
    meta = Metadata(rate, channels, known, kbps, 2 * kbps, fingerprint, "test", block_frames=size, tags=tags)
    writer = BlockWriter(meta)
    rng = np.random.default_rng(samples)
    lag = 10 if channels == 2 else 0
    shapes = Layout(meta).split(lag)
    parts = [pack_header(meta)]
    total = frame_count(samples, rate)
    for first in range(0, total, size):
        frames = min(size, total - first)
        parts.append(writer.block([rng.integers(0, 1024, (count, frames)) for count in shapes], lag))
    return b"".join([*parts, writer.end(samples)])


def damaged(data, block=1, kbps=6):
    """The same mono file with one bit wrong in a block."""
    bad = bytearray(data)
    start = 9 + int.from_bytes(data[4:8], "big")
    bad[start + block * (1 + 50 * 2 * kbps * 10 // 8 + 4) + 20] ^= 1
    return bytes(bad)


def write_audio(path, samples=5000, rate=44100, channels=1, **options):
    x = np.random.default_rng(0).standard_normal((samples, channels)) * 0.1
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, rate, **options)
    return path


@dataclass
class Report:
    metadata: Metadata
    samples: int = 0
    clipped: int = 0
    peak: float = 0.0
    damage: list[Damage] = field(default_factory=list)


class FakeCodec:
    """Codes everything as zeros and decodes everything as silence, with the file handling of the real one."""

    def __init__(self, fingerprint=FINGERPRINT):
        self.fingerprint = fingerprint
        self.calls = []

    def encode_file(
        self,
        source,
        target,
        *,
        kbps,
        effort,
        tags,
        progress,
        entropy=None,
        verify=False,
        raw=None,
        channels=None,
        block_frames=None,
    ):
        self.calls.append(("encode", str(source), str(target), kbps, effort, tags))
        with open_audio(source, raw, channels) as reader:
            samples = sum(block.shape[1] for block in reader.blocks())
            data = nac_bytes(samples, reader.sample_rate, reader.channels, kbps, False, tags, self.fingerprint)
        if os.fspath(target) == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            with NewFile(target) as new:
                new.file.write(data)

    def decode_file(
        self,
        source,
        target,
        *,
        format,
        subtype,
        start,
        duration,
        progress,
        headroom=0.0,
        with_tags=True,
        live=False,
    ):
        self.calls.append(("decode", str(source), str(target), format, subtype, start, duration))
        with sys.stdin.buffer if os.fspath(source) == "-" else open(source, "rb") as stream:
            meta = read_header(stream)
            if meta.fingerprint != self.fingerprint:
                raise WeightsError("the file was made with other weights")
            report = Report(meta)
            with AudioWriter(target, meta.sample_rate, meta.channels, format, subtype) as writer:
                for item in BlockReader(stream, meta):
                    if isinstance(item, Damage):
                        report.damage.append(item)
                    else:
                        assert isinstance(item, Block)
                writer.write(np.zeros((meta.channels, meta.samples), np.float32))
            return report
