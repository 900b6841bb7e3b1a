"""A classifier on pooled latents, codes or log-mel bands, over folders named by label.

`folder/<label>/<recording>/…` or `folder/<label>/<recording>.wav`: files that share a folder below the label are one
recording. Every clip is judged once, by a classifier that has heard no clip of its recording.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nac.arrays import Integers, Table
from nac.errors import AudioError, OptionError
from nac.evaluation.report.plots import new_figure, save
from nac.evaluation.report.tables import csv_text, markdown
from nac.files import NewFile
from nac.study.features import Features
from nac.training.data.corpus import Corpus, audible, cut, load_corpus

TABLE, CONFUSION = "classify.md", "confusion.png"
HIDDEN, STEPS, DECAY = 64, 300, 0.05


@dataclass(frozen=True)
class Clips:
    """Clips `[samples]` at one rate, with the numbers of their labels and recordings."""

    sample_rate: int
    labels: tuple[str, ...]
    samples: tuple[Table, ...]
    label: Integers
    recording: Integers


@dataclass(frozen=True)
class Verdict:
    """How one kind of features did. `confusion[i, j]`: clips of label i that were taken for label j."""

    name: str
    size: int
    confusion: Integers

    @property
    def accuracy(self) -> float:
        """Share of the clips that were named rightly."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def balanced(self) -> float:
        """The same for each label, then the mean: what chance gives is one over the number of labels."""
        return float(np.mean(np.diag(self.confusion) / np.maximum(1, self.confusion.sum(1))))


def read_clips(folder: Path, sample_rate: int, seconds: float = 3.0, per_recording: int = 30) -> Clips:
    """Cut every recording below `folder` into clips; of each recording at most `per_recording`, evenly spread.

    Silent clips are left out, shorter ones end in silence.

    Raises:
        AudioError: no audio, fewer than two labels, or a label with a single recording.
    """
    if seconds <= 0 or per_recording < 1:
        raise OptionError("clips need a length above 0, and at least one for each recording")
    corpus = load_corpus(folder, sample_rate)
    labels = tuple(sorted(corpus.clips))
    if len(labels) < 2:
        raise AudioError(f"{folder} must hold at least two folders of audio, each named by its label")
    for label in labels:
        if len(corpus.clips[label]) < 2:
            raise AudioError(
                f"{label} has a single recording in {folder}; each label needs two or more to be tested "
                "on what was not learned from"
            )
    samples, label_of, recording_of = [], [], []
    count = 0
    for number, label in enumerate(labels):
        for recording in sorted(corpus.clips[label]):
            pieces = _pieces(corpus, label, recording, int(seconds * sample_rate))
            chosen = [
                pieces[i * len(pieces) // min(len(pieces), per_recording)]
                for i in range(min(len(pieces), per_recording))
            ]
            samples += chosen
            label_of += [number] * len(chosen)
            recording_of += [count] * len(chosen)
            count += 1
    clips = Clips(sample_rate, labels, tuple(samples), np.array(label_of), np.array(recording_of))
    for number, label in enumerate(labels):
        if len(set(clips.recording[clips.label == number])) < 2:
            raise AudioError(f"{label} has fewer than two recordings in {folder} that are not silent")
    return clips


def split(label: Integers, recording: Integers, folds: int = 5) -> Integers:
    """Give each clip a fold; those of a recording share one, and the clips of each label are spread evenly.

    Args:
        label: Numbers of the clips' labels, `[clips]`.
        recording: Numbers of the clips' recordings, `[clips]`.
        folds: Number of folds; no more are used than there are recordings.

    Returns:
        The fold of each clip, `[clips]`.

    Raises:
        OptionError: No label has as many clips as there are folds.

    >>> split(np.array([0, 0, 1, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 3]), folds=2).tolist()
    [0, 0, 1, 1, 1, 0]
    """
    model_selection = _sklearn("model_selection")
    out = np.zeros(len(label), dtype=np.int64)
    folds = min(folds, len(np.unique(recording)))
    if folds < 2:
        return out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label with fewer clips than folds: the others still have them
        try:
            parts = list(model_selection.StratifiedGroupKFold(folds).split(out, label, recording))
        except ValueError as error:
            raise OptionError(f"there are too few clips for {folds} folds: {error}") from None
    for fold, (_, test) in enumerate(parts):
        out[test] = fold
    return out


def judge(clips: Clips, features: Features, folds: int = 5) -> Verdict:
    """Train and test on every fold in turn; the same classifier and the same folds whatever the features.

    Raises:
        OptionError: fewer than two folds.
    """
    if folds < 2:
        raise OptionError("there must be at least two folds, one to learn from and one to test on")
    x = np.stack([features.vector(samples, clips.sample_rate) for samples in clips.samples])
    fold = split(clips.label, clips.recording, folds)
    count = len(clips.labels)
    confusion = np.zeros((count, count), dtype=np.int64)
    for held in range(folds):
        test = fold == held
        if not test.any():
            continue
        found = classify(x[~test], clips.label[~test], x[test])
        np.add.at(confusion, (clips.label[test], found), 1)
    return Verdict(features.name, x.shape[1], confusion)


def classify(known: Table, label: Integers, unknown: Table, seed: int = 0) -> Integers:
    """Label the rows of `unknown` by a small network with one hidden layer, learned from the rows of `known`.

    Every label weighs the same in the loss, however many clips it has.

    Args:
        known: `[clips, numbers]`.
        label: Labels of the known rows, `[clips]`.
        unknown: `[others, numbers]`.
        seed: Of the network's start.

    Returns:
        Labels, `[others]`.
    """
    scaler = _sklearn("preprocessing").StandardScaler().fit(known)
    network = _sklearn("neural_network").MLPClassifier((HIDDEN,), alpha=DECAY, max_iter=STEPS, random_state=seed)
    weight = _sklearn("utils.class_weight").compute_sample_weight("balanced", label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could learn longer
        network.fit(scaler.transform(known), label, sample_weight=weight)
    return np.asarray(network.predict(scaler.transform(unknown)), dtype=np.int64)


def _sklearn(module: str) -> Any:
    try:
        return import_module(f"sklearn.{module}")
    except ImportError:
        raise OptionError("the classifier needs scikit-learn: pip install 'nac[study]'") from None


def write_verdicts(verdicts: Sequence[Verdict], clips: Clips, out: Path) -> list[list[str]]:
    """Write `classify.md`, `classify.csv` and the confusion matrices `confusion.png`; returns the table.

    Raises:
        OptionError: matplotlib is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    chance = 1 / len(clips.labels)
    table = [["features", "numbers", "accuracy", "balanced accuracy", "chance, balanced"]]
    table += [[v.name, str(v.size), f"{v.accuracy:.1%}", f"{v.balanced:.1%}", f"{chance:.1%}"] for v in verdicts]
    recordings = [len(set(clips.recording[clips.label == i])) for i in range(len(clips.labels))]
    counts = ", ".join(
        f"{label}: {int((clips.label == i).sum())} clips of {recordings[i]} recordings"
        for i, label in enumerate(clips.labels)
    )
    note = "Every clip is judged by a classifier that has heard no clip of its recording."
    text = f"{markdown(table)}\n\n{counts}. {note}\n\n![Confusion matrices]({CONFUSION})\n"
    for name, content in ((TABLE, text), ("classify.csv", csv_text(table))):
        with NewFile(out / name) as new:
            new.file.write(content.encode())
    save(confusion_picture(verdicts, clips.labels), out / CONFUSION)
    return table


def confusion_picture(verdicts: Sequence[Verdict], labels: Sequence[str]) -> Any:
    """A figure with a matrix for each kind of features: rows are labels, columns what they were taken for."""
    columns = min(3, len(verdicts))
    lines = -(-len(verdicts) // columns)
    side = 1.4 + 0.55 * len(labels)
    figure = new_figure((side + 0.9) * columns, (side + 0.6) * lines)
    for index, verdict in enumerate(verdicts):
        axes = figure.add_subplot(lines, columns, index + 1)
        share = verdict.confusion / np.maximum(1, verdict.confusion.sum(1, keepdims=True))
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(verdict.confusion):
            axes.text(
                j, i, str(count), ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.6 else "black"
            )
        axes.set_xticks(range(len(labels)), labels, fontsize=8, rotation=30, ha="right")
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_title(f"{verdict.name}: {verdict.accuracy:.1%}", fontsize=9, loc="left")
    figure.tight_layout()
    return figure


def _pieces(corpus: Corpus, label: str, recording: str, length: int) -> list[Table]:
    out = []
    for clip in corpus.clips[label][recording]:
        for start in range(0, max(1, len(clip) - length // 2), length):
            piece = cut(clip, start, length)
            if audible(piece):
                out.append(piece)
    return out
