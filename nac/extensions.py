"""The endings of file names by which files are known. Imports nothing, so that anything may import it."""

from __future__ import annotations

AUDIO_EXTENSIONS = frozenset(
    [f".{name}" for name in ("wav", "wave", "rf64", "bwf", "w64", "flac", "ogg", "oga", "opus", "mp3", "mp2", "mp1")]
    + [f".{name}" for name in ("aif", "aiff", "aifc", "caf", "au", "snd", "sph", "nist")]
)
"""What libsndfile reads."""
FFMPEG_EXTENSIONS = frozenset(
    f".{name}" for name in ("m4a", "m4b", "aac", "webm", "weba", "mka", "wma", "amr", "ac3", "ape", "wv", "mpc", "tta")
)
"""Sound that only ffmpeg reads."""
VIDEO_EXTENSIONS = frozenset(
    f".{name}" for name in ("mp4", "m4v", "mkv", "mov", "avi", "mpg", "mpeg", "ts", "flv", "3gp", "wmv")
)
"""Pictures with sound, which are coded when they are named, and not where a folder is."""
NAC_EXTENSIONS = frozenset([".nac"])
