"""Sounds that need no recordings, for the quick study: voices, chords, noises, and a tone of 440 Hz."""

from __future__ import annotations

from pathlib import Path

from nac.arrays import Samples
from nac.audio import AudioWriter
from nac.synthetic import random_chords, random_noises, random_voice, tone

RATE = 16_000
RECORDINGS = 5  # of each kind, to learn from


def write_sounds(folder: Path) -> tuple[Path, Path]:
    """Write `train` and `clips` below `folder`, each with a folder for each kind of sound; returns both.

    The clips are one of each kind that is not in `train`, and one second of a tone of 440 Hz.
    """
    makers = {"speech": random_voice, "music": random_chords, "environmental": random_noises}
    for kind, make in makers.items():
        for seed in range(RECORDINGS):
            _write(folder / "train" / kind / f"{kind}{seed}.wav", make(4.0, seed))
        _write(folder / "clips" / kind / f"{kind}.wav", make(2.0, RECORDINGS))
    _write(folder / "clips" / "tone" / "tone-440.wav", tone(1.0, 440.0))
    return folder / "train", folder / "clips"


def _write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, RATE, 1, subtype="float") as writer:
        writer.write(samples[None])
