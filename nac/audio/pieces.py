"""Parts of a file as if they were a file: what lies between them (tags, other files, damage) is left out."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO

WINDOW = 1 << 20

#: A range of bytes of the file, (start, end), or bytes to be read in its place.
Piece = tuple[int, int] | bytes


class Window:
    """Random access to a file that is mostly read front to back, in constant memory.

    Args:
        stream: A seekable binary file.
        size: Its length in bytes.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.size = size
        self._stream = stream
        self._start = 0
        self._data = b""

    def read(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from `position` on, fewer only at the end of the file."""
        at = position - self._start
        if at < 0 or at + count > len(self._data):
            self._stream.seek(position)
            self._data, self._start, at = self._stream.read(max(count, WINDOW)), position, 0
        return self._data[at : at + count]

    def find(self, pattern: bytes, position: int, end: int | None = None) -> int:
        """Where `pattern` next begins at or behind `position`; -1 if not before `end`."""
        end = self.size if end is None else min(end, self.size)
        step = WINDOW - len(pattern)
        while position < end:
            found = self.read(position, min(WINDOW, end - position)).find(pattern)
            if found >= 0:
                return position + found
            position += step
        return -1


class Pieces(io.RawIOBase):
    """Pieces of a file in a row, read and sought like a file of its own.

    Args:
        stream: A seekable binary file that nobody else moves while this is read.
        pieces: Ranges of its bytes, and bytes to be read instead of others.
        claimed_size: The length in bytes that seeking to the end tells, if it shall not be the true one. The 128 bytes
            in front of the claimed end then read as zeros.
        owns: Whether closing closes the file too.
    """

    def __init__(
        self, stream: BinaryIO, pieces: Sequence[Piece], claimed_size: int | None = None, owns: bool = False
    ) -> None:
        self._stream, self._owns = stream, owns
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._ends = list(accumulate(map(_length, self._pieces)))
        self._size = self._ends[-1] if self._ends else 0
        self._claimed = self._size if claimed_size is None else claimed_size
        self._position = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes (all if negative or None), fewer only at the end. Raises OSError as the file does."""
        left = self._size - self._position if size is None or size < 0 else size
        if self._claimed > self._size and self._position >= self._claimed - 128:
            data = bytes(max(0, min(left, self._claimed - self._position)))
            self._position += len(data)
            return data
        parts = []
        while left > 0 and self._position < self._size:
            part = self._read_piece(left)
            if not part:
                break
            parts.append(part)
            self._position += len(part)
            left -= len(part)
        return b"".join(parts)

    def _read_piece(self, count: int) -> bytes:
        index = bisect.bisect_right(self._ends, self._position)
        piece = self._pieces[index]
        inside = self._position - (self._ends[index] - _length(piece))
        if isinstance(piece, bytes):
            return piece[inside : inside + count]
        self._stream.seek(piece[0] + inside)
        return self._stream.read(min(count, piece[1] - piece[0] - inside))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._claimed}[whence]
        if base + offset < 0:
            raise OSError(22, "Invalid argument")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """As of any file."""
        return self._position

    def close(self) -> None:
        """Close the file, if it belongs to this."""
        if self._owns:
            self._stream.close()
        super().close()

    def seekable(self) -> bool:
        """Always true."""
        return True

    def readable(self) -> bool:
        """Always true."""
        return True


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else max(0, piece[1] - piece[0])
