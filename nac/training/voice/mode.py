"""Training of the classifier that tells voice from other sound."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from nac.models.voice.mode import ModeClassifier, mode_features
from nac.training.budget import Budget
from nac.training.optimizer import learning_rate, optimizer_step
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.examples import Sampler, Stretch, parameters
from nac.training.voice.recordings import Recordings

log = logging.getLogger(__name__)
_WEIGHT_DECAY, _CLIP, _FINAL_SHARE, _WARMUP = 1e-2, 1.0, 0.02, 50
#: Certainty that is asked for: recordings of voice have pauses, and music has voices.
_CERTAINTY = 0.99
#: Frames at the start of an example that do not count, and weight of those that are silent: mean log power below.
_RUN_IN, _SILENT, _AUDIBLE = 8, 0.1, -14.0
#: Gains of examples, natural logarithm of power.
_GAINS = (-3.0, 1.0)
_LOG_STEPS = 50


def train_mode(voices: Recordings, others: Recordings, config: VoiceTrainingConfig, budget: Budget) -> ModeClassifier:
    """Train a new classifier, half of its examples from each of the two.

    Args:
        voices: speech and singing.
        others: music, noise and whatever else there is.
        config: number of steps, and size of the batches.
        budget: a signal to it ends the training early.

    Returns:
        The classifier, in evaluation mode.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    pieces = (voices.pieces(), others.pieces())
    hops = min(config.mode_hops, *(max(piece.hops for piece in some) for some in pieces))
    samplers = [Sampler(some, [0.0] * len(some), hops, config.source_power) for some in pieces]
    network = ModeClassifier()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.mode_learning_rate, weight_decay=_WEIGHT_DECAY)
    losses = []
    half = max(1, config.mode_batch // 2)
    for step in range(config.mode_steps):
        if budget.stop:
            break
        share = step / config.mode_steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config.mode_learning_rate, share, step, _WARMUP, _FINAL_SHARE)
        drawn = [
            parameters(some, _draw(sampler, rng, hops, half))
            for some, sampler in zip((voices, others), samplers, strict=True)
        ]
        x = torch.cat([mode_features(found) for found in drawn])
        levels = [found.bands.mean((2, 3)) for found in drawn]
        target = torch.tensor([_CERTAINTY, 1 - _CERTAINTY]).repeat_interleave(half)[:, None].expand(-1, hops)
        weights = _SILENT + torch.cat(levels).gt(_AUDIBLE).float()
        error = F.binary_cross_entropy_with_logits(network(x), target, reduction="none")
        loss = (error * weights)[:, min(_RUN_IN, hops - 1) :].mean()
        optimizer_step(loss, optimizer, _CLIP)
        losses.append(float(loss.detach()))
        if (step + 1) % _LOG_STEPS == 0:
            log.info("mode, step %d: loss %.4f", step + 1, float(np.mean(losses[-_LOG_STEPS:])))
    return network.eval()


def _draw(sampler: Sampler, rng: np.random.Generator, hops: int, count: int) -> Sequence[Stretch]:
    """Stretches with random gains."""
    drawn = [sampler.draw(rng, hops) for _ in range(count)]
    return [Stretch(item.piece, item.first, item.hops, float(rng.uniform(*_GAINS))) for item in drawn]
