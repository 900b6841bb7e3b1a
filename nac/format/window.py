"""A sliding window on a stream: look ahead as far as needed, consume, never hold more than that."""

from __future__ import annotations

from typing import BinaryIO

from nac.errors import NacError

READ_BYTES = 1 << 16


class Window:
    """Bytes of a stream from `position` on (counted from where the window was opened)."""

    def __init__(self, stream: BinaryIO) -> None:
        """A window at the stream's position, which counts as 0."""
        self._stream = stream
        # read1 hands over what a pipe has instead of waiting for more than is needed.
        self._read1 = getattr(stream, "read1", None)
        self.reset(0)

    def reset(self, position: int) -> None:
        """Forget what was read: the stream now stands at `position`."""
        self.position = position
        self._data = b""
        self._start = 0
        self._ended = False

    def fill(self, count: int) -> int:
        """Read until `count` bytes lie ahead; return how many do, fewer only at the end of the stream."""
        ahead = len(self._data) - self._start
        if ahead >= count or self._ended:
            return min(ahead, count)
        pieces = [self._data[self._start :]]
        while ahead < count:
            # The exact need where read1 is missing: read may wait for all it was asked for.
            piece = self._read1(max(READ_BYTES, count - ahead)) if self._read1 else self._stream.read(count - ahead)
            if piece is None:
                raise NacError("the input is a non-blocking stream, which cannot be read here: open it blocking")
            if not piece:
                self._ended = True
                break
            pieces.append(piece)
            ahead += len(piece)
        self._data = b"".join(pieces)
        self._start = 0
        return min(ahead, count)

    def byte(self, offset: int) -> int:
        """The byte at `offset`; `fill` must have brought it."""
        return self._data[self._start + offset]

    def bytes(self, offset: int, count: int) -> bytes:
        """A copy of `count` bytes at `offset`, of those that `fill` brought."""
        return self._data[self._start + offset : self._start + offset + count]

    def skip(self, count: int) -> None:
        """Consume bytes that `fill` brought."""
        self._start += count
        self.position += count
