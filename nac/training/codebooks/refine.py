"""Codebooks refined together: what k-means fits one after the other, least squares fits at once.

Residual codebooks are fitted stage by stage, each blind to those after it. Here a block of stages, from one commit
point of the search to the next, is coded with the beam search that the encoder uses, and then all its codes are set to
the values that together leave the least squared error (additive quantization; Babenko and Lempitsky 2014, Martinez et
al. 2018). Both steps are repeated.
"""

import logging
from itertools import pairwise

import torch
from torch import Tensor

from nac.models.model import NacModel
from nac.models.quantizer import COMMIT_POINTS, ResidualQuantizer, SearchCodebook, beam_search
from nac.training.data.corpus import Crops

log = logging.getLogger(__name__)
#: Weight, in frames, that holds a code where it was: codes that are seldom used should not jump.
HOLD = 8.0
#: Stages solved at once; the cost of a solution grows with the cube of their number.
MOST = 12
#: Weight of the error at every second stage before a block's last, so that bit rates between commit points stay good.
PREFIX = 0.15


@torch.inference_mode()
def gather_latents(model: NacModel, crops: Crops, frames: int, batch: int = 32) -> Tensor:
    """Latents `[frames, latent]` of random crops, silence left out; on the CPU, where refining works."""
    out, got = [], 0
    while got < frames:
        samples = torch.from_numpy(crops.batch(batch)).to(model.spectrum.deviation.device)
        latent = model.analyse(samples)[:, 1:].flatten(0, 1).cpu()
        latent = latent[latent.square().mean(1) > 1e-5]
        out.append(latent)
        got += len(latent)
    return torch.cat(out)[:frames]


@torch.inference_mode()
def refine(
    quantizer: ResidualQuantizer,
    latent: Tensor,
    rounds: int = 3,
    beam: int = 4,
    late: float = 0.4,
    late_rounds: int = 2,
) -> None:
    """Refine the codebooks on `[frames, latent]`, block by block.

    After the codebooks of the first layer a share `late` of the frames and `late_rounds` serve.
    """
    residual = latent.clone()
    stages = quantizer.config.codebooks
    layers = [first for first, _ in quantizer.config.layers if first < stages]
    early = layers[1] if len(layers) > 1 else stages
    edges = {*layers, *(edge for edge in COMMIT_POINTS if edge < stages), *range(2 * MOST, stages, MOST), stages}
    for first, last in pairwise(sorted(edges)):
        if first == early:
            residual = residual[: int(len(residual) * late)]
        books = quantizer.codebooks[first:last].cpu().clone()
        size = quantizer.config.codebook_dim(first)
        for turn in range(rounds if first < early else late_rounds):
            codes, error = search(residual, books, size, beam)
            log.info("codebooks %d to %d, round %d: error %.5f", first, last - 1, turn, error)
            books = solve(residual[:, :size], codes, books, size)
        codes, error = search(residual, books, size, beam)
        log.info("codebooks %d to %d: error %.5f", first, last - 1, error)
        quantizer.codebooks[first:last] = books
        for index in range(last - first):
            residual -= books[index][codes[:, index]]


def search(residual: Tensor, books: Tensor, size: int, beam: int) -> tuple[Tensor, float]:
    """Beam search of `[frames, latent]` through `books` `[stages, codes, latent]`: codes and mean squared error."""
    out, error = [], 0.0
    laid_out = [SearchCodebook.from_vectors(book) for book in books[:, :, :size]]
    for start in range(0, len(residual), 512):
        part = residual[start : start + 512]
        codes, left = beam_search(part, laid_out, beam)
        out.append(codes)
        error += float(left.sum())
    return torch.cat(out), error / len(residual)


def solve(target: Tensor, codes: Tensor, books: Tensor, size: int) -> Tensor:
    """The books `[stages, codes, latent]` that together fit `target` `[frames, size]` best, given everyone's codes."""
    stages, entries, _ = books.shape
    total = stages * entries
    columns = codes + torch.arange(stages) * entries
    # A stage counts in the error of the whole block and of every shorter sum that it is part of.
    counts = [
        sum(PREFIX if end < stages else 1.0 for end in range(2, stages + 1, 2) if end > stage)
        for stage in range(stages)
    ]
    normal = torch.zeros(total * total)
    for a in range(stages):
        for b in range(a, stages):
            flat = columns[:, a] * total + columns[:, b]
            normal.index_add_(0, flat, torch.full((len(flat),), counts[b]))
    normal = normal.view(total, total)
    normal = normal + normal.T - torch.diag(normal.diagonal())
    old = books[:, :, :size].reshape(total, size)
    right = torch.zeros(total, size)
    for stage in range(stages):
        right.index_add_(0, columns[:, stage], target, alpha=counts[stage])
    normal.diagonal().add_(HOLD)
    factor = torch.linalg.cholesky(normal.double() if total <= 8192 else normal)
    found = torch.cholesky_solve((right + HOLD * old).to(factor), factor).float()
    out = books.clone()
    out[:, :, :size] = found.view(stages, entries, size)
    return out
