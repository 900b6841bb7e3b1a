"""Residual vector quantizer: each codebook codes what the ones before it have left.

Codes are found by beam search over the codebooks (width 1 is the greedy search); the decoder and the format know
nothing of it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nac.models.config import ModelConfig

#: The search goes on from its best path alone at these numbers of codebooks (3, 6, 12 and 24 kbps), so that a file cut
#: down to such a rate holds the very codes that coding at this rate gives.
ANCHORS = (6, 12, 24, 48)


class ResidualQuantizer(nn.Module):
    """`codebooks` `[stages, size, latent]`; dimensions that a stage does not code are zero."""

    codebooks: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codebooks", torch.zeros(config.codebooks, config.codebook_size, config.latent_dim))

    def stage(self, index: int) -> Tensor:
        """Codebook `index`, `[size, its own dimensions]`."""
        return self.codebooks[index, :, :self.config.codebook_dim(index)]

    def decode(self, codes: Tensor) -> Tensor:
        """`[batch, stages, frames]` codes to `[batch, frames, latent]`; a code of −1 adds nothing."""
        out = self.codebooks.new_zeros(codes.shape[0], codes.shape[2], self.config.latent_dim)
        for index in range(codes.shape[1]):
            code = codes[:, index].long()
            out = out + self.codebooks[index][code.clamp(min=0)] * (code >= 0)[..., None]
        return out

    @torch.no_grad()
    def encode(self, latent: Tensor, stages: int, beam: int = 1, anchors: Sequence[int] = ANCHORS) -> Tensor:
        """`[frames, latent]` to codes `[frames, stages]`, the best of `beam` paths kept at every stage."""
        return beam_search(latent, [self.stage(index) for index in range(stages)], beam, anchors)[0]


def beam_search(latent: Tensor, books: Sequence[Tensor], beam: int,
                anchors: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """Codes `[frames, stages]` of `latent` `[frames, dim]`, and the squared error `[frames]` that they leave.

    Book i, `[codes, its dimensions]`, codes the first dimensions of what the ones before it have left. After as many
    stages as an anchor says, only the best path goes on.
    """
    frames = latent.shape[0]
    residual = latent[:, None]  # [frames, paths, dim]
    codes = torch.zeros(frames, 1, 0, dtype=torch.long, device=latent.device)
    power = residual.square().sum(-1)
    for index, book in enumerate(books):
        keep = 1 if index + 1 in anchors or index + 1 == len(books) else beam
        size, paths = book.shape[1], residual.shape[1]
        # |r − b|² = |r|² − 2 r·b + |b|²; only the dimensions of this stage differ between codes.
        score = torch.addmm(book.square().sum(1), residual[..., :size].reshape(-1, size), book.T, alpha=-2)
        power, flat = smallest((power[..., None] + score.view(frames, paths, -1)).flatten(1), keep)
        parent, code = flat // len(book), flat % len(book)
        residual = residual.gather(1, parent[..., None].expand(-1, -1, residual.shape[2])).contiguous()
        residual[..., :size] -= book[code]
        codes = torch.cat([codes.gather(1, parent[..., None].expand(-1, -1, index)), code[..., None]], -1)
    return codes[:, 0], power[:, 0]


def smallest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest of each row of `[rows, n]` and their positions, both `[rows, count]`.

    The smallest values lie in the groups with the smallest minima, and minima are many times faster to find than the
    order of everything.
    """
    if count == 1:
        least = x.min(1, keepdim=True)
        return least.values, least.indices
    group = 32
    if x.shape[1] % group or x.shape[1] // group < count:
        found = x.topk(count, 1, largest=False)
        return found.values, found.indices
    groups = x.view(x.shape[0], -1, group)
    best = groups.amin(2).topk(count, 1, largest=False).indices
    values, position = groups.gather(1, best[..., None].expand(-1, -1, group)).flatten(1).topk(count, 1, largest=False)
    return values, best.gather(1, position // group) * group + position % group
