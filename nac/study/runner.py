"""A study from beginning to end: every system trained for the same time, then all judged on the same clips.

What is done already is not done again: a folder of results can be resumed, and extended by more systems.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nac.audio import AudioWriter
from nac.errors import AudioError, NacError, OptionError
from nac.evaluation.clips import Clip, choose, find_clips, load_audio, mono, same_rate
from nac.evaluation.codecs import Codec, Rates, parse_codecs
from nac.evaluation.sweep.runner import available, sweep
from nac.study.bench import MODEL, Trained
from nac.study.coder import Coder, load_coder
from nac.study.config import StudyConfig, SystemConfig, safe
from nac.study.corpus import batches, read_corpus
from nac.study.fit import fit
from nac.study.results import METRICS, Facts, Results
from nac.study.system import make_system
from nac.training.checkpoint import CHECKPOINT
from nac.training.data.corpus import Corpus
from nac.training.record import FILE

log = logging.getLogger(__name__)
SETTINGS, FACTS = "system.json", "facts.json"
PREPARE, CALIBRATE = 4, 16  # batches before training, and after it
Progress = Callable[[int, int], None]


class InterruptedStudy(NacError):
    """Training was stopped by a signal; the same command goes on with it."""


@dataclass
class Audio:
    """The training audio, read when it is first needed."""

    folder: Path
    study: StudyConfig
    corpus: Corpus | None = None

    def get(self) -> Corpus:
        """The audio.

        Raises:
            AudioError: There is none.
        """
        if self.corpus is None:
            study = self.study
            self.corpus = read_corpus(self.folder, study.sample_rate, study.max_files, study.max_seconds)
            log.info("%.1f minutes of audio to learn from", self.corpus.seconds / 60)
        return self.corpus


def run_study(
    study: StudyConfig,
    train: Path,
    clips: Path,
    out: Path,
    *,
    progress: bool = False,
    listen: bool = False,
    step: Progress | None = None,
    known: Sequence[Path] = (),
) -> Results:
    """Train what is not trained yet, judge everything, and write it all into `out`.

    Args:
        study: The systems, and how they are compared.
        train: folder of audio to learn from, as `nac.training.data.corpus.load_corpus` reads it.
        clips: folder of sounds to judge, in folders by kind.
        out: folder of the results; one begun before is gone on with.
        progress: show a bar for each training.
        listen: at SIGINT and SIGTERM stop training after the step at hand and keep what is done.
        step: called with the number of codings judged, and of all.
        known: folders of other results; systems that were trained there in the same way are taken from them.

    Raises:
        AudioError, OptionError: folders without audio, systems that do not fit, results of another study in `out`.
        InterruptedStudy: training was stopped.
    """
    found = choose(find_clips(clips), study.clips)
    if not found:
        raise AudioError(f"{clips} holds no sound to judge; put audio files there, in folders by kind")
    for system in study.systems:
        make_system(system)  # what does not fit shall not show after an hour
    codecs, lines = available(parse_codecs(study.codecs))
    for line in lines:
        log.warning("%s", line)
    out.mkdir(parents=True, exist_ok=True)
    references = [_reference(clip, out / "reference", study) for clip in found]
    audio = Audio(train, study)
    facts: dict[str, Facts] = {}
    trained: list[tuple[Codec, Rates]] = []
    for system in study.systems:
        place = Path("systems", safe(system.name))
        fact = train_system(system, audio.get, out / place, study.minutes, study.steps, progress, listen, known)
        rates = tuple(map(float, system.settings))
        versions = {system.name: (system.phase, str(place))}
        if study.griffin_lim and system.phase != "griffin-lim" and system.representation != "waveform":
            versions[f"{system.name} (Griffin–Lim)"] = ("griffin-lim", "")
        for name, (phase, curves) in versions.items():
            facts[name] = dataclasses.replace(fact, name=name, folder=curves)
            trained.append((Trained(name, str(out / place), rates, phase), rates))
    rows = sweep(references, [*trained, *codecs], metrics=METRICS, cache=out / "cache", progress=step)
    results = Results(study.name, rows, facts, 0.0 if study.steps else study.minutes)
    results.write(out)
    count = min(study.examples, len(references))
    examples = [references[i * len(references) // count] for i in range(count)]
    results.write_examples(out, examples, [*trained, *codecs], out / "cache")
    return results


def train_system(
    system: SystemConfig,
    corpus: Callable[[], Corpus],
    folder: Path,
    minutes: float,
    steps: int = 0,
    progress: bool = False,
    listen: bool = False,
    known: Sequence[Path] = (),
) -> Facts:
    """Train one system into `folder`, or find that this is done.

    One that was begun is gone on with; one that is in the folders `known` is taken from there.

    Raises:
        OptionError: the folder holds a system with other settings.
        InterruptedStudy: a signal came.
    """
    settings = json.dumps({"system": json.loads(system.to_json()), "minutes": minutes, "steps": steps}, indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / SETTINGS
    if notes.exists() and notes.read_text() != settings:
        raise OptionError(f"{folder} holds a system with other settings; choose another --out or remove that folder")
    if (folder / MODEL).exists() and (folder / FACTS).exists():
        return Facts.from_json((folder / FACTS).read_text())
    notes.write_text(settings)
    made = make_system(system)
    batch = batches(corpus(), made.crop, system.batch, system.seed)
    made.prepare(torch.cat([batch(-1 - i & 0xFFFFFFFF) for i in range(PREPARE)]))
    same = next((place for other in known if (place := _same(other, settings))), None)
    if same:
        log.info("%s is the system in %s", system.name, same)
        made.load_state_dict(load_coder(same / MODEL).system.state_dict())
        shutil.copyfile(same / FILE, folder / FILE)
    elif made.trainable:
        log.info("training %s", system.name)
        if not fit(
            made,
            made.loss,
            batch,
            folder,
            minutes=minutes,
            steps=steps,
            progress=progress,
            learning_rate=system.learning_rate,
            weight_decay=system.weight_decay,
            listen=listen,
        ):
            raise InterruptedStudy(f"stopped while training {system.name}; the same command goes on from there")
    made.calibrate(batch(0x7FFFFFFF - i) for i in range(CALIBRATE))
    Coder(made).save(folder / MODEL)
    parameters = sum(p.numel() for p in made.parameters())
    facts = Facts(system.name, parameters, made.compression, _steps(folder))
    (folder / FACTS).write_text(facts.to_json())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return facts


def _same(results: Path, settings: str) -> Path | None:
    """The folder of a system in `results` that was trained with these settings.

    Its name, and the bits that are tried after training, may be others.
    """

    def essence(text: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(text)
        return {**values, "system": {**values["system"], "name": "", "bits": []}}

    wanted = essence(settings)
    for notes in sorted(results.glob(f"systems/*/{SETTINGS}")):
        place = notes.parent
        done = all((place / name).exists() for name in (MODEL, FACTS, FILE))
        if done and essence(notes.read_text()) == wanted:
            return place
    return None


def _reference(clip: Clip, folder: Path, study: StudyConfig) -> Clip:
    """The clip as everything is judged on it: one channel, at the study's rate, cut to its length from the middle."""
    audio, rate = load_audio(clip.path)
    samples = same_rate(mono(audio), rate, study.sample_rate)
    length = int(study.clip_seconds * study.sample_rate)
    start = max(0, (samples.shape[1] - length) // 2)
    kind = clip.kind or "other"
    path = folder / kind / f"{safe(clip.name.removeprefix(f'{kind}/'))}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(path, study.sample_rate, 1, subtype="float") as writer:
        writer.write(samples[:, start : start + length])
    return Clip(path, f"{kind}/{path.stem}", kind)


def _steps(folder: Path) -> int:
    """The last step in metrics.csv."""
    path = folder / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return int(lines[-1].split(",")[0]) if len(lines) > 1 else 0
