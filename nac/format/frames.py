"""Frames out of blocks and into blocks, hundreds of blocks at a time: what editing works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nac.errors import DamagedError
from nac.format.bits import Codes
from nac.format.blocks import BlockWriter
from nac.format.header import Metadata, pack_header
from nac.format.layout import MAX_LAG, Layout, split_codebooks
from nac.format.payload import payload_coder
from nac.format.scan import Damage, RawBlock, Scanner

BATCH = 256


@dataclass(frozen=True, eq=False)
class Frames:
    """A run of frames: codes uint16 `[frames, codebooks]`, mid before side, and uint8 `[frames]` side lags."""

    codes: Codes
    lags: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, part: slice) -> Frames:
        return Frames(self.codes[part], self.lags[part])


def intact_blocks(scanner: Scanner) -> Iterator[RawBlock]:
    """The blocks of a file without damage. Raises DamagedError where there is some."""
    for item in scanner:
        if isinstance(item, Damage):
            seconds = item.first_frame / scanner.meta.frame_rate
            raise DamagedError(f"the file is damaged at {seconds:.2f} s ({item.reason}), so it cannot be edited")
        yield item


def read_frames(stream: BinaryIO, meta: Metadata, first: int = 0, count: int | None = None) -> Iterator[Frames]:
    """The frames of a file from `first` on, `count` of them or all, in batches; the stream stands at its first block.

    Raises DamagedError when a block that is needed is damaged.
    """
    yield from frames_of(Scanner(stream, meta), first, count)


def frames_of(scanner: Scanner, first: int = 0, count: int | None = None) -> Iterator[Frames]:
    """As `read_frames`, from a scanner."""
    skip = first - (scanner.seek(first) if first else 0)
    batch: list[RawBlock] = []
    wanted = None if count is None else skip + count  # counted from the block that the scanner stands at
    for block in intact_blocks(scanner) if wanted != 0 else ():
        if batch and (len(batch) == BATCH or block.frames != batch[0].frames):
            yield _unpack(scanner.layout, batch)[skip:]
            batch, skip = [], 0
        batch.append(block)
        if wanted is not None:
            wanted -= block.frames
            if wanted <= 0:
                yield _unpack(scanner.layout, batch)[skip : len(batch) * block.frames + wanted]
                return
    if batch:
        yield _unpack(scanner.layout, batch)[skip:]


def _unpack(layout: Layout, batch: list[RawBlock]) -> Frames:
    """Blocks with the same number of frames; one with another number is a batch of its own."""
    frames = batch[0].frames
    lags = np.array([block.side_lag for block in batch], np.uint8)
    try:
        codes = payload_coder(layout.meta).decode([block.payload for block in batch], frames, lags.tolist())
    except DamagedError as error:
        raise DamagedError(f"the file cannot be edited: {error}") from None
    return Frames(codes.reshape(-1, layout.meta.codebooks), np.repeat(lags, frames))


class FrameWriter:
    """Writes a file of frames: header, then blocks as they fill up, then what `finish` adds.

    In stereo all frames of a block must agree on the codebooks of the side channel: `split_changes` tells where not.
    """

    def __init__(self, target: BinaryIO, meta: Metadata) -> None:
        self._target = target
        self._writer = BlockWriter(meta)
        self._layout = Layout(meta)
        self._coder = payload_coder(meta)
        self._rest: list[Frames] = []
        target.write(pack_header(meta))

    def push(self, frames: Frames) -> None:
        """Append frames."""
        size = self._layout.block_frames
        self._rest.append(frames)
        waiting = sum(len(part) for part in self._rest)
        if waiting >= size:
            joined = self._joined()
            whole = waiting // size * size
            self._write(joined[:whole], size)
            self._rest = [joined[whole:]]

    def finish(self, samples: int) -> None:
        """Write the frames that are left, and the end block if the metadata do not tell the number of samples."""
        rest = self._joined()
        if len(rest):
            self._write(rest, len(rest))
        self._target.write(self._writer.end(samples))

    def _joined(self) -> Frames:
        if len(self._rest) == 1:
            return self._rest[0]
        empty = Frames(np.zeros((0, self._layout.meta.codebooks), np.uint16), np.zeros(0, np.uint8))
        parts = [empty, *self._rest]
        return Frames(np.concatenate([part.codes for part in parts]), np.concatenate([part.lags for part in parts]))

    def _write(self, frames: Frames, size: int) -> None:
        lags = frames.lags[::size].tolist()
        payloads = self._coder.encode(frames.codes.reshape(-1, size, self._layout.meta.codebooks), lags)
        packed = self._writer.packed
        self._target.write(b"".join([packed(payload, size, lag) for payload, lag in zip(payloads, lags, strict=True)]))


def side_codebooks(meta: Metadata, lags: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Codebooks of the side channel of a stereo file for each lag."""
    return np.array([split_codebooks(meta.codebooks, 2, lag)[1] for lag in range(MAX_LAG + 1)])[lags]


def split_changes(stream: BinaryIO, meta: Metadata, first: int, count: int) -> list[tuple[int, int]]:
    """Where, counted from `first`, the next `count` frames change how many codebooks side has, and to how many.

    Begins with (0, those of the first frame). The stream stands at its first block, and is left anywhere.
    """
    scanner = Scanner(stream, meta)
    place = scanner.seek(first) - first
    changes: list[tuple[int, int]] = []
    before = None
    for block in intact_blocks(scanner):
        side = scanner.layout.split(block.side_lag)[-1]
        if side != before:
            changes.append((max(place, 0), side))
        before = side
        place += block.frames
        if place >= count:  # what follows may be damaged
            break
    return changes
