"""Residual vector quantizer: each codebook codes what the ones before it have left.

Codes are found by beam search over the codebooks (width 1 is the greedy search); the decoder and the format know
nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nac.models.config import ModelConfig

#: The search goes on from its best path alone at these numbers of codebooks (3, 6, 12 and 24 kbps), so that a file cut
#: down to such a rate holds the very codes that coding at this rate gives.
ANCHORS = (6, 12, 24, 48)


@dataclass(frozen=True, eq=False)
class Book:
    """A codebook `[size, dim]`, and the same laid out for the search: `matrix` `[2 + dim, size]`.

    A residual r that has the power p is kept as the row (1, p, r); its product with the matrix is the power that each
    code b would leave, |r − b|² = p + |b|² − 2 r·b.
    """

    codes: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, codes: Tensor) -> "Book":
        """The codebook with these codes."""
        norms = codes.square().sum(1)
        return cls(codes.contiguous(), torch.cat([norms[None], torch.ones_like(norms)[None], -2 * codes.T]))


class ResidualQuantizer(nn.Module):
    """`codebooks` `[stages, size, latent]`; dimensions that a stage does not code are zero."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        codes = torch.zeros(config.codebooks, config.codebook_size, config.latent_dim)
        #: Without a gradient, unless a training asks for one: most set the codes to means.
        self.codebooks = nn.Parameter(codes, requires_grad=False)
        self._books: dict[int, Book] = {}
        self._books_of: tuple[int, int] = (0, 0)

    def stage(self, index: int) -> Tensor:
        """Codebook `index`, `[size, its own dimensions]`."""
        return self.codebooks[index, :, : self.config.codebook_dim(index)]

    def books(self, stages: int) -> list[Book]:
        """The first codebooks, laid out for the search; made when first asked for, and anew after they have changed."""
        books = self.codebooks
        version = books.data_ptr(), 0 if books.is_inference() else books._version
        if version != self._books_of:
            self._books, self._books_of = {}, version
        for index in range(stages):
            if index not in self._books:
                self._books[index] = Book.of(self.stage(index))
        return [self._books[index] for index in range(stages)]

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
        return beam_search(latent, self.books(stages), beam, anchors)[0]


def beam_search(latent: Tensor, books: Sequence[Book], beam: int, anchors: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """Codes `[frames, stages]` of `latent` `[frames, dim]`, and the squared error `[frames]` that they leave.

    Each book codes as many of the first dimensions as it has of what the ones before it have left. After as many
    stages as an anchor says, only the best path goes on.
    """
    frames, paths, size = len(latent), 1, 0
    first = torch.arange(frames, device=latent.device)[:, None]
    # The paths of a frame are rows behind each other. Dimensions that no stage has coded yet are alike in all of them,
    # so they are added when it is their turn.
    rows = torch.cat([latent.new_ones(frames, 1), latent.new_zeros(frames, 1)], 1)
    steps: list[tuple[Tensor, Tensor]] = []
    for index, book in enumerate(books):
        if book.codes.shape[1] > size:
            rows = _extended(rows, latent[:, size : book.codes.shape[1]], paths)
            size = book.codes.shape[1]
        keep = 1 if index + 1 in anchors or index + 1 == len(books) else beam
        power, flat = smallest((rows @ book.matrix).view(frames, -1), keep)
        parent, code = flat // len(book.codes), flat % len(book.codes)
        if keep > 1 or paths > 1:
            rows = rows.index_select(0, (parent + first * paths).flatten())
        rows[:, 1] = power.flatten()
        rows[:, 2:] -= book.codes.index_select(0, code.flatten())
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


def smallest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest of each row of `[rows, n]` and their positions, both `[rows, count]`.

    The smallest values lie in the groups with the smallest minima, and minima are many times faster to find than the
    order of everything. A group is every m-th value, so that the minima of neighbouring groups are found together.
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
