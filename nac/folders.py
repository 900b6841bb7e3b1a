"""Finding files in folders: at any depth, through symbolic links, by name and, for audio, by their first bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nac.extensions import AUDIO_EXTENSIONS, FFMPEG_EXTENSIONS, NAC_EXTENSIONS, VIDEO_EXTENSIONS

# First bytes of audio files, and what their 9th to 12th are, if that matters.
_AUDIO_STARTS = {
    b"RIFF": (b"WAVE",), b"RF64": (b"WAVE",), b"BW64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC"), b"fLaC": (),
    b"OggS": (), b".snd": (), b"caff": (), b"NIST": (), b"riff": (),
}  # fmt: skip


@dataclass
class Found:
    """What a folder has.

    Attributes:
        paths: Files that are wanted, in the order of their names.
        left_out: How many others there are that hold sound, by the ending of their names.
    """

    paths: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """What was left out, as one text; empty if nothing was.

        >>> Found(left_out=Counter({".m4a": 3, ".mp4": 1})).summary
        '3 .m4a, 1 .mp4'
        """
        return ", ".join(f"{count} {ending}" for ending, count in sorted(self.left_out.items()))


def find_files(folder: str, takes: frozenset[str]) -> Found:
    """The files in a folder, at any depth, with one of these endings; hidden ones and hidden folders are passed over.

    Where audio files are wanted, those that are audio by their first bytes are found under any name, and those that
    ffmpeg reads if it is installed. Symbolic links to folders are followed, each folder once.
    """
    import shutil  # here: it loads the compressors, which most commands do not need

    found = Found()
    wants_audio = takes >= AUDIO_EXTENSIONS
    for path in _walk(folder):
        ending = os.path.splitext(path)[1].lower()
        if ending in takes:
            found.paths.append(path)
        elif not wants_audio or ending in NAC_EXTENSIONS:
            continue
        elif ending in FFMPEG_EXTENSIONS and shutil.which("ffmpeg"):
            found.paths.append(path)
        elif ending in FFMPEG_EXTENSIONS | VIDEO_EXTENSIONS:
            found.left_out[ending] += 1
        elif _is_audio(path):
            found.paths.append(path)
    return found


def _walk(folder: str) -> Iterator[str]:
    seen = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(here, name) for name in sorted(files) if not name.startswith("."))


def _is_audio(path: str) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError:
        return False
    kinds = _AUDIO_STARTS.get(start[:4])
    return kinds is not None and (not kinds or start[8:12] in kinds)
