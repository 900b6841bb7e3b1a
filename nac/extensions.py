"""The endings of file names by which files are found in folders. Imports nothing, so that anything may import it."""

from __future__ import annotations

AUDIO_EXTENSIONS = frozenset({
    ".wav", ".wave", ".rf64", ".bwf", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3",
    ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd",
})  # fmt: skip
NAC_EXTENSIONS = frozenset([".nac"])
