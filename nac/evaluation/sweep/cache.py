"""Results kept on disk by what they were made from, so that a second run computes only what has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from nac.arrays import Samples
from nac.files import NewFile

FORMAT = 1  # raised when the meaning of what is stored changes


def default_folder() -> Path:
    """`nac/evaluation` in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nac" / "evaluation"


def key_of(*parts: object) -> str:
    """A name for these parts: equal for equal parts, different for any others."""
    text = json.dumps([FORMAT, *[part if isinstance(part, (int, float, type(None))) else str(part) for part in parts]])
    return hashlib.sha256(text.encode()).hexdigest()


def audio_hash(audio: Samples, sample_rate: int) -> str:
    """A name for the samples themselves, whatever file they came from."""
    digest = hashlib.sha256(f"{audio.shape} {sample_rate}".encode())
    digest.update(audio.tobytes())
    return digest.hexdigest()


class Cache:
    """Small files by key below a folder. With `folder` None nothing is kept.

    Reading never fails: what is missing or broken counts as not there. Several processes may use one folder at once.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, key: str, suffix: str) -> bytes | None:
        """The bytes stored under this key, or None."""
        if self.folder is None:
            return None
        try:
            return self._path(key, suffix).read_bytes()
        except OSError:
            return None

    def write(self, key: str, suffix: str, data: bytes) -> None:
        """Store bytes; a full or read-only disk is not an error: the result is then computed again next time."""
        if self.folder is None:
            return
        path = self._path(key, suffix)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with NewFile(path) as new:
                new.file.write(data)

    def read_json(self, key: str) -> dict[str, object] | None:
        """The object stored under this key, or None."""
        data = self.read(key, "json")
        if data is None:
            return None
        try:
            value = json.loads(data)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def write_json(self, key: str, value: Mapping[str, object]) -> None:
        """Store an object; infinities survive."""
        self.write(key, "json", json.dumps(value).encode())

    def _path(self, key: str, suffix: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.{suffix}"
