"""Blocks: about a second of codes each, with a checksum. Writes them, and reads them in spite of damage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nac.arrays import Codes
from nac.errors import DamagedError, OptionError
from nac.format.entropy.tables import TableLibrary
from nac.format.header import UNKNOWN_SAMPLES, Metadata, frame_count, pack_header
from nac.format.layout import MAX_BLOCKS, MAX_PAYLOAD, Layout, check_side_lag
from nac.format.payload import PayloadCoder, payload_coder
from nac.format.scan import Damage, RawBlock, Scanner, block_checksum

__all__ = ["Block", "BlockReader", "BlockWriter", "Damage", "patch_samples"]


@dataclass(frozen=True, eq=False)
class Block:
    """The codes of one block.

    Attributes:
        index: number of the block in the file; it begins at frame `index * block_frames`.
        side_lag: by how many codebooks the side channel has fewer than mid, 0 for mono.
        codes: for each channel (in stereo mid, then side) uint16 `[codebooks of the channel, frames]`.
    """

    index: int
    side_lag: int
    codes: list[Codes]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.codes[0].shape[1])


class BlockWriter:
    """Turns codes into the blocks of a file with this metadata, which follow `pack_header(meta)`.

    Every block but the last has exactly `meta.block_frames` frames. If `meta.samples` is None, `end` makes the end
    block, or `patch_samples` completes a file that can be rewritten. Methods raise OptionError for what a file cannot
    hold.

    >>> meta = Metadata(24000, 1, samples=960, kbps=1, codebooks=2, fingerprint=7, model="test")
    >>> BlockWriter(meta).block([np.array([[1, 2, 3], [4, 5, 1023]])]).hex()
    '03004040080500fff0549db1cf'
    """

    def __init__(self, meta: Metadata, tables: TableLibrary | None = None, first_block: int = 0) -> None:
        """A writer before its first block.

        Args:
            meta: of the file.
            tables: needed by `block` where the codes are to be entropy coded.
            first_block: number of the block that comes next, for a file that is continued; its length must be unknown.
        """
        self.meta = meta
        self.frames = first_block * meta.block_frames
        self._tables = tables
        self._layout = Layout(meta)
        self._index = first_block
        self._ended = False

    @cached_property
    def _coder(self) -> PayloadCoder:
        return payload_coder(self.meta, self._tables)  # not needed to write payloads that exist already

    def block(self, codes: Sequence[npt.NDArray[np.integer]], side_lag: int = 0) -> bytes:
        """Make the next block.

        Args:
            codes: integers (0 to 2**bits - 1) of each channel, `[codebooks of the channel, frames]`.
            side_lag: by how many codebooks the side channel has fewer than mid, 0 for mono.

        Returns:
            The bytes of the block.
        """
        check_side_lag(side_lag, self.meta.channels)
        split = self._layout.split(side_lag)
        shapes = [tuple(np.shape(channel)) for channel in codes]
        frames = shapes[0][-1] if shapes and shapes[0] else 0
        if shapes != [(codebooks, frames) for codebooks in split]:
            expected = ", ".join(f"({codebooks}, frames)" for codebooks in split)
            raise OptionError(f"the codes of a block must have the shapes {expected}, not {shapes}")
        table = np.concatenate(codes).T
        if not np.issubdtype(table.dtype, np.integer):
            raise OptionError(f"codes must be integers, not {table.dtype}")
        if table.size and (table.min() < 0 or table.max() >> self.meta.bits):
            raise OptionError(f"codes must be from 0 to {(1 << self.meta.bits) - 1}")
        return self.packed(self._coder.encode(table[None], [side_lag])[0], frames, side_lag)

    def packed(self, payload: bytes, frames: int, side_lag: int = 0) -> bytes:
        """Make the next block from a payload.

        Args:
            payload: codes as `meta.coding` stores them.
            frames: of the block.
            side_lag: see `block`.

        Returns:
            The bytes of the block.
        """
        full = self.meta.block_frames
        if self._ended or self.frames % full:
            raise OptionError("the file is complete: no block can follow the end or a block with fewer frames")
        if not 1 <= frames <= full:
            raise OptionError(f"a block of this file has 1 to {full} frames, not {frames}")
        total = self.meta.frames
        if total is not None and frames != min(full, total - self.frames):
            raise OptionError(f"{frames} frames after {self.frames} of {total} break the rule of {full} in a block")
        head = bytes([frames, side_lag] if self._layout.stereo else [frames])
        if not self._layout.fixed:
            if len(payload) > MAX_PAYLOAD:
                raise OptionError(f"a block takes {len(payload)} bytes; {MAX_PAYLOAD} is the most: use fewer frames")
            head += len(payload).to_bytes(2, "big")
        self.frames += frames
        return self._number(head + payload)

    def end(self, samples: int) -> bytes:
        """Make what follows the last block: the end block, or nothing if the header states the number of samples.

        Args:
            samples: per channel, of the whole file.
        """
        check_samples(self.meta, samples, self.frames)
        if self._ended:
            raise OptionError("the file is complete already")
        self._ended = True
        return b"" if self.meta.samples is not None else self._number(b"\0" + samples.to_bytes(5, "big"))

    def _number(self, data: bytes) -> bytes:
        if self._index >= MAX_BLOCKS:
            raise OptionError("the file has as many blocks as can be numbered: begin another")
        checksum = block_checksum(self._index, data)
        self._index += 1
        return data + checksum.to_bytes(4, "big")


def check_samples(meta: Metadata, samples: int, frames: int) -> None:
    """Check that a file of `frames` frames may end after `samples` samples per channel.

    Raises:
        OptionError: its header states another number, or so many samples need another number of frames.
    """
    if not 0 <= samples < UNKNOWN_SAMPLES or (meta.samples is not None and samples != meta.samples):
        raise OptionError(f"the file cannot end after {samples} samples: its header states {meta.samples}")
    needed = frame_count(samples, meta.sample_rate, meta.frame_rate)
    if needed != frames:
        raise OptionError(f"{samples} samples need {needed} frames, but {frames} were written")


def patch_samples(stream: BinaryIO, meta: Metadata, samples: int) -> Metadata:
    """Complete a file that was begun with an unknown number of samples: write the number into its header.

    Args:
        stream: seekable and writable; holds `pack_header(meta)` from its start and then all blocks without an end
            block. It is left at its end.
        meta: what the header holds now.
        samples: per channel.

    Returns:
        The new metadata.

    Raises:
        OptionError: the blocks are not those of so many samples.
    """
    patched = replace(meta, samples=samples)
    header = pack_header(patched)
    size = stream.seek(0, 2)
    layout = Layout(meta)
    blocks = layout.total_bytes(patched.frames or 0)
    if layout.fixed and size != len(header) + blocks:
        raise OptionError(f"{samples} samples need {blocks} bytes of blocks, but the file has {size - len(header)}")
    stream.seek(0)
    stream.write(header)
    stream.seek(0, 2)
    return patched


class BlockReader:
    """Iterates over the `Block`s of a file, and over `Damage` where blocks are missing or broken.

    Never more than a block, or a bounded window while searching after damage, is held. Damage raises no error.
    Without a stream, bytes are fed: see `Scanner`.

    >>> import io
    >>> meta = Metadata(24000, 1, samples=960, kbps=1, codebooks=2, fingerprint=7, model="test")
    >>> stream = io.BytesIO(bytes.fromhex("03004040080500fff0549db1cf"))
    >>> [block.codes[0].tolist() for block in BlockReader(stream, meta)]
    [[[1, 2, 3], [4, 5, 1023]]]
    """

    def __init__(
        self,
        stream: BinaryIO | None,
        meta: Metadata,
        ahead: int = 0,
        tables: TableLibrary | None = None,
        first_block: int = 0,
    ) -> None:
        """A reader before the first block.

        Args:
            stream: stands at the first block, as `read_header` leaves it; may be a pipe. None: `feed` brings the bytes.
            meta: of the file.
            ahead: blocks that may be read before one is returned, at most as many as were returned: entropy coded
                blocks decode faster together. Those that are fed are never waited for.
            tables: needed where the codes are entropy coded.
            first_block: number of the block that the stream stands at.

        Raises:
            FormatError: this program does not know the coding, or `tables` lack those that the file names.
        """
        self.meta = meta
        self._ahead = ahead
        self._fed = stream is None
        self._count = 0
        self._scanner = Scanner(stream, meta, first_block)
        self._layout = self._scanner.layout
        self._coder = payload_coder(meta, tables)

    @property
    def samples(self) -> int | None:
        """Samples per channel; where the end block states it, known after the last item. None: not known, or lost."""
        return self._scanner.samples

    @property
    def frames(self) -> int:
        """Frames passed so far, in blocks and as damage."""
        return self._scanner.frames

    def feed(self, data: bytes) -> None:
        """Append bytes of the file; none at all are its end."""
        self._scanner.feed(data)

    def seek(self, frame: int) -> int:
        """Go to the block that holds a frame: a jump in a file, a walk on a pipe.

        Args:
            frame: from 0 to the number of frames.

        Returns:
            The first frame of that block.

        Raises:
            OptionError: the frame is outside the file, or behind the position on a pipe.
        """
        return self._scanner.seek(frame)

    def __iter__(self) -> Iterator[Block | Damage]:
        """Read to the end of the file, or of what has been fed."""
        waiting: list[RawBlock] = []
        for item in self._scanner:
            if isinstance(item, Damage) or (waiting and item.frames != waiting[0].frames):
                yield from self._decoded(waiting)
                waiting = []
            if isinstance(item, Damage):
                yield item
                continue
            waiting.append(item)
            self._count += 1
            # Of a stream few at first, so that the first block does not wait long; what was fed is decoded together.
            if len(waiting) > (self._ahead if self._fed else min(self._ahead, self._count // 2)):
                yield from self._decoded(waiting)
                waiting = []
        yield from self._decoded(waiting)

    def _decoded(self, blocks: Sequence[RawBlock]) -> Iterator[Block | Damage]:
        """Blocks that all have the same number of frames."""
        try:
            tables = self._tables(blocks)
        except DamagedError as error:  # a writer's fault, as the checksum is right
            if len(blocks) > 1:
                for one in blocks:
                    yield from self._decoded([one])
                return
            bad = blocks[0]
            first = bad.index * self.meta.block_frames
            yield Damage(bad.index, first, bad.frames, f"block {bad.index}: {error}")
            return
        for block, table in zip(blocks, tables, strict=True):
            mid = self._layout.split(block.side_lag)[0]
            channels = [table[:, :mid], table[:, mid:]] if self._layout.stereo else [table]
            yield Block(block.index, block.side_lag, [np.ascontiguousarray(codes.T) for codes in channels])

    def _tables(self, blocks: Sequence[RawBlock]) -> Codes | list[Codes]:
        """The codes of each, `[frames, codebooks]`."""
        if not blocks:
            return []
        payloads, lags = [block.payload for block in blocks], [block.side_lag for block in blocks]
        return self._coder.decode(payloads, blocks[0].frames, lags)
