"""Regression of the control network: from decoded parameters to those that the analysis found, by absolute error."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nac.models.layers import State
from nac.models.voice.control import pitch_features
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.order import is_steady
from nac.models.voice.pitch_code import decode_pitch
from nac.models.voice.quantizer import POWER_FLOOR
from nac.models.voice.timing import FRAMES
from nac.training.budget import Budget
from nac.training.optimizer import DivergedError, learning_rate, optimizer_step
from nac.training.voice.average import Average
from nac.training.voice.coding import CodedRecordings
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.examples import Sampler, Stretch, parameters

log = logging.getLogger(__name__)
_BETAS, _WEIGHT_DECAY, _CLIP, _FINAL_SHARE = (0.9, 0.98), 1e-2, 1.0, 0.02
#: Decay of the averaged weights.
_EMA = 0.995
#: Files of n codebooks are as frequent among the examples as n to this power; and share of other numbers.
COUNT_POWER, OTHER_SHARE = -0.7, 0.2
#: Weight of errors in aperiodicity, whose range is small; and of silent steps, all bands below this log power.
_APERIODICITY, _SILENT, _AUDIBLE = 2.0, 0.15, -13.0
#: Steps between two lines of the log.
_LOG_STEPS = 50


def train_control(
    decoder: VoiceDecoder, coded: CodedRecordings, config: VoiceTrainingConfig, bfloat16: bool, budget: Budget
) -> dict[str, float]:
    """Train `decoder.control`, for `config.control_steps` steps; a signal to the budget ends it early.

    Returns:
        Mean terms of the last steps, and beside them those without the network.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    hops = min(config.control_hops, max(piece.hops for piece in coded.pieces))
    sampler = Sampler(coded.pieces, coded.gains, hops, config.source_power)
    network = decoder.control.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.control_learning_rate, betas=_BETAS, weight_decay=_WEIGHT_DECAY, fused=True
    )
    average = Average(network, _EMA)
    collected: list[dict[str, float]] = []
    means: dict[str, float] = {}
    for step in range(config.control_steps):
        if budget.stop:
            break
        share = step / config.control_steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config.control_learning_rate, share, step, config.warmup, _FINAL_SHARE)
        stretches = [sampler.draw(rng, hops) for _ in range(config.control_batch)]
        counts = draw_counts(rng, decoder, config.control_batch)
        terms = _loss(decoder, coded, stretches, counts, min(config.control_run_in, hops // 2), bfloat16)
        norm = optimizer_step(terms["loss"], optimizer, _CLIP)
        if not np.isfinite(norm):
            raise DivergedError(f"the gradient of the control network is not finite at step {step}")
        average.update(step)
        collected.append({name: float(value.detach()) for name, value in terms.items()})
        if (step + 1) % _LOG_STEPS == 0 or step + 1 == config.control_steps:
            means = {name: float(np.mean([row[name] for row in collected])) for name in collected[0]}
            log.info("control, step %d: %s", step + 1, " ".join(f"{name} {value:.4f}" for name, value in means.items()))
            collected = []
    average.apply()
    network.requires_grad_(False).eval()
    return means


def draw_counts(rng: np.random.Generator, decoder: VoiceDecoder, batch: int) -> Tensor:
    """How many envelope codebooks each example has: as files of some number of codebooks have, few the more often.

    Returns:
        `[batch, 2]`, in frames that are not steady voice and in others.
    """
    core = decoder.config.core_codebooks
    totals = np.arange(1 + core, 1 + decoder.config.n_codebooks)
    counts = np.array([[n for n, _ in decoder.order.counts(int(total))] for total in totals])
    weights = totals.astype(float) ** COUNT_POWER
    drawn = counts[rng.choice(len(counts), batch, p=weights / weights.sum())]
    # Any other numbers too, so that another order of the codes needs no other network.
    other = rng.integers(core, decoder.config.envelope_codebooks + 1, (batch, 2))
    return torch.from_numpy(np.where(rng.random((batch, 1)) < OTHER_SHARE, other, drawn))


def _loss(
    decoder: VoiceDecoder,
    coded: CodedRecordings,
    stretches: Sequence[Stretch],
    counts: Tensor,
    run_in: int,
    bfloat16: bool,
) -> dict[str, Tensor]:
    """Terms with the network, and those that the quantizer alone would have."""
    quantizer, shape = decoder.quantizer, decoder.config
    found = parameters(coded.recordings, stretches)
    target = torch.cat([(found.bands.exp() + POWER_FLOOR).log(), found.aperiodicity], -1).flatten(1, 2)
    voiced = (found.f0 > 0).flatten(1)[..., None]
    codes = coded.codes(stretches)
    in_frames = torch.where(is_steady(codes[:, 0]), counts[:, 1:], counts[:, :1])
    used = torch.arange(shape.envelope_codebooks)[:, None] < in_frames[:, None]
    with torch.no_grad():
        state: State = {quantizer: coded.core_before(stretches)}
        envelope = codes[:, 1 : 1 + shape.envelope_codebooks].where(used, -1)
        latent, core = quantizer.decode(envelope, state)
        linear = quantizer.to_curves(latent)
        pitch = pitch_features(decoder.contour(decode_pitch(codes[:, 0])))
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        correction, _ = decoder.control(latent, core, pitch, in_frames)
    audible = _SILENT + (target[..., : shape.n_bands].amax(-1, keepdim=True) > _AUDIBLE)
    weights = quantizer.weights[: shape.n_bands]
    # Aperiodicity means nothing where there is no voice.
    importance = torch.cat(
        [weights / 1.5 * audible, _APERIODICITY * audible * voiced.expand(-1, -1, shape.n_aperiodicity_bands)], -1
    )

    sizes = [shape.n_bands, shape.n_aperiodicity_bands]

    def error(curves: Tensor) -> tuple[Tensor, ...]:
        weighted = ((curves - target).abs() * importance)[:, FRAMES * run_in :]
        return torch.split(weighted, sizes, -1)

    bands, aperiodicity = error(linear + correction.float())
    bands_before, aperiodicity_before = error(linear)
    loss = (bands.sum(-1) + aperiodicity.sum(-1)).mean() / shape.n_curves
    return {
        "loss": loss,
        "bands": bands.mean(),
        "aperiodicity": aperiodicity.mean(),
        "bands_before": bands_before.mean(),
        "aperiodicity_before": aperiodicity_before.mean(),
    }
