"""What a model is made of and what it works: parameters, and multiply-accumulates per second of mono audio.

The products are counted while the model's own code runs, matrix products and convolutions alone, as is usual; they are
the same on every machine. Needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from nac.models.model import NacModel


@dataclass(frozen=True)
class Part:
    """A part of a model: numbers it holds, and multiply-accumulates per second of audio."""

    name: str
    parameters: int
    products: int


def parts(model: NacModel, kbps: int = 6, beams: dict[str, int] | None = None) -> list[Part]:
    """Encoder, codebook search by name of `beams` (name: paths kept), and decoder of a model, for mono at `kbps`.

    The codebooks count as parameters of the search: those that `kbps` uses, in the dimensions they code.
    """
    config = model.config
    device = model.spectrum.deviation.device
    samples = torch.zeros(1, config.sample_rate // config.hop * config.hop, device=device)
    frames = samples.shape[1] // config.hop
    stages = kbps * 1000 // (config.frame_rate * config.bits)
    latent = torch.zeros(1, frames, config.latent_dim, device=device)
    rate = torch.full((1, frames), stages, device=device)
    books = sum(model.quantizer.stage(index).numel() for index in range(stages))

    out = [Part("encoder", _size(model.encoder), count_products(lambda: model.analyse(samples)))]
    for name, beam in (beams or {"greedy": 1}).items():
        products = count_products(lambda beam=beam: model.quantizer.encode(latent[0], stages, beam))  # type: ignore[misc]
        out.append(Part(f"codebook search, {name}", books, products))
    out.append(Part("decoder", _size(model.decoder), count_products(lambda: model.synthesise(latent, rate))))
    return out


def count_products(work: Callable[[], Any]) -> int:
    """Multiply-accumulates of all matrix products and convolutions that torch does in `work`.

    >>> count_products(lambda: torch.ones(2, 3) @ torch.ones(3, 4))
    24
    """
    # Depthwise convolutions are sums of products of whole tensors.
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addcmul: _addcmul})
    with torch.no_grad(), counter:
        work()
    return int(counter.get_total_flops()) // 2


def _addcmul(*_: Any, out_shape: Any, **__: Any) -> int:
    return 2 * int(math.prod(out_shape))


def _size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
