"""Training audio of the bench: the trainer's corpus and crops, cut down where asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nac.training.config import TrainingConfig
from nac.training.data.corpus import Corpus, Crops, load_corpus

Batches = Callable[[int], Tensor]


def read_corpus(folder: Path, sample_rate: int, max_files: int = 0, max_seconds: float = 0.0) -> Corpus:
    """The folder's audio; of all files at most `max_files`, spread over the folder, and `max_seconds` of each (0: all).

    Raises:
        AudioError: the folder is missing or holds no audio that can be read.
    """
    corpus = load_corpus(folder, sample_rate)
    places = [
        (kind, source, clip)
        for kind, sources in sorted(corpus.clips.items())
        for source, clips in sorted(sources.items())
        for clip in clips
    ]
    if max_files and len(places) > max_files:
        places = [places[i * len(places) // max_files] for i in range(max_files)]
    kept: dict[str, dict[str, list[np.ndarray]]] = {}
    for kind, source, clip in places:
        cut = clip[: int(max_seconds * sample_rate)] if max_seconds else clip
        kept.setdefault(kind, {}).setdefault(source, []).append(cut)
    return dataclasses.replace(corpus, clips=kept)


def batches(corpus: Corpus, samples: int, size: int, seed: int) -> Batches:
    """The batch `[size, samples]` of a step: always the same for the same step and seed, whatever came before."""
    plan = TrainingConfig()
    crops = Crops(corpus, samples, plan.balance, plan.source_power, seed)

    return lambda step: torch.from_numpy(crops.numbered(step, size))
