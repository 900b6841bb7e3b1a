"""A sliding window on bytes that are fed, or read from a stream: look ahead as far as needed, consume, hold no more."""

from __future__ import annotations

from typing import BinaryIO

from nac.errors import NacError

READ_BYTES = 1 << 16


class MoreNeeded(Exception):
    """The bytes fed so far do not tell what comes next: not an error, but the end of a step that will begin anew."""


class Window:
    """Bytes from `position` on (counted from where the window was opened).

    They come by `feed`, which whoever has the bytes calls, or which `fill` calls with what it reads from a stream.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        """A window before the first byte.

        Args:
            stream: to read from, at its position, which counts as 0; None: bytes are fed.
        """
        self._stream = stream
        # read1 hands over what a pipe has instead of waiting for more than is needed.
        self._read1 = getattr(stream, "read1", None)
        self.reset(0)

    def reset(self, position: int) -> None:
        """Forget what was read: the stream now stands at `position`."""
        self.position = position
        self._data = b""
        self._start = 0
        self._fed: list[bytes] = []  # behind `_data`, joined with it when they are needed
        self._ahead = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Append bytes; none at all are the end."""
        self._fed.append(data)
        self._ahead += len(data)
        self._ended = not data

    def fill(self, count: int) -> int:
        """Have `count` bytes lie ahead; return how many do, fewer only at the end.

        Raises:
            MoreNeeded: they have to be fed first.
        """
        while self._ahead < count and not self._ended:
            if self._stream is None:
                raise MoreNeeded
            # The exact need where read1 is missing: read may wait for all it was asked for.
            need = count - self._ahead
            piece = self._read1(max(READ_BYTES, need)) if self._read1 else self._stream.read(need)
            if piece is None:
                raise NacError("the input is a non-blocking stream, which cannot be read here: open it blocking")
            self.feed(piece)
        if len(self._data) - self._start < min(count, self._ahead):
            self._data = b"".join([self._data[self._start :], *self._fed])
            self._start, self._fed = 0, []
        return min(self._ahead, count)

    def byte(self, offset: int) -> int:
        """The byte at `offset`; `fill` must have brought it."""
        return self._data[self._start + offset]

    def bytes(self, offset: int, count: int) -> bytes:
        """A copy of `count` bytes at `offset`, of those that `fill` brought."""
        return self._data[self._start + offset : self._start + offset + count]

    def skip(self, count: int) -> None:
        """Consume bytes that `fill` brought."""
        self._start += count
        self._ahead -= count
        self.position += count
