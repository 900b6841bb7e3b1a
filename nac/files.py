"""Writing files so that a failure leaves no half-written one: a temporary name in the same folder, renamed at the end.

>>> import os, tempfile
>>> folder = tempfile.mkdtemp()
>>> with NewFile(os.path.join(folder, "note.txt")) as new:
...     _ = new.file.write(b"done")
>>> os.listdir(folder)
['note.txt']
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a device, pipe or socket, which can be read or written but must never be replaced."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def standard_output() -> BinaryIO:
    """Standard output for bytes; flush it after writing.

    `sys.stdout.buffer` is unbuffered under `python -u`, and its `write` may then stop half-way without raising.
    """
    stream = sys.stdout.buffer
    return open(stream.fileno(), "wb", closefd=False) if isinstance(stream, io.RawIOBase) else stream


class NewFile:
    """A binary file that appears under its name only when it is complete.

    `file` is open for writing (and reading back, for ordinary files). `commit()` puts it in place, replacing what was
    there; `discard()` removes it and leaves the target as it was. As a context manager: commit on success, discard on
    any exception. A symbolic link is followed, so that the file it points to is replaced and the link stays.
    Devices and named pipes are written directly. Raises `OSError` as `open` and `os.replace` do.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.special = is_special(self.path)
        self._temporary: str | None = None
        if self.special:
            self.file: BinaryIO = open(self.path, "wb")  # noqa: SIM115
            return
        self._target = os.path.realpath(self.path)
        if os.path.isdir(self._target):
            raise IsADirectoryError(21, "Is a directory", self.path)
        folder, name = os.path.split(self._target)
        # A hidden name that is cut short, so that it never passes the limit of 255 bytes on names.
        temporary = os.path.join(folder, f".{name[:40]}.{os.urandom(6).hex()}.part")
        try:
            # Mode 0o666 less the umask: the permissions of any other new file, unlike those of `tempfile`.
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, self.path) from None
        self._temporary = temporary
        self.file = os.fdopen(descriptor, "w+b")

    @property
    def unfinished(self) -> Path:
        """Where the file lies until `commit()`: the temporary name, or `path` itself for a device or pipe."""
        return Path(self._temporary or self.path)

    def commit(self) -> None:
        """Close the file and give it its name. On failure nothing is left behind and the target is untouched."""
        try:
            self.file.close()
            if self._temporary is not None:
                os.replace(self._temporary, self._target)
                self._temporary = None
        finally:
            self.discard()

    def discard(self) -> None:
        """Close and remove the unfinished file; harmless after `commit()` or a second time."""
        with contextlib.suppress(OSError):
            self.file.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `NewFile`, for what wants to write under a name rather than into an open file: gives the temporary path.

    What was written is on the disk, not only on its way there, before it takes the place of the old file.

    >>> import os, tempfile
    >>> target = os.path.join(tempfile.mkdtemp(), "note.txt")
    >>> with replacing(target) as unfinished:
    ...     _ = unfinished.write_text("done")
    >>> open(target).read()
    'done'
    """
    with NewFile(path) as new:
        mode = stat.S_IMODE(os.fstat(new.file.fileno()).st_mode)
        new.file.close()
        yield new.unfinished
        if not new.special:
            # Some libraries put a file of their own, readable by its owner alone, in the place.
            os.chmod(new.unfinished, mode)
            with open(new.unfinished, "rb+") as file:
                os.fsync(file.fileno())
