"""Makes small `.nac` files with random codes, for the tests of `nac.format`."""

import io
from dataclasses import dataclass

import numpy as np

from nac.format.blocks import Block, BlockReader, BlockWriter
from nac.format.header import Metadata, frame_count, pack_header, read_header
from nac.format.layout import split_codebooks
from nac.format.scan import Damage
from tests.format.tables import LIBRARY

META = Metadata(24000, 1, samples=24000, kbps=6, codebooks=12, fingerprint=0x01020304, model="test", block_frames=10)


@dataclass
class Made:
    """A file and what is in it."""

    meta: Metadata
    data: bytes
    header: bytes
    blocks: list[Block]
    starts: list[int]
    """Where the blocks begin in `data`, and where the last one ends."""

    @property
    def frames(self):
        return sum(block.frames for block in self.blocks)

    def position(self, index):
        """Where block `index` begins in `data`, or what follows the last one."""
        return self.starts[index]


def make(meta=META, seed=0, samples=None, lags=(0,), draw=None):
    """A file with this metadata; `samples` where the metadata does not tell; side lags taken in turn.

    draw: codes `[codebooks, frames]` from (codebooks, frames, number of the block); None: each is as likely.
    """
    rng = np.random.default_rng(seed)

    def noise(codebooks, frames, _number):
        return rng.integers(0, 1 << meta.bits, (codebooks, frames), dtype=np.uint16)

    total = meta.samples if meta.samples is not None else samples
    frames = frame_count(total, meta.sample_rate, meta.frame_rate)
    writer = BlockWriter(meta, LIBRARY)
    blocks, pieces = [], [pack_header(meta)]
    starts = [len(pieces[0])]
    while frames:
        count = min(frames, meta.block_frames)
        lag = lags[len(blocks) % len(lags)] if meta.channels == 2 else 0
        codes = [
            (draw or noise)(codebooks, count, len(blocks))
            for codebooks in split_codebooks(meta.codebooks, meta.channels, lag)
        ]
        blocks.append(Block(len(blocks), lag, codes))
        pieces.append(writer.block(codes, lag))
        starts.append(starts[-1] + len(pieces[-1]))
        frames -= count
    pieces.append(writer.end(total))
    return Made(meta, b"".join(pieces), pieces[0], blocks, starts)


def read(data):
    """(metadata, items, samples) of a file given as bytes or as a stream."""
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    meta = read_header(stream)
    reader = BlockReader(stream, meta, tables=LIBRARY)
    return meta, list(reader), reader.samples


def same_codes(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def problems(made, items):
    """What is wrong with the items read from a changed copy of a file: nothing, whatever was changed.

    Every block must be the original one, in order, and what is not there must be told as damage.
    """
    frame = 0
    for item in items:
        first = item.first_frame if isinstance(item, Damage) else item.index * made.meta.block_frames
        if first != frame:
            return f"frames {frame} to {first} are skipped silently"
        frame += item.frames
        if isinstance(item, Block):
            original = made.blocks[item.index]
            if item.side_lag != original.side_lag or not same_codes(item.codes, original.codes):
                return f"block {item.index} has other codes"
    damaged = any(isinstance(item, Damage) for item in items)
    return "" if damaged or frame == made.frames else f"{made.frames - frame} frames are missing silently"


class Pipe:
    """A stream that cannot seek and hands out its bytes in pieces of `piece` bytes."""

    def __init__(self, data, piece):
        self.data = io.BytesIO(data)
        self.piece = piece
        self.largest = 0

    def read(self, count):
        self.largest = max(self.largest, count)
        return self.data.read(min(count, self.piece))

    def seekable(self):
        return False
