"""One system on its own: trained on a folder, and a short report of what it does to some clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nac.arrays import Samples
from nac.evaluation.clips import choose, find_clips, load_audio
from nac.evaluation.metrics import score
from nac.evaluation.report.tables import means
from nac.study.bench import MODEL
from nac.study.coder import Coder, load_coder
from nac.study.config import SystemConfig
from nac.study.corpus import read_corpus
from nac.study.results import Facts
from nac.study.runner import train_system

SHOWN = ("snr", "si_sdr", "log_spectral_distance")


@dataclass(frozen=True)
class Report:
    """A system at one setting: bytes of the coded clips, their seconds, mean scores, and the system's rate in Hz."""

    setting: int
    clips: int
    bytes: int
    seconds: float
    scores: dict[str, float | None]  # those of `SHOWN`
    sample_rate: int

    @property
    def compression(self) -> float:
        """Size of the clips as 16-bit samples over that of the coded files."""
        return 2 * self.seconds * self.sample_rate / self.bytes if self.bytes else 0.0

    @property
    def kbps(self) -> float:
        """The true bit rate."""
        return self.bytes * 8 / 1000 / self.seconds if self.seconds else 0.0


def train_single(
    system: SystemConfig,
    audio: Path,
    out: Path,
    *,
    minutes: float = 10.0,
    epochs: float = 0.0,
    max_files: int = 0,
    max_seconds: float = 0.0,
    progress: bool = False,
    listen: bool = False,
) -> tuple[Coder, Facts]:
    """Train on the folder `audio`, into `out`, for so many minutes, or for `epochs` times the length of the audio.

    Raises as `nac.study.runner.train_system`.
    """
    corpus = read_corpus(audio, system.sample_rate, max_files, max_seconds)
    steps = 0
    if epochs:
        steps = max(1, math.ceil(epochs * corpus.seconds / (system.batch * system.seconds)))
        minutes = math.inf
    facts = train_system(system, lambda: corpus, out, minutes, steps, progress, listen)
    return load_coder(out / MODEL), facts


def report(coder: Coder, clips: Path, count: int = 5) -> list[Report]:
    """What every setting does to `count` clips of each kind in a folder.

    Raises:
        AudioError: there is none that can be read.
    """
    sounds = [coder.samples(*load_audio(clip.path)) for clip in choose(find_clips(clips), count)]
    return [
        _report(coder, [sound for sound in sounds if len(sound)], setting) for setting in coder.system.config.settings
    ]


def _report(coder: Coder, sounds: Sequence[Samples], setting: int) -> Report:
    rate, total, scores = coder.sample_rate, 0, []
    for x in sounds:
        data = coder.compress(x, rate, setting)
        total += len(data)
        scores.append(score(x, coder.decompress(data)[0][0], rate, metrics=SHOWN))
    return Report(setting, len(sounds), total, sum(map(len, sounds)) / rate, means(scores), rate)
