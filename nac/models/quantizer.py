"""Residual vector quantizer: each codebook codes the residual that the codebooks before it leave.

Codes are found by beam search over the codebooks (beam 1 is the greedy search); the decoder and the file format do not
depend on how they were found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nac.models.config import ModelConfig

#: Numbers of codebooks (3, 6, 12 and 24 kbps) after which the search goes on from its best path alone, so that a file
#: truncated to such a rate holds the very codes that encoding at this rate gives.
COMMIT_POINTS = (6, 12, 24, 48)


@dataclass(frozen=True, eq=False)
class SearchCodebook:
    """A codebook prepared for the search.

    A residual r of power p is kept as the row (1, p, r); its product with `matrix` is the power that each vector b
    would leave, |r − b|² = p + |b|² − 2 r·b.

    Attributes:
        vectors: `[size, dim]`.
        matrix: `[2 + dim, size]`.
    """

    vectors: Tensor
    matrix: Tensor

    @classmethod
    def from_vectors(cls, vectors: Tensor) -> "SearchCodebook":
        """Prepare a codebook `[size, dim]`."""
        norms = vectors.square().sum(1)
        return cls(vectors.contiguous(), torch.cat([norms[None], torch.ones_like(norms)[None], -2 * vectors.T]))


class ResidualCodebooks(nn.Module):
    """Codebooks of residual vector quantization, whose codes can be truncated.

    Attributes:
        codebooks: `[n_codebooks, size, dim]`. Without a gradient unless training asks for one: k-means and running
            means set them otherwise.
    """

    def __init__(self, n_codebooks: int, size: int, dim: int) -> None:
        """All codebooks start at zero."""
        super().__init__()
        self.codebooks = nn.Parameter(torch.zeros(n_codebooks, size, dim), requires_grad=False)
        self._prepared: dict[int, SearchCodebook] = {}
        self._prepared_version: tuple[int, int] = (0, 0)

    def stage(self, index: int) -> Tensor:
        """Codebook `index`, `[size, dim]`, in the dimensions that it codes: the first ones, or all."""
        return self.codebooks[index]

    def search_codebooks(self, n_codebooks: int) -> list[SearchCodebook]:
        """The first codebooks, prepared for the search: when first needed, and again after they have changed."""
        codebooks = self.codebooks
        version = codebooks.data_ptr(), 0 if codebooks.is_inference() else codebooks._version
        if version != self._prepared_version:
            self._prepared, self._prepared_version = {}, version
        for index in range(n_codebooks):
            if index not in self._prepared:
                self._prepared[index] = SearchCodebook.from_vectors(self.stage(index))
        return [self._prepared[index] for index in range(n_codebooks)]

    def decode(self, codes: Tensor, first: int = 0) -> Tensor:
        """Dequantize codes.

        Args:
            codes: `[batch, n_codebooks, frames]`; a code of −1 adds nothing.
            first: number of the codebook of the first codes.

        Returns:
            `[batch, frames, dim]`.
        """
        batch, count, frames = codes.shape
        _, size, dim = self.codebooks.shape
        starts = torch.arange(first, first + count, device=codes.device) * size
        rows = codes.long().transpose(1, 2) + starts
        given = codes.transpose(1, 2) >= 0
        used = given.sum(2).flatten()
        # Adds up the rows of each frame one by one, in their order, so that less codes give the same partial sums.
        out = F.embedding_bag(rows[given], self.codebooks.flatten(0, 1), used.cumsum(0) - used, mode="sum")
        return out.view(batch, frames, dim)

    @torch.no_grad()
    def encode(
        self, latent: Tensor, n_codebooks: int, beam: int = 1, commit_points: Sequence[int] = COMMIT_POINTS
    ) -> Tensor:
        """Quantize a latent.

        Args:
            latent: `[frames, dim]`.
            n_codebooks: how many codebooks to use, from the first on.
            beam: paths kept by the search.
            commit_points: numbers of codebooks after which only the best path goes on.

        Returns:
            Codes `[frames, n_codebooks]`.
        """
        return beam_search(latent, self.search_codebooks(n_codebooks), beam, commit_points)[0]


class ResidualQuantizer(ResidualCodebooks):
    """Residual vector quantizer of the latent; dimensions that a codebook does not code are zero in it."""

    def __init__(self, config: ModelConfig) -> None:
        """All codebooks start at zero."""
        super().__init__(config.codebooks, config.codebook_size, config.latent_dim)
        self.config = config

    def stage(self, index: int) -> Tensor:
        """Codebook `index`, `[size, dim]`, in the dimensions that it codes."""
        return self.codebooks[index, :, : self.config.codebook_dim(index)]


def beam_search(
    latent: Tensor, codebooks: Sequence[SearchCodebook], beam: int, commit_points: Sequence[int] = ()
) -> tuple[Tensor, Tensor]:
    """Search residual codebooks for the codes that leave the least squared error.

    Each codebook codes as many of the first dimensions as it has.

    Args:
        latent: `[frames, dim]`.
        codebooks: in the order of their use.
        beam: paths kept after each codebook but the last.
        commit_points: numbers of codebooks after which only the best path goes on.

    Returns:
        Codes `[frames, n_codebooks]`, and the squared error `[frames]` that they leave.
    """
    frames, paths, size = len(latent), 1, 0
    first = torch.arange(frames, device=latent.device)[:, None]
    # The paths of a frame are consecutive rows. Dimensions that no codebook has coded yet are alike in all of them, so
    # they are added when they are first coded.
    rows = torch.cat([latent.new_ones(frames, 1), latent.new_zeros(frames, 1)], 1)
    steps: list[tuple[Tensor, Tensor]] = []
    for index, codebook in enumerate(codebooks):
        vectors = codebook.vectors
        if vectors.shape[1] > size:
            rows = _extended(rows, latent[:, size : vectors.shape[1]], paths)
            size = vectors.shape[1]
        keep = 1 if index + 1 in commit_points or index + 1 == len(codebooks) else beam
        power, flat = k_smallest((rows @ codebook.matrix).view(frames, -1), keep)
        parent, code = flat // len(vectors), flat % len(vectors)
        if keep > 1 or paths > 1:
            rows = rows.index_select(0, (parent + first * paths).flatten())
        rows[:, 1] = power.flatten()
        rows[:, 2:] -= vectors.index_select(0, code.flatten())
        paths = keep
        steps.append((parent, code))
    codes = torch.empty(frames, len(steps), dtype=torch.long, device=latent.device)
    path = torch.zeros_like(first)
    for index in range(len(steps) - 1, -1, -1):  # back along the best path
        parent, code = steps[index]
        codes[:, index] = code.gather(1, path)[:, 0]
        path = parent.gather(1, path)
    return codes, rows[:, 1] + latent[:, size:].square().sum(1)


def _extended(rows: Tensor, more: Tensor, paths: int) -> Tensor:
    """Rows (1, power, residual) with the dimensions `more` `[frames, dimensions]` for each of a frame's paths."""
    more = more.repeat_interleave(paths, 0)
    rows = torch.cat([rows, more], 1)
    rows[:, 1] += more.square().sum(1)
    return rows


def k_smallest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest values of each row; for long rows several times faster than `torch.topk`.

    The smallest values lie in the groups with the smallest minima, and minima are many times faster to find than the
    order of everything. A group is every m-th value, so that the minima of neighbouring groups are found together.

    Args:
        x: `[rows, n]`.
        count: values per row.

    Returns:
        The values and their positions, both `[rows, count]`, in no particular order.
    """
    members = 32
    groups = x.shape[1] // members
    if x.shape[1] % members or groups < count:
        found = x.topk(count, 1, largest=False)
        return found.values, found.indices
    table = x.view(x.shape[0], members, groups)
    minima = table.amin(1)
    best = minima.argmin(1, keepdim=True) if count == 1 else minima.topk(count, 1, largest=False).indices
    near = table.gather(2, best[:, None].expand(-1, members, -1)).flatten(1)
    values, position = near.min(1, keepdim=True) if count == 1 else near.topk(count, 1, largest=False)
    return values, position // count * groups + best.gather(1, position % count)
