"""Reading and changing the tags of a file, such as TITLE and ARTIST, without touching its blocks."""

from __future__ import annotations

import os
import shutil
import stat
import string
from collections.abc import Iterable
from dataclasses import replace

from nac.errors import OptionError
from nac.files import NewFile, is_special
from nac.format.header import Metadata, pack_header, read_header
from nac.settings import Tags

Path = str | os.PathLike[str]
COPY_BYTES = 1 << 20
LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def read_tags(path: Path) -> Tags:
    """Read the (key, value) pairs of a file, in their order.

    Raises:
        FormatError: as `read_header`.
    """
    with open(path, "rb") as stream:
        return read_header(stream).tags


def set_tags(path: Path, tags: Iterable[tuple[str, str]]) -> Metadata:
    """Give a file these tags; what it had under the same keys is replaced, the rest stays.

    Keys are compared without regard to the case of ASCII letters. The file is replaced at once by a complete new one.

    Args:
        path: of the file.
        tags: (key, value) pairs; a key may occur several times to have several values.

    Returns:
        The new metadata.

    Raises:
        OptionError: a file cannot hold these tags.
    """
    new = tuple(tags)
    return _rewrite(path, {_fold(key) for key, _ in new}, new)


def remove_tags(path: Path, keys: Iterable[str] | None = None) -> Metadata:
    """Remove tags from a file.

    Args:
        path: of the file.
        keys: of the tags to remove; None: all.

    Returns:
        The new metadata.
    """
    return _rewrite(path, None if keys is None else {_fold(key) for key in keys}, ())


def _fold(key: str) -> str:
    """ASCII letters in lower case; all other characters count as they are."""
    return key.translate(LOWER)


def _rewrite(path: Path, dropped: set[str] | None, added: Tags) -> Metadata:
    if is_special(path):
        raise OptionError(f"{os.fspath(path)} is not an ordinary file, so its tags cannot be changed")
    with NewFile(path) as new:
        with open(path, "rb") as stream:
            meta = read_header(stream)
            kept = () if dropped is None else tuple(tag for tag in meta.tags if _fold(tag[0]) not in dropped)
            changed = replace(meta, tags=kept + added)
            new.file.write(pack_header(changed))
            shutil.copyfileobj(stream, new.file, COPY_BYTES)
        if os.chmod in os.supports_fd:
            os.chmod(new.file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
    return changed
