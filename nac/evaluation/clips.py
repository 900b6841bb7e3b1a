"""Sounds to be judged: loading whole files, finding clips in folders, fitting two signals to each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nac.arrays import Samples
from nac.audio import open_audio
from nac.errors import AudioError, NacError
from nac.evaluation.metrics.perceptual import resample
from nac.extensions import AUDIO_EXTENSIONS, NAC_EXTENSIONS

if TYPE_CHECKING:
    import nac.codec


KINDS = ("speech", "music", "environmental")


@dataclass(frozen=True)
class Clip:
    """A file below a folder: `name` is its path there without the suffix, `kind` the folder it lies in (or None)."""

    path: Path
    name: str
    kind: str | None


def find_clips(folder: Path) -> list[Clip]:
    """All audio and .nac files below `folder`, sorted by name; hidden ones are passed over.

    The kind of a clip is the first folder of its path that is named after a kind of sound, else its first folder, else
    None.

    Raises:
        AudioError: The folder cannot be read or two files differ in nothing but the suffix.
    """
    found: dict[str, Clip] = {}
    for path in sorted(_files(folder)):
        relative = path.relative_to(folder)
        wanted = path.suffix.lower() in AUDIO_EXTENSIONS | NAC_EXTENSIONS
        if not wanted or any(part.startswith(".") for part in relative.parts):
            continue
        parts = relative.parts[:-1]
        kind = next((part for part in parts if part in KINDS), parts[0] if parts else None)
        clip = Clip(path, relative.with_suffix("").as_posix(), kind)
        if clip.name in found:
            raise AudioError(f"{found[clip.name].path} and {path} have the same name: keep one of them in the folder")
        found[clip.name] = clip
    return [found[name] for name in sorted(found)]


def choose(clips: Sequence[Clip], per_kind: int) -> list[Clip]:
    """`per_kind` clips of each kind, spread evenly over the sorted names."""
    kinds: dict[str | None, list[Clip]] = {}
    for clip in clips:
        kinds.setdefault(clip.kind, []).append(clip)
    return [
        members[i * len(members) // count]
        for members in kinds.values()
        for count in [min(per_kind, len(members))]
        for i in range(count)
    ]


def load_audio(path: str | os.PathLike[str], weights: str | None = None) -> tuple[Samples, int]:
    """The whole file as float32 `[channels, samples]` and its sample rate in Hz; .nac files are decoded.

    `weights`: the weights file for these, None for the packaged one.

    Raises:
        AudioError: It cannot be read.
    """
    if Path(path).suffix.lower() in NAC_EXTENSIONS:
        return _decode(Path(path), weights)
    with open_audio(path) as reader:
        blocks = [np.zeros((reader.channels, 0), np.float32), *reader.blocks()]
        return np.concatenate(blocks, axis=1), reader.sample_rate


def same_rate(signal: Samples, rate_in: int, rate_out: int) -> Samples:
    """`[channels, samples]` at `rate_out` Hz."""
    return resample(signal, rate_in, rate_out) if signal.shape[-1] else signal


def mono(signal: Samples) -> Samples:
    """The mean of the channels, `[1, samples]`."""
    return signal if len(signal) == 1 else signal.mean(axis=0, keepdims=True, dtype=np.float32)


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise AudioError(f"there is no folder {folder}")
    for root, _, names in os.walk(folder, followlinks=True):
        yield from (Path(root, name) for name in names)


def _decode(path: Path, weights: str | None) -> tuple[Samples, int]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror or error}") from None
    codec = _codec(weights)
    try:
        audio, sample_rate = codec.decode(data)
    except NacError as error:
        raise type(error)(f"{path}: {error}") from None
    return np.asarray(audio, dtype=np.float32), int(sample_rate)


@lru_cache(maxsize=1)
def _codec(weights: str | None) -> nac.codec.Codec:
    from nac.codec import Codec

    return Codec.load(weights)
