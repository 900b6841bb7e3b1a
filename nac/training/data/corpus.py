"""Training audio: a folder of any files and rates, decoded once into memory, cut at random.

`folder/<kind>/<source>/...` gives kinds and sources; files right in the folder are one kind called "audio".
"""

import logging
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nac.errors import AudioError
from nac.extensions import AUDIO_EXTENSIONS
from nac.training.data.augment import Augmentation, augment, change_speed

log = logging.getLogger(__name__)
#: A crop below this level (root mean square, full scale 1) is silence and drawn again.
SILENCE = 1e-4


@dataclass
class Corpus:
    """Decoded audio as int16 at the model's rate, by kind and source."""

    sample_rate: int
    clips: dict[str, dict[str, list[np.ndarray]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Length of all clips."""
        return (
            sum(len(clip) for sources in self.clips.values() for clips in sources.values() for clip in clips)
            / self.sample_rate
        )


def load_corpus(folder: Path, sample_rate: int) -> Corpus:
    """Decode every audio file below `folder`; files that cannot be read are skipped, named in the log and counted.

    Raises:
        AudioError: the folder is missing or holds no audio that can be read.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder} is not a folder; give a folder of audio files to train on")
    corpus = Corpus(sample_rate)
    clips: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_EXTENSIONS)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the decoding itself runs outside Python's lock
        for path, clip in zip(paths, pool.map(lambda path: read_clip(path, sample_rate), paths), strict=True):
            if isinstance(clip, Exception):
                log.warning("skipped %s: %s", path, (str(clip) or repr(clip)).splitlines()[0])
                corpus.skipped.append(str(path))
            elif len(clip):
                parts = path.relative_to(folder).parts
                kind = parts[0] if len(parts) > 1 else "audio"
                clips[kind][parts[1] if len(parts) > 2 else path.stem].append(clip)
    corpus.clips = {kind: dict(sources) for kind, sources in clips.items()}
    if not corpus.clips:
        raise AudioError(f"{folder} holds no audio file that can be read; put WAV, FLAC, OGG or MP3 files there")
    return corpus


def read_clip(path: Path, sample_rate: int) -> np.ndarray | Exception:
    """The clip, mono int16 `[samples]` at `sample_rate` Hz, or why it cannot be read."""
    import soundfile
    import soxr

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = samples.mean(1)
        if rate != sample_rate:
            mono = soxr.resample(mono, rate, sample_rate)
    except Exception as error:
        return error
    return np.asarray(np.clip(np.round(mono * 32767), -32768, 32767), dtype=np.int16)


def cut(clip: np.ndarray, start: int, length: int) -> np.ndarray:
    """float32 `[length]` of an int16 clip from sample `start` on, silence behind its end."""
    out = np.zeros(length, np.float32)
    piece = clip[start : start + length]
    out[: len(piece)] = piece.astype(np.float32) / 32767
    return out


def audible(samples: np.ndarray) -> bool:
    """Whether there is more than silence in `samples`."""
    return bool(np.sqrt(np.mean(samples**2)) > SILENCE)


class Crops:
    """Random crops, the same for the same seed and state.

    A kind is drawn by `balance`, then a source by its length to the power `source_power`, then a clip by its length.
    """

    def __init__(
        self,
        corpus: Corpus,
        samples: int,
        balance: tuple[tuple[str, float], ...],
        source_power: float,
        seed: int,
        plan: Augmentation | None = None,
    ) -> None:
        self.corpus, self.samples, self.plan, self.seed = corpus, samples, plan or Augmentation(), seed
        self.rng = np.random.default_rng(seed)
        self.kinds = sorted(corpus.clips)
        known = dict(balance)
        rest = [kind for kind in self.kinds if kind not in known]
        left = max(0.0, 1.0 - sum(known.get(kind, 0.0) for kind in self.kinds))
        weights = [known.get(kind, left / max(1, len(rest))) for kind in self.kinds]
        self.kind_weights = _normalised(weights)
        self.sources = {kind: sorted(corpus.clips[kind]) for kind in self.kinds}
        lengths = {kind: [sum(map(len, corpus.clips[kind][s])) for s in self.sources[kind]] for kind in self.kinds}
        self.source_weights = {kind: _normalised([n**source_power for n in lengths[kind]]) for kind in self.kinds}
        self.clip_weights = {
            (kind, s): _normalised([len(c) for c in corpus.clips[kind][s]])
            for kind in self.kinds
            for s in self.sources[kind]
        }

    def one(self) -> np.ndarray:
        """One crop, float32 `[samples]`, padded with silence where the clip is shorter."""
        rng, length = self.rng, self.samples
        if rng.random() < self.plan.speed:
            length = int(length * self.plan.ratio ** rng.uniform(-1, 1))
        for _ in range(20):
            kind = self.kinds[rng.choice(len(self.kinds), p=self.kind_weights)]
            source = self.sources[kind][rng.choice(len(self.sources[kind]), p=self.source_weights[kind])]
            clips = self.corpus.clips[kind][source]
            clip = clips[rng.choice(len(clips), p=self.clip_weights[kind, source])]
            start = int(rng.integers(0, max(1, len(clip) - length + 1)))
            crop = cut(clip, start, length)
            if audible(crop):
                break
        return crop if length == self.samples else change_speed(crop, self.corpus.sample_rate, self.samples)

    def numbered(self, number: int, size: int) -> np.ndarray:
        """Batch `number` of all that this seed gives: the same whenever, and in whichever process, it is asked for."""
        self.rng = np.random.default_rng([self.seed, number])
        return self.batch(size)

    def batch(self, size: int) -> np.ndarray:
        """`[size, samples]` crops, changed as the plan says."""
        rng = self.rng
        out = []
        for _ in range(size):
            crop = self.one()
            if rng.random() < self.plan.mix:
                crop = crop + self.one() * np.float32(10 ** (-rng.uniform(0, 15) / 20))
            out.append(augment(crop, self.corpus.sample_rate, self.plan, rng))
        return np.stack(out)


def _normalised(weights: list[float] | list[int]) -> np.ndarray:
    array = np.asarray(weights, dtype=np.float64)
    total = array.sum()
    return array / total if total > 0 else np.full(len(array), 1 / len(array))
