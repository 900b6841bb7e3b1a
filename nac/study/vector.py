"""VQ-VAE: the latent as words from learned codebooks, several in a row for each place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nac.models.quantizer import SearchCodebook, beam_search
from nac.study.autoencoders import ConvAutoencoder, Latent, Shape
from nac.study.config import SystemConfig

BEAM = 4
DECAY = 0.98
#: Codes whose running count falls below this share of the mean are given the place of a latent of the batch.
LEAST = 0.05


class VectorQuantizedAutoencoder(ConvAutoencoder):
    """The convolutional autoencoder with its latent cut into words of `code_dim`, each coded by residual codebooks.

    Codebooks are running means of what chose them (van den Oord et al. 2017, arXiv 1711.00937); training draws at
    random after how many stages it stops, so that one model serves every number of stages.
    """

    books: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, shape: Shape, config: SystemConfig) -> None:
        super().__init__(shape, config)
        stages, self.dim = max(config.stages), config.code_dim
        self.weight = config.commitment
        self.register_buffer("books", torch.zeros(stages, config.codebook, self.dim))
        self.register_buffer("counts", torch.ones(stages, config.codebook))
        self.register_buffer("sums", torch.zeros(stages, config.codebook, self.dim))
        bits = max(1, (config.codebook - 1).bit_length())
        self.latents = (Latent(stages, config.latent // self.dim, "codes", bits),)

    @torch.no_grad()
    def prepare(self, features: Tensor) -> None:
        """First codes: words of the untrained latent, and at each stage their residual."""
        residual = self.words(features).flatten(0, 1)
        for index in range(len(self.books)):
            pick = torch.randint(len(residual), self.books.shape[1:2])
            self.books[index] = residual[pick] + 1e-3 * residual.std() * torch.randn_like(self.books[index])
            residual = residual - self.books[index][self._nearest(residual, index)]
        self.sums.copy_(self.books)

    def words(self, x: Tensor) -> Tensor:
        """The latent before quantization `[batch, places, code_dim]`."""
        return torch.unflatten(self.to_latent(self.encoder(x)[-1].flatten(1)), 1, (-1, self.dim))

    def encode(self, x: Tensor) -> list[Tensor]:
        words = self.words(x)
        codes, _ = beam_search(words.flatten(0, 1), [SearchCodebook.from_vectors(book) for book in self.books], BEAM)
        return [torch.unflatten(codes, 0, words.shape[:2]).transpose(1, 2)]

    def decode(self, tables: Sequence[Tensor]) -> Tensor:
        codes = tables[0].long().clamp(0, self.books.shape[1] - 1)
        words = torch.stack([book[code] for book, code in zip(self.books, codes.unbind(1), strict=False)]).sum(0)
        return super().decode([words.flatten(1)[..., None]])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        words = self.words(x)
        stages = int(torch.randint(1, len(self.books) + 1, ())) if self.training else len(self.books)
        total = torch.zeros_like(words.flatten(0, 1))
        for index in range(stages):
            with torch.no_grad():
                residual = words.flatten(0, 1) - total
                code = self._nearest(residual, index)
                if self.training:
                    self._follow(index, residual, code)
                total = total + self.books[index][code]
        quantized = total.view_as(words)
        penalty = self.weight * F.mse_loss(words, quantized)
        straight = words + (quantized - words).detach()
        return super().decode([straight.flatten(1)[..., None]]), penalty

    def pooled(self, x: Tensor) -> Tensor:
        """The latent as its codes say, `[batch, latent, 1]`."""
        codes = self.encode(x)[0]
        words = torch.stack([book[code] for book, code in zip(self.books, codes.unbind(1), strict=True)]).sum(0)
        return words.flatten(1)[..., None]

    def _nearest(self, x: Tensor, index: int) -> Tensor:
        return beam_search(x, [SearchCodebook.from_vectors(self.books[index])], 1)[0][:, 0]

    def _follow(self, index: int, residual: Tensor, code: Tensor) -> None:
        hits = torch.bincount(code, minlength=self.books.shape[1]).to(residual)
        self.counts[index].mul_(DECAY).add_(hits, alpha=1 - DECAY)
        self.sums[index].mul_(DECAY).index_add_(0, code, residual * (1 - DECAY))
        dead = (self.counts[index] < LEAST * self.counts[index].mean()).nonzero()[: len(residual) // 8, 0]
        if len(dead):
            mean = self.counts[index].mean()
            self.counts[index, dead] = mean
            self.sums[index, dead] = residual[torch.randperm(len(residual))[: len(dead)]] * mean
        self.books[index] = self.sums[index] / self.counts[index, :, None].clamp(min=1e-6)
