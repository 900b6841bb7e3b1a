"""Title, artist and the like of audio files, as (key, value) pairs with the names of Vorbis comments."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, BinaryIO

from nac.audio.common import warn

Tags = tuple[tuple[str, str], ...]

# ID3v2 frames (id3.org, ID3v2.4.0 frames) and RIFF INFO, as libsndfile names it, to Vorbis comments.
_ID3 = {
    "TIT2": "TITLE", "TPE1": "ARTIST", "TALB": "ALBUM", "TDRC": "DATE", "TRCK": "TRACKNUMBER", "TCON": "GENRE",
    "TPE2": "ALBUMARTIST", "TCOM": "COMPOSER", "TPOS": "DISCNUMBER", "TCOP": "COPYRIGHT", "TPUB": "ORGANIZATION",
    "TSRC": "ISRC", "TBPM": "BPM", "TLAN": "LANGUAGE", "TIT3": "SUBTITLE", "TIT1": "GROUPING", "TEXT": "LYRICIST",
    "TPE3": "CONDUCTOR", "TPE4": "REMIXER",
}  # fmt: skip
_MP4 = {
    "\xa9nam": "TITLE", "\xa9ART": "ARTIST", "\xa9alb": "ALBUM", "\xa9day": "DATE", "\xa9gen": "GENRE",
    "\xa9cmt": "COMMENT", "aART": "ALBUMARTIST", "\xa9wrt": "COMPOSER", "cprt": "COPYRIGHT", "trkn": "TRACKNUMBER",
}  # fmt: skip
_SNDFILE = {"title", "artist", "album", "date", "comment", "genre", "tracknumber", "copyright"}
# Pictures, and what describes the file rather than the sound.
_LEFT_OUT = {"METADATA_BLOCK_PICTURE", "COVERART", "COVERARTMIME", "ENCODER", "ENCODED-BY", "ENCODED_BY", "CUESHEET"}
#: Most bytes of a value; a .nac file holds 65,535 of key and value together.
MAX_VALUE = 60_000
_MAX_TAGS = 1000


def read_tags(path: str | os.PathLike[str]) -> Tags:
    """The tags of an audio file: of FLAC, Ogg, MP3, MP4, WAV and AIFF. Pictures are left out; no tags, no error.

    A value that is too long for a .nac file is left out with an `AudioWarning`.
    """
    pairs = [(key.upper(), value.replace("\0", " / ").strip()) for key, value in _all_tags(path)]
    kept: list[tuple[str, str]] = []
    for key, value in dict.fromkeys(pairs):
        if not key or "=" in key or not value or key in _LEFT_OUT:
            continue
        if len(value.encode("utf-8", "replace")) > MAX_VALUE or len(kept) == _MAX_TAGS:
            warn(f"{os.fspath(path)}: the tag {key[:40]} is too long and left out")
            continue
        kept.append((key, value.encode("utf-8", "replace").decode()))
    return tuple(kept)


def _all_tags(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    import mutagen

    try:
        file: Any = mutagen.File(path)
        tags: Any = None if file is None else file.tags
    except Exception:  # a library for damaged files of a dozen kinds; the sound is what counts
        tags = None
    if tags is None:
        return _sndfile_tags(path)
    if hasattr(tags, "getall"):
        return _id3_tags(tags)
    if "mp4" in type(tags).__module__:
        return [(_MP4[key], _mp4_text(value)) for key, values in tags.items() if key in _MP4 for value in values]
    pairs: Iterable[tuple[str, Any]] = tags if isinstance(tags, list) else tags.items()
    return [(str(key), str(value)) for key, value in pairs if isinstance(value, str) or not isinstance(value, bytes)]


def _mp4_text(value: Any) -> str:
    if isinstance(value, tuple):  # number and count of tracks
        return "/".join(str(number) for number in value if number)
    return str(value)


def _id3_tags(tags: Any) -> list[tuple[str, str]]:
    pairs = [(name, str(text)) for frame, name in _ID3.items() for found in tags.getall(frame) for text in found.text]
    for found in tags.getall("COMM"):
        if not found.desc.startswith("iTun"):
            pairs += [("COMMENT", str(text)) for text in found.text]
    pairs += [("LYRICS", str(found.text)) for found in tags.getall("USLT")]
    return pairs + [(found.desc, str(text)) for found in tags.getall("TXXX") for text in found.text]


def _sndfile_tags(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """RIFF INFO and the text chunks of AIFF."""
    import soundfile

    try:
        with open(path, "rb") as stream:
            if stream.read(4) not in (b"RIFF", b"RF64", b"FORM", b"caff"):  # the decoders of others may write messages
                return []
        with soundfile.SoundFile(path) as file:
            return [(key, value) for key, value in file.copy_metadata().items() if key in _SNDFILE]
    except (soundfile.SoundFileError, OSError, UnicodeError, TypeError):
        return []


def write_tags(file: BinaryIO, container: str, tags: Tags) -> None:
    """Put tags into a finished file, open for reading and writing: FLAC, Ogg (Vorbis, Opus) or MP3; others have none.

    What cannot be written is left out with an `AudioWarning`.
    """
    try:
        file.seek(0)
        if container == "MP3":
            _write_id3(file, tags)
        elif container in ("FLAC", "OGG"):
            _write_comments(file, tags)
    except Exception as error:  # the sound is complete, and worth keeping
        warn(f"the tags cannot be written ({' '.join(str(error).split()) or type(error).__name__})")


def _write_comments(file: BinaryIO, tags: Tags) -> None:
    import mutagen

    whole: Any = mutagen.File(file)
    if whole.tags is None:
        whole.add_tags()
    for key in {key for key, _ in tags}:
        # Keys of Vorbis comments are ASCII from space to "}" without "=".
        if all(" " <= letter <= "}" and letter != "=" for letter in key):
            whole.tags[key] = [value for other, value in tags if other.upper() == key.upper()]
    file.seek(0)
    whole.save(file)


def _write_id3(file: BinaryIO, tags: Tags) -> None:
    from importlib import import_module

    id3: Any = import_module("mutagen.id3")  # it has no types
    frames = {name: frame for frame, name in _ID3.items()}
    whole = id3.ID3()
    for key in dict.fromkeys(key.upper() for key, _ in tags):
        values = [value for other, value in tags if other.upper() == key]
        if key in frames:
            whole.add(getattr(id3, frames[key])(encoding=3, text=values))
        elif key == "COMMENT":
            whole.add(id3.COMM(encoding=3, lang="und", desc="", text=values))
        elif key == "LYRICS":
            whole.add(id3.USLT(encoding=3, lang="und", desc="", text="\n".join(values)))
        else:
            whole.add(id3.TXXX(encoding=3, desc=key, text=values))
    whole.save(file)
