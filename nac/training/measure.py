"""What the training objective says of a finished model: the terms of the loss on clips, by kind."""

import dataclasses

import numpy as np
import torch

from nac.models.model import NacModel
from nac.training.codebooks.trainer import CodebookTrainer
from nac.training.config import TrainingConfig
from nac.training.data.corpus import Corpus, cut
from nac.training.objective import Objective


@torch.no_grad()
def measure(
    model: NacModel, corpus: Corpus, codebooks: int, config: TrainingConfig, seconds: float = 4.0
) -> dict[str, dict[str, float]]:
    """Mean training loss of a finished model on clips.

    The commitment, which is there for the encoder's sake, is told but not part of the loss. Codes are searched as
    `config.beam` says.

    Args:
        model: The model.
        corpus: The clips.
        codebooks: Number of codebooks to code with.
        config: Weights of the terms.
        seconds: How much of each clip, from its start.

    Returns:
        The loss and its terms, by kind of audio.
    """
    config = dataclasses.replace(config, decoder_only=True)
    books = CodebookTrainer(model.quantizer, 1.0, config.codebook_hits, beam=config.beam)
    objective = Objective(model, books, config).eval()
    rate, first = torch.tensor([codebooks]), torch.tensor([0])
    out = {}
    for kind, sources in sorted(corpus.clips.items()):
        rows = []
        for clip in (clip for clips in sources.values() for clip in clips):
            samples = torch.from_numpy(cut(clip, 0, int(seconds * corpus.sample_rate)))[None]
            outcome = objective(samples, rate, first)
            rows.append({"loss": float(outcome.loss), **{name: float(value) for name, value in outcome.terms.items()}})
        out[kind] = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return out
