"""The start of a model: scales and codebooks measured on training audio, before the first step.

The codebooks are fitted stage by stage with k-means on the latents of the linear codec. What matters most is the
number of frames: codes fitted on too few serve those frames and no others.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nac.models.model import NacModel
from nac.models.seanet import Spectrum
from nac.models.transform import compress, mdct_basis
from nac.training.codebooks.trainer import nearest
from nac.training.data.corpus import Corpus

log = logging.getLogger(__name__)
#: Share of the frames of each kind; other kinds share the rest.
MIXTURE = {"speech": 0.60, "music": 0.26, "environmental": 0.14}


@dataclass(frozen=True)
class FitConfig:
    """How much audio the start is fitted on."""

    frames: int = 2_400_000
    #: Frames for the codebooks after the first layer's, whose latent has more dimensions.
    late_frames: int = 600_000
    source_power: float = 0.6
    seed: int = 0


def initialise(model: NacModel, corpus: Corpus, fit: FitConfig) -> Tensor:
    """Set scales and codebooks of `model`; returns how often each code was used, `[stages, size]`."""
    rng = np.random.default_rng(fit.seed)
    torch.manual_seed(fit.seed)
    config = model.config
    shares = _shares(corpus)
    probe = torch.cat(
        [
            _frames(corpus, kind, int(100_000 * share), config.hop, rng, fit.source_power)
            for kind, share in shares.items()
        ]
    )
    set_scales(model.spectrum, probe)
    parts = [
        model.spectrum.to_latent(_frames(corpus, kind, int(fit.frames * share), config.hop, rng, fit.source_power))
        for kind, share in shares.items()
    ]
    latent = torch.cat(parts)
    latent = latent[torch.from_numpy(rng.permutation(len(latent)))]
    usage = torch.zeros(config.codebooks, config.codebook_size)
    late = latent[: fit.late_frames].clone()
    residual = latent[:, : config.codebook_dim(0)].contiguous()
    del latent, parts
    for index in range(config.codebooks):
        if config.codebook_dim(index) > residual.shape[1]:
            added = late[:, residual.shape[1] : config.codebook_dim(index)]
            residual = torch.cat([residual[: fit.late_frames], added], 1)
        part = residual[:300_000]
        book = part[torch.randperm(len(part))[: config.codebook_size]].clone()
        book, _ = kmeans(part, book, 4)
        book, usage[index] = kmeans(residual, book, 2)
        residual -= book[nearest(residual, book)]
        model.quantizer.codebooks[index].zero_()
        model.quantizer.codebooks[index, :, : book.shape[1]] = book
        log.info("codebook %d: residual power %.4f", index, float(residual.square().sum(1).mean()))
    return usage


def set_scales(spectrum: Spectrum, coefficients: Tensor) -> None:
    """Measure what `Spectrum` holds on `[frames, hop]` transform coefficients."""
    spectrum.deviation.copy_(spectrum.to_latent(coefficients).square().mean(0).sqrt().clamp(min=1e-6))
    spectrum.spread.copy_(compress(coefficients, spectrum.config.companding).square().mean(0).sqrt().clamp(min=1e-6))


def kmeans(x: Tensor, book: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """Lloyd's iterations; codes with at most one member are drawn anew.

    Args:
        x: Vectors to fit, `[vectors, dim]`.
        book: Codes to start from, `[size, dim]`.
        rounds: Number of iterations.

    Returns:
        The codes, `[size, dim]`, and how many members each had, `[size]`.
    """
    count = torch.zeros(len(book))
    for _ in range(rounds):
        index = nearest(x, book)
        count = torch.bincount(index, minlength=len(book))
        total = torch.zeros_like(book).index_add_(0, index, x)
        means = total / count.clamp(min=1)[:, None]
        book = torch.where((count > 1)[:, None], means, x[torch.randint(len(x), (len(book),))])
    return book, count.float()


def _shares(corpus: Corpus) -> dict[str, float]:
    known = {kind: MIXTURE[kind] for kind in corpus.clips if kind in MIXTURE}
    others = [kind for kind in corpus.clips if kind not in MIXTURE]
    rest = {kind: 0.25 / len(others) for kind in others}
    total = sum(known.values()) + sum(rest.values())
    return {kind: share / total for kind, share in (known | rest).items()}


def _frames(corpus: Corpus, kind: str, count: int, hop: int, rng: np.random.Generator, power: float) -> Tensor:
    """About `count` coefficient frames at random offsets and gains of 0 to −10 dB, silence left out."""
    sources = corpus.clips[kind]
    weights = {source: sum(map(len, clips)) ** power for source, clips in sources.items()}
    basis = mdct_basis(hop)
    out = []
    for source, clips in sources.items():
        want, got, rounds = int(count * weights[source] / sum(weights.values())) + 1, 0, 0
        while got < want and rounds < 1000:
            rounds += 1
            for i in rng.permutation(len(clips)):
                samples = torch.from_numpy(clips[i][int(rng.integers(0, hop)) :].astype(np.float32) / 32767)
                if len(samples) < 2 * hop:
                    continue
                frames = samples.unfold(0, 2 * hop, hop) @ basis
                frames = frames[frames.square().mean(1) > 1e-9] * float(10 ** (-rng.uniform(0, 10) / 20))
                if len(frames) > want - got:
                    frames = frames[torch.from_numpy(rng.permutation(len(frames))[: want - got])]
                out.append(frames)
                got += len(frames)
                if got >= want:
                    break
    return torch.cat(out) if out else torch.zeros(0, hop)
