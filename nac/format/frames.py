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

from nac.errors import DamagedError
from nac.format.bits import Codes
from nac.format.blocks import BlockWriter
from nac.format.entropy import WIDE, EntropyPayload
from nac.format.entropy_sections import Sections
from nac.format.header import Metadata, pack_header
from nac.format.layout import ENTROPY_CODINGS, MAX_LAG, PACKED, Layout, split_codebooks
from nac.format.payload import PayloadCoder, payload_coder
from nac.format.scan import Damage, RawBlock, Scanner

BATCH = {PACKED: 256, **dict.fromkeys(ENTROPY_CODINGS, WIDE)}
"""Blocks of a run at most, ..."""
RUN_BYTES = 8 << 20
"""... and their payloads, also as packed ones: a bound on memory whatever a file holds."""


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


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Says of payloads that cannot be read what follows from it."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(f"the file cannot be edited: {error}") from None


@dataclass(frozen=True, eq=False)
class Run:
    """Blocks that follow one another, all with the same number of frames, and what is wanted of them: `count` frames
    from frame `skip` of the first on."""

    layout: Layout
    blocks: Sequence[RawBlock]
    skip: int
    count: int

    def __len__(self) -> int:
        return self.count

    def first(self, count: int) -> Run:
        """The first frames, or all if there are not so many."""
        return replace(self, count=max(0, min(count, self.count)))

    def without(self, blocks: int) -> Run:
        """What is left behind the first blocks, which are wanted whole."""
        return replace(self, blocks=self.blocks[blocks:], count=self.count - blocks * self.blocks[0].frames)

    def unpack(self, codebooks: int | None = None) -> Frames:
        """The frames; with fewer codebooks over all channels if told so.

        Raises DamagedError when the codes of a block cannot be read.
        """
        frames = self.blocks[0].frames
        blocks = self.blocks[: -(-(self.skip + self.count) // frames)]
        lags = np.array([block.side_lag for block in blocks], np.uint8)
        with _refusing():
            payloads = [block.payload for block in blocks]
            codes = payload_coder(self.layout.meta).decode(payloads, frames, lags.tolist(), codebooks)
        whole = Frames(codes.reshape(-1, codes.shape[2]), np.repeat(lags, frames))
        return whole[self.skip : self.skip + self.count]


def read_frames(stream: BinaryIO, meta: Metadata) -> Iterator[Frames]:
    """The frames of a file, in batches; the stream stands at its first block.

    Raises DamagedError when a block is damaged.
    """
    for run in runs_of(Scanner(stream, meta)):
        yield run.unpack()


def runs_of(scanner: Scanner, first: int = 0, count: int | None = None) -> Iterator[Run]:
    """The blocks of a file with the frames from `first` on, `count` of them or all.

    Raises DamagedError when a block that is needed is damaged.
    """
    skip = first - (scanner.seek(first) if first else 0)
    batch: list[RawBlock] = []
    most, size = BATCH[scanner.meta.coding], 0
    wanted = None if count is None else skip + count  # counted from the block that the scanner stands at
    for block in intact_blocks(scanner) if wanted != 0 else ():
        full = len(batch) == most or size >= RUN_BYTES
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

    In stereo all frames of a block must agree on the codebooks of the side channel: `split_changes` tells where not.
    """

    def __init__(self, target: BinaryIO, meta: Metadata) -> None:
        self._target = target
        self._writer = BlockWriter(meta)
        self._layout = Layout(meta)
        self._rest: list[Frames] = []
        self._last: Run | None = None  # a whole block, too short for any place but the end
        target.write(pack_header(meta))

    @cached_property
    def _coder(self) -> PayloadCoder:
        return payload_coder(self._layout.meta)  # where payloads are copied, no tables are needed

    def copy(self, run: Run) -> None:
        """Append blocks of another file, with their first codebooks if this one has fewer.

        Where a whole block becomes a block, its payload is taken as it is if possible, otherwise coded anew.
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
            self.push(run.unpack(self._layout.meta.codebooks))

    def _copied(self, run: Run) -> bool:
        """Write whole blocks with their payloads as they are, or cut; tells whether that is possible."""
        frames = run.blocks[0].frames
        blocks = run.blocks[: len(run) // frames]
        payloads = self._payloads(blocks, run.layout.meta)
        if payloads is not None:
            self._write_payloads(payloads, [block.side_lag for block in blocks], frames)
        return payloads is not None

    def _payloads(self, blocks: Sequence[RawBlock], theirs: Metadata) -> list[bytes] | None:
        """What the payloads of whole blocks become here, None if they must be coded anew."""
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
        with _refusing():
            if ours.codebooks in sections.ends:
                return [sections.first(payload, frames, ours.codebooks) for payload in payloads]
            coder = payload_coder(theirs)
            if isinstance(coder, EntropyPayload):
                return coder.shorten(payloads, frames, [block.side_lag for block in blocks], ours.codebooks)
        return None

    def _end_wait(self) -> None:
        """More follows the block that was held back as the last one."""
        if self._last is not None:
            frames, self._last = self._last.unpack(self._layout.meta.codebooks), None
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
        """Write the frames that are left, and the end block if the metadata do not tell the number of samples."""
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
