"""Walk through the blocks of a file, checksums verified and damage found, without unpacking a code."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from nac.errors import OptionError
from nac.format.header import Metadata, frame_count
from nac.format.layout import CRC_BYTES, END_BYTES, MAX_BLOCKS, Layout
from nac.format.window import MoreNeeded, Window

if TYPE_CHECKING:
    from nac.format.resync import Finder


@dataclass(slots=True)
class RawBlock:
    """An intact block: its payload is as it was written."""

    index: int
    frames: int
    side_lag: int
    payload: bytes


@dataclass(frozen=True)
class Damage:
    """A part of the file that is lost, or bytes in it that do not belong there.

    Attributes:
        index: number of the first block concerned.
        first_frame: the first lost frame.
        frames: how many are lost; 0 where none is, as with stray bytes between blocks.
        reason: what was found.
        position: byte, counted from the first block of the file, where the damage begins.
        at_end: whether nothing intact follows.
    """

    index: int
    first_frame: int
    frames: int
    reason: str
    position: int = 0
    at_end: bool = False

    def seconds(self, frame_rate: int) -> tuple[float, float]:
        """When the lost sound begins and ends, in seconds; twice the same time if none is lost.

        A frame overlaps the one before it, so its loss is heard one frame earlier too.

        Args:
            frame_rate: frames per second.

        >>> Damage(2, 100, 50, "the checksum is wrong").seconds(50)
        (1.98, 3.0)
        """
        first = max(0, self.first_frame - 1) if self.frames else self.first_frame
        return first / frame_rate, (self.first_frame + self.frames) / frame_rate


def block_checksum(index: int, data: bytes) -> int:
    """CRC-32 over the block's number (4 bytes) and its bytes."""
    return zlib.crc32(data, zlib.crc32(index.to_bytes(4, "big")))


def is_seekable(stream: BinaryIO | None) -> bool:
    """Whether the stream is a file rather than a pipe, or none at all."""
    try:
        return stream is not None and stream.seekable()
    except (AttributeError, ValueError):
        return False


def find_samples(stream: BinaryIO, meta: Metadata) -> int | None:
    """Find the number of samples per channel, also where only the end block states it.

    Args:
        stream: stands at the first block, and is left there.
        meta: of the file.

    Returns:
        None if the end block is damaged, or cannot be reached as on a pipe.
    """
    if meta.samples is not None or not is_seekable(stream):
        return meta.samples
    here = stream.tell()
    end = stream.seek(0, io.SEEK_END)
    stream.seek(max(here, end - END_BYTES))
    data = stream.read(END_BYTES)
    stream.seek(here)
    samples = int.from_bytes(data[1:6], "big")
    blocks = -(-frame_count(samples, meta.sample_rate, meta.frame_rate) // meta.block_frames)
    if len(data) < END_BYTES or data[0] or blocks >= MAX_BLOCKS:
        return None
    intact = block_checksum(blocks, data[:-CRC_BYTES]) == int.from_bytes(data[-CRC_BYTES:], "big")
    return samples if intact else None


class Scanner:
    """Iterates over `RawBlock` and `Damage` in the order of the file.

    Without a stream, bytes are fed: the iteration then ends where the next item is not complete yet, and goes on, when
    it is begun again, after more have been fed.

    Attributes:
        samples: per channel; where only the end block states it, known after the last item. None: not stated, or lost.
    """

    def __init__(self, stream: BinaryIO | None, meta: Metadata, first_block: int = 0) -> None:
        """A scanner before the first block.

        Args:
            stream: stands at the first block; may be a pipe. None: `feed` brings the bytes.
            meta: of the file.
            first_block: number of the block that the stream stands at; only from the first block can be sought.

        Raises:
            FormatError: this program does not know the coding.
        """
        self.meta = meta
        self.layout = Layout(meta)
        self.samples = meta.samples
        self._stream = stream
        self._base = stream.tell() if stream is not None and is_seekable(stream) else None
        self._window = Window(stream)
        self._start_at(0, first_block)

    def _start_at(self, position: int, index: int) -> None:
        self._index = index  # of the block expected next
        self._covered = index * self.layout.block_frames  # frames before it; fewer only after a last, shorter block
        self._ended = False  # passed the end block
        self._done = False
        self._pending: RawBlock | Damage | None = None
        self._finder: Finder | None = None
        self._damaged_from: int | None = None  # the position that a search, not done yet, began at
        if self._stream is not None and self._base is not None:
            self._stream.seek(self._base + position)
            self._window.reset(position)

    def feed(self, data: bytes) -> None:
        """Append bytes of the file; none at all are its end."""
        self._window.feed(data)

    @property
    def frames(self) -> int:
        """Frames passed so far, in blocks and as damage."""
        return self._covered

    @property
    def position(self) -> int:
        """Bytes consumed, counted from the first block."""
        return self._window.position

    def drain(self) -> int:
        """Read the rest of the stream; return the position of its end."""
        while ahead := self._window.fill(1 << 16):
            self._window.skip(ahead)
        return self._window.position

    def __iter__(self) -> Scanner:
        """The scanner itself."""
        return self

    def __next__(self) -> RawBlock | Damage:
        """The next block, or damage before it."""
        try:
            item, self._pending = self._pending or self._step(), None
        except MoreNeeded:
            item = None
        if item is None:
            raise StopIteration
        return item

    def seek(self, frame: int) -> int:
        """Go to the block that holds a frame.

        A jump where blocks have equal sizes and the stream is a file, otherwise a walk.

        Args:
            frame: from 0 to the number of frames.

        Returns:
            The first frame of what the iteration then yields.

        Raises:
            OptionError: the frame is outside the file, or behind the position on a pipe.
        """
        if frame < 0 or (self.meta.frames is not None and frame > self.meta.frames):
            raise OptionError(f"there is no frame {frame} in the file")
        if self._base is None:
            ahead = self._covered if self._pending is None else self._first_frame(self._pending)
            if frame < ahead:
                raise OptionError("a pipe can only be read forwards")
        elif self.layout.fixed and self._jump(frame):
            return self._covered
        else:
            self._start_at(0, 0)
        return self._walk(frame)

    def _jump(self, frame: int) -> bool:
        """Go where the block with `frame` is in an intact file; return whether it is there."""
        full, window = self.layout.full_bytes, self._window
        index, within = divmod(frame, self.layout.block_frames)
        self._start_at(index * full, index)
        if index == self.layout.blocks or (self._verify(0, index) and within < window.byte(0)):
            return True
        # A block damaged in place is there too, which the one after it shows (but not the end block: its place depends
        # on the frames of the last block).
        return bool(self._verify(full, index + 1)) and window.byte(full) > 0

    def _walk(self, frame: int) -> int:
        while (item := self._pending or self._step()) is not None:
            first = self._first_frame(item)
            self._pending = item
            if frame < first + item.frames:
                return first
            self._pending = None
        if frame > self._covered:
            raise OptionError(f"there is no frame {frame} in the file: it has {self._covered}")
        return self._covered

    def _first_frame(self, item: RawBlock | Damage) -> int:
        return item.first_frame if isinstance(item, Damage) else item.index * self.layout.block_frames

    def _step(self) -> RawBlock | Damage | None:
        """The next item, None at the end. MoreNeeded leaves all as it was, but for a search that is farther."""
        index, layout, window = self._index, self.layout, self._window
        if self._done:
            return None
        if self._damaged_from is not None:
            return self._search(self._damaged_from)
        if self._ended or index == layout.blocks:
            return self._finish()
        size = self._verify(0, index)
        if not size:
            return self._recover()
        frames = window.byte(0)
        if frames == 0:
            return self._end()
        first = index * layout.block_frames
        if self._covered < first:
            return self._lost(first, f"block {index - 1} has too few frames", window.position)
        data = window.bytes(0, size)
        window.skip(size)
        self._index = index + 1
        lag = data[1] if layout.stereo else 0
        if layout.fixed and data[-CRC_BYTES - 1] & layout.padding_mask(frames):
            return self._lost(first + frames, f"the padding of block {index} is not zero", window.position - size)
        self._covered = first + frames
        return RawBlock(index, frames, lag, data[layout.head_bytes : -CRC_BYTES])

    def _verify(self, offset: int, index: int) -> int:
        """The size of block `index` (or the end block) if it lies intact `offset` bytes ahead, else 0."""
        window, layout = self._window, self.layout
        if window.fill(offset + layout.head_bytes) < offset + layout.head_bytes:
            return 0
        frames = window.byte(offset)
        if layout.blocks is not None:
            if index >= layout.blocks or frames != layout.frames_of(index):
                return 0
        elif frames > layout.block_frames or index >= MAX_BLOCKS:
            return 0
        size = END_BYTES
        if frames:
            head = window.bytes(offset, layout.head_bytes)
            size = layout.block_bytes(frames) if layout.fixed else layout.stated_bytes(head)
        if window.fill(offset + size) < offset + size:
            return 0
        block = window.bytes(offset, size)
        stored = int.from_bytes(block[-CRC_BYTES:], "big")
        return size if block_checksum(index, block[:-CRC_BYTES]) == stored else 0

    def _lost(self, to_frame: int, reason: str, position: int, at_end: bool = False) -> Damage:
        """Damage from the last frame passed to `to_frame`."""
        first = self._covered
        self._covered = max(first, to_frame)
        return Damage(first // self.layout.block_frames, first, self._covered - first, reason, position, at_end)

    def _finish(self) -> Damage | None:
        """After the last block of a file of known length, or after the end block."""
        stray = self._window.fill(1)
        self._done = True
        if not stray:
            return None
        return self._lost(0, "there are bytes after the end", self.position, at_end=True)

    def _end(self) -> Damage | None:
        """At an intact end block."""
        position = self.position
        self.samples = self._end_samples()
        expected = self._frames_by(self.samples)
        self._window.skip(END_BYTES)
        if expected == self._covered:
            self._ended = True
            return self._finish()
        self._done = True
        reason = f"the end block states {expected} frames, but the blocks hold {self._covered}"
        return self._lost(expected, reason, position, at_end=True)

    def _end_samples(self) -> int:
        return int.from_bytes(self._window.bytes(1, 5), "big")

    def _frames_by(self, samples: int) -> int:
        return frame_count(samples, self.meta.sample_rate, self.meta.frame_rate)

    def _recover(self) -> Damage:
        """No intact block is where it should be: find the next one."""
        index, layout, window = self._index, self.layout, self._window
        position = window.position
        in_order = self._covered == index * layout.block_frames
        if in_order and layout.fixed and self._verify(layout.full_bytes, index + 1):
            # Damaged in place: by far the most frequent case, and a cheap one.
            window.skip(layout.full_bytes)
            self._index = index + 1
            to_frame = self._index * layout.block_frames
            if window.byte(0) == 0:  # the end block: the damaged one may have had fewer frames in as many bytes
                to_frame = self._frames_by(self._end_samples())
            return self._lost(to_frame, f"the checksum of block {index} is wrong", position)
        return self._search(position)

    def _search(self, position: int) -> Damage:
        """Find the next intact block in the bytes from `position` on, where one should be."""
        index, window = self._index, self._window
        self._damaged_from = position
        if self._finder is None:
            from nac.format.resync import Finder  # here, because it needs numpy, and few files are damaged

            self._finder = Finder(window, self.layout)
        found = self._finder.find(index, position)
        self._damaged_from = None
        skipped = window.position - position
        if found is None:
            return self._lost_end(skipped, position)
        self._index = found.index
        to_frame = found.index * self.layout.block_frames if found.samples is None else self._frames_by(found.samples)
        what = f"{skipped} damaged or stray bytes" if skipped else "blocks are missing"
        return self._lost(to_frame, f"{what} before block {found.index}", position)

    def _lost_end(self, skipped: int, position: int) -> Damage:
        """Nothing intact follows, and the stream has been read to its end."""
        self._done = True
        what = f"the last {skipped} bytes are damaged or cut" if skipped else "the file ends too early"
        if self.meta.frames is not None:
            return self._lost(self.meta.frames, what, position, at_end=True)
        # The length is unknown: what the bytes could have held is the best guess.
        lost = skipped // self.layout.full_bytes * self.layout.block_frames
        return self._lost(self._covered + lost, f"{what}, and the end block is missing", position, at_end=True)
