"""Frames out of blocks and into blocks, hundreds of blocks at a time: what editing works on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nac.arrays import Codes
from nac.errors import DamagedError
from nac.format.blocks import BlockWriter
from nac.format.entropy.payload import MAX_LANES, EntropyPayload
from nac.format.entropy.sections import Sections
from nac.format.entropy.tables import TableLibrary
from nac.format.header import Metadata, pack_header
from nac.format.layout import ENTROPY_CODINGS, MAX_LAG, PACKED, Layout, split_codebooks
from nac.format.payload import PayloadCoder, payload_coder
from nac.format.scan import Damage, RawBlock, Scanner

BATCH = {PACKED: 256, **dict.fromkeys(ENTROPY_CODINGS, MAX_LANES)}
"""Most blocks of a run."""
RUN_BYTES = 8 << 20
"""Most bytes of a run's payloads, also as packed ones: a bound on memory whatever a file holds."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Consecutive frames.

    Attributes:
        codes: uint16 `[frames, codebooks]`, mid before side.
        lags: uint8 `[frames]`, the side lags.
    """

    codes: Codes
    lags: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.codes)

    def __getitem__(self, part: slice) -> Frames:
        """Some of the frames."""
        return Frames(self.codes[part], self.lags[part])


def intact_blocks(scanner: Scanner) -> Iterator[RawBlock]:
    """The blocks of an intact file.

    Raises:
        DamagedError: the file is damaged.
    """
    for item in scanner:
        if isinstance(item, Damage):
            seconds = item.first_frame / scanner.meta.frame_rate
            raise DamagedError(f"the file is damaged at {seconds:.2f} s ({item.reason}), so it cannot be edited")
        yield item


@contextlib.contextmanager
def _explaining_damage() -> Iterator[None]:
    """Add to errors of payloads that the file cannot be edited."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(f"the file cannot be edited: {error}") from None


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive blocks with the same number of frames, of which some frames are wanted.

    Attributes:
        layout: of the file.
        blocks: the blocks.
        skip: the first wanted frame, counted from the first of the first block.
        count: wanted frames.
    """

    layout: Layout
    blocks: Sequence[RawBlock]
    skip: int
    count: int

    def __len__(self) -> int:
        """Number of wanted frames."""
        return self.count

    def first(self, count: int) -> Run:
        """The first `count` wanted frames, or all if there are fewer."""
        return replace(self, count=max(0, min(count, self.count)))

    def without(self, blocks: int) -> Run:
        """All but the first `blocks` blocks, which are wanted whole."""
        return replace(self, blocks=self.blocks[blocks:], count=self.count - blocks * self.blocks[0].frames)

    def unpack(self, codebooks: int | None = None, tables: TableLibrary | None = None) -> Frames:
        """Decode the wanted frames.

        Args:
            codebooks: keep the first ones over all channels; None: all.
            tables: needed where the codes are entropy coded.

        Raises:
            DamagedError: a payload is not one that an encoder makes.
        """
        frames = self.blocks[0].frames
        blocks = self.blocks[: -(-(self.skip + self.count) // frames)]
        lags = np.array([block.side_lag for block in blocks], np.uint8)
        with _explaining_damage():
            payloads = [block.payload for block in blocks]
            codes = payload_coder(self.layout.meta, tables).decode(payloads, frames, lags.tolist(), codebooks)
        whole = Frames(codes.reshape(-1, codes.shape[2]), np.repeat(lags, frames))
        return whole[self.skip : self.skip + self.count]


def read_frames(stream: BinaryIO, meta: Metadata, tables: TableLibrary | None = None) -> Iterator[Frames]:
    """Read the frames of a file, in batches.

    Args:
        stream: stands at the first block.
        meta: of the file.
        tables: needed where the codes are entropy coded.

    Raises:
        DamagedError: a block is damaged.
    """
    for run in runs_of(Scanner(stream, meta)):
        yield run.unpack(tables=tables)


def runs_of(scanner: Scanner, first: int = 0, count: int | None = None, max_bytes: int = RUN_BYTES) -> Iterator[Run]:
    """Read the blocks of a file that hold some frames.

    Args:
        scanner: of the file.
        first: the first wanted frame.
        count: wanted frames; None: all that follow.
        max_bytes: most bytes of the payloads of a run, also as packed ones.

    Raises:
        DamagedError: a block that is needed is damaged.
    """
    skip = first - (scanner.seek(first) if first else 0)
    batch: list[RawBlock] = []
    most, size = BATCH[scanner.meta.coding], 0
    wanted = None if count is None else skip + count  # counted from the block that the scanner stands at
    for block in intact_blocks(scanner) if wanted != 0 else ():
        full = len(batch) == most or size >= max_bytes
        if batch and (full or block.frames != batch[0].frames):
            yield Run(scanner.layout, batch, skip, len(batch) * batch[0].frames - skip)
            batch, skip, size = [], 0, 0
        batch.append(block)
        size += max(len(block.payload), scanner.layout.payload_bytes(block.frames))
        if wanted is not None:
            wanted -= block.frames
            if wanted <= 0:
                yield Run(scanner.layout, batch, skip, len(batch) * block.frames + wanted - skip)
                return
    if batch:
        yield Run(scanner.layout, batch, skip, len(batch) * batch[0].frames - skip)


class FrameWriter:
    """Writes a file of frames: header, then blocks as they fill up, then what `finish` adds.

    In stereo all frames of a block must agree on the codebooks of the side channel: see `split_changes`.
    """

    def __init__(self, target: BinaryIO, meta: Metadata, tables: TableLibrary | None = None) -> None:
        """Write the header.

        Args:
            target: stream that receives the file.
            meta: of the file.
            tables: needed where entropy coded codes must be decoded or encoded, not only copied.
        """
        self._target = target
        self._tables = tables
        self._writer = BlockWriter(meta)
        self._layout = Layout(meta)
        self._rest: list[Frames] = []
        self._last: Run | None = None  # a whole block, too short for any place but the end
        target.write(pack_header(meta))

    @cached_property
    def _coder(self) -> PayloadCoder:
        return payload_coder(self._layout.meta, self._tables)  # where payloads are copied, no tables are needed

    def copy(self, run: Run) -> None:
        """Append blocks of another file, with their first codebooks if this one has fewer.

        Where a whole block becomes a block, its payload is copied if possible, otherwise decoded and encoded again.
        """
        self._end_wait()
        if not len(run):
            return
        if not run.skip and not any(map(len, self._rest)):
            frames = run.blocks[0].frames
            if frames == self._layout.block_frames:
                whole = len(run) // frames
                if self._copied(run.first(whole * frames)):
                    run = run.without(whole)
            elif len(run) == frames < self._layout.block_frames:
                self._last = run
                return
        if len(run):
            self.push(run.unpack(self._layout.meta.codebooks, self._tables))

    def _copied(self, run: Run) -> bool:
        """Write whole blocks with their payloads copied or truncated; returns whether that is possible."""
        frames = run.blocks[0].frames
        blocks = run.blocks[: len(run) // frames]
        payloads = self._payloads(blocks, run.layout.meta)
        if payloads is not None:
            self._write_payloads(payloads, [block.side_lag for block in blocks], frames)
        return payloads is not None

    def _payloads(self, blocks: Sequence[RawBlock], theirs: Metadata) -> list[bytes] | None:
        """The payloads of whole blocks copied or truncated, None if they must be encoded again."""
        ours = self._layout.meta
        one, other = ((meta.channels, meta.bits, meta.coding, meta.tables) for meta in (ours, theirs))
        payloads = [block.payload for block in blocks]
        if one != other or ours.codebooks > theirs.codebooks:
            return None
        if ours.codebooks == theirs.codebooks or not blocks:
            return payloads
        if ours.coding not in ENTROPY_CODINGS:
            return None
        frames = blocks[0].frames
        sections = Sections(theirs.coding, theirs.codebooks, theirs.channels, theirs.bits)
        with _explaining_damage():
            if ours.codebooks in sections.ends:
                return [sections.first(payload, frames, ours.codebooks) for payload in payloads]
            coder = payload_coder(theirs, self._tables)
            if isinstance(coder, EntropyPayload):
                return coder.truncate(payloads, frames, [block.side_lag for block in blocks], ours.codebooks)
        return None

    def _end_wait(self) -> None:
        """Decode the block that was held back as the last one, because more follows it."""
        if self._last is not None:
            frames, self._last = self._last.unpack(self._layout.meta.codebooks, self._tables), None
            self.push(frames)

    def push(self, frames: Frames) -> None:
        """Append frames."""
        self._end_wait()
        size = self._layout.block_frames
        self._rest.append(frames)
        waiting = sum(len(part) for part in self._rest)
        if waiting >= size:
            joined = self._joined()
            whole = waiting // size * size
            self._write(joined[:whole], size)
            self._rest = [joined[whole:]]

    def finish(self, samples: int) -> None:
        """Write the remaining frames, and the end block if the metadata do not state the number of samples.

        Args:
            samples: per channel, of the whole file.
        """
        if self._last is not None and self._copied(self._last):
            self._last = None
        self._end_wait()
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
        self._write_payloads(payloads, lags, size)

    def _write_payloads(self, payloads: Sequence[bytes], lags: Sequence[int], frames: int) -> None:
        packed = self._writer.packed
        self._target.write(b"".join(map(packed, payloads, itertools.repeat(frames), lags)))


def side_codebooks(meta: Metadata, lags: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Number of codebooks of the side channel of a stereo file for each of `lags`."""
    return np.array([split_codebooks(meta.codebooks, 2, lag)[1] for lag in range(MAX_LAG + 1)])[lags]


def split_changes(stream: BinaryIO, meta: Metadata, first: int, count: int) -> list[tuple[int, int]]:
    """Find the frames at which the number of side codebooks changes.

    Args:
        stream: stands at the first block; where it is left is undefined.
        meta: of the file.
        first: the first frame to look at.
        count: how many frames to look at.

    Returns:
        (frame counted from `first`, side codebooks) of each change, beginning with frame 0.
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
