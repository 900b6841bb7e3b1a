"""Codebooks in training: quantization with a random number of stages, and two ways for the codes to learn.

Either a codebook follows the mean of the residuals that chose it, by exponential averages of counts and sums (van den
Oord et al. 2017, arXiv 1711.00937). The averages start from the codes as they are, held by many hits: codebooks fitted
on millions of frames must not be forgotten within a few small batches. Or the codes are weights like all others: every
code that a frame uses gets the gradient of all losses at the sum that it is part of.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nac.models.quantizer import ResidualQuantizer
from nac.training import distributed

WRITE_EVERY = 10


class CodebookTrainer(nn.Module):
    """Running counts `[stages, size]` and sums `[stages, size, latent]` behind a quantizer's codebooks."""

    counts: Tensor
    sums: Tensor

    def __init__(
        self, quantizer: ResidualQuantizer, decay: float, hits: float, usage: Tensor | None = None, beam: int = 1
    ) -> None:
        super().__init__()
        books = quantizer.codebooks
        self.decay, self.hits, self.beam = decay, hits, beam
        self.pending = self.age = 0
        share = torch.ones(books.shape[:2]) if usage is None else usage / usage.mean(1, keepdim=True)
        self.register_buffer("counts", (share.clamp(min=0.02) * hits).to(books))
        self.register_buffer("sums", books.detach() * self.counts[..., None])

    @torch.no_grad()
    def restart(self, quantizer: ResidualQuantizer) -> None:
        """Start the running means from the codes as they are now, all held alike."""
        self.counts.fill_(self.hits)
        self.sums.copy_(quantizer.codebooks * self.hits)
        self.pending = self.age = 0

    def quantize(
        self, quantizer: ResidualQuantizer, latent: Tensor, n_codebooks: Tensor, learn: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize a batch, each example with a number of codebooks of its own.

        The search is greedy while the codebooks follow running means, and else `beam` paths wide, as in use.

        Args:
            quantizer: The codebooks.
            latent: `[batch, frames, latent]`.
            n_codebooks: `[batch]`.
            learn: Whether the running means take this batch in.

        Returns:
            The quantized latent, whose gradient passes straight through to `latent` and also reaches the codes, if they
            learn by gradient; the commitment loss, the mean squared distance of the coded dimensions of the latent from
            the quantized ones; and the usage `[codebooks, size]` of this batch.
        """
        flat = latent.reshape(-1, latent.shape[-1])
        usage = torch.zeros_like(self.counts)
        if self.beam > 1 and not learn:
            total = dequantize(quantizer, self._search(quantizer, latent.detach(), n_codebooks, usage))
            return self._straight_through(quantizer, latent, total, n_codebooks, usage)
        with torch.no_grad():
            # The examples with the most stages first: those still being coded are then a slice, not a choice.
            order = n_codebooks.argsort(descending=True)
            counts = n_codebooks[order].tolist()
            residual = latent.detach()[order].reshape(-1, latent.shape[-1])
            for index in range(counts[0]):
                book = quantizer.stage(index)
                examples = sum(count > index for count in counts)
                x = residual[: examples * latent.shape[1], : book.shape[1]]
                code = nearest(x, book)
                usage[index] = torch.bincount(code, minlength=book.shape[0]).to(usage)
                if learn:
                    self._count(index, code, x, usage[index])
                x -= book[code]
            if learn:
                self.pending, self.age = max(self.pending, counts[0]), self.age + 1
            if self.age >= WRITE_EVERY:
                self.write(quantizer)
            total = (flat.view_as(latent) - residual.view_as(latent)[order.argsort()]).reshape_as(flat)
        return self._straight_through(quantizer, latent, total, n_codebooks, usage)

    @torch.no_grad()
    def _search(self, quantizer: ResidualQuantizer, latent: Tensor, n_codebooks: Tensor, usage: Tensor) -> Tensor:
        """Codes `[batch · frames, codebooks]` of a beam search, −1 beyond an example's number of codebooks.

        Their usage is added to `usage`.
        """
        frames = latent.shape[1]
        out = torch.full((*latent.shape[:2], int(n_codebooks.max())), -1, dtype=torch.long, device=latent.device)
        for count in sorted(set(n_codebooks.tolist())):
            chosen = (n_codebooks == count).nonzero()[:, 0]
            codes = quantizer.encode(latent[chosen].flatten(0, 1), count, self.beam)  # [frames, count]
            out[chosen, :, :count] = codes.view(-1, frames, count)
            places = codes + torch.arange(count, device=codes.device) * usage.shape[1]
            usage.view(-1).scatter_add_(0, places.flatten(), usage.new_ones(()).expand(places.numel()))
        return out.flatten(0, 1)

    @staticmethod
    def _straight_through(
        quantizer: ResidualQuantizer, latent: Tensor, total: Tensor, n_codebooks: Tensor, usage: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Results of `quantize` for the quantized `total` `[batch · frames, latent]`."""
        flat = latent.reshape_as(total)
        # One straight-through step around all stages together, and one commitment to their sum: a step for each stage
        # would tie the stages to each other.
        sizes = torch.tensor(
            [quantizer.config.codebook_dim(count - 1) for count in n_codebooks.tolist()], device=n_codebooks.device
        )
        coded = torch.arange(latent.shape[-1], device=n_codebooks.device) < sizes[:, None, None]
        loss = ((flat - total).view_as(latent).square() * coded).sum(-1).mean()
        return (total + (flat - flat.detach())).view_as(latent), loss, usage

    def _count(self, index: int, code: Tensor, x: Tensor, hits: Tensor) -> None:
        self.counts[index].mul_(self.decay).add_(hits)
        self.sums[index].mul_(self.decay)
        self.sums[index, :, : x.shape[1]].index_add_(0, code, x)

    @torch.no_grad()
    def write(self, quantizer: ResidualQuantizer) -> None:
        """Set the codebooks to the running means, over all processes.

        Done every few steps, since they move slowly and it costs.
        """
        stages, self.pending, self.age = int(distributed.largest(self.pending)[0]), 0, 0
        if stages:
            distributed.average(self.counts, self.sums)
        quantizer.codebooks[:stages] = self.sums[:stages] / self.counts[:stages, :, None].clamp(min=1e-6)

    @torch.no_grad()
    def revive(self, quantizer: ResidualQuantizer, latent: Tensor, least: float = 0.02) -> int:
        """Give codes used less than `least` of their codebook's mean a residual of `[frames, latent]` instead.

        The code, its sum and its count all change: a code written to the codebook alone would be undone by the next
        running mean. Returns how many codes were given.
        """
        revived = 0
        residual = latent.clone()
        for index in range(quantizer.codebooks.shape[0]):
            book = quantizer.stage(index)
            x = residual[:, : book.shape[1]]
            mean = self.counts[index].mean()
            dead = (self.counts[index] < least * mean).nonzero()[:, 0][: len(x) // 4]
            if len(dead):
                pick = torch.randperm(len(x), device=x.device)[: len(dead)]
                self.counts[index, dead] = mean * 0.25
                self.sums[index, dead] = 0
                self.sums[index, dead, : x.shape[1]] = x[pick] * mean * 0.25
                quantizer.codebooks[index, dead] = self.sums[index, dead] / self.counts[index, dead, None]
                revived += len(dead)
            code = nearest(x, book)
            residual[:, : book.shape[1]] -= book[code]
        distributed.copy_first(self.counts, self.sums, quantizer.codebooks)
        return revived


def dequantize(quantizer: ResidualQuantizer, codes: Tensor) -> Tensor:
    """Sums of code vectors, as `quantizer.decode` gives them, in a form whose gradient is as large as the codebooks.

    Args:
        quantizer: The codebooks.
        codes: `[frames, n_codebooks]`; a code of −1 adds nothing.

    Returns:
        The quantized latent, `[frames, latent]`.
    """
    stages, size, latent = quantizer.codebooks.shape
    used = codes >= 0
    places = codes + torch.arange(codes.shape[1], device=codes.device) * size
    ends = used.sum(1).cumsum(0)
    return F.embedding_bag(
        places[used],
        quantizer.codebooks.view(stages * size, latent),
        torch.cat([ends.new_zeros(1), ends[:-1]]),
        mode="sum",
    )


def enable_gradient(quantizer: ResidualQuantizer) -> None:
    """Give the codebooks a gradient; what a stage does not code stays without."""

    def masked(gradient: Tensor) -> Tensor:
        for index in range(len(gradient)):
            gradient[index, :, quantizer.config.codebook_dim(index) :] = 0
        return gradient

    quantizer.codebooks.requires_grad_(True)
    quantizer.codebooks.register_hook(masked)  # type: ignore[no-untyped-call]


def nearest(x: Tensor, book: Tensor) -> Tensor:
    """Index of the code of `book` `[size, dim]` nearest to each of `x` `[frames, dim]`."""
    half = -book.square().sum(1) / 2
    columns = book.T.contiguous()
    return torch.cat([torch.addmm(half, x[i : i + 16_384], columns).max(1).indices for i in range(0, len(x), 16_384)])


def perplexity(usage: Tensor) -> Tensor:
    """exp(entropy) of each codebook's usage `[stages, size]`: the number of codes in effective use."""
    share = usage / usage.sum(1, keepdim=True).clamp(min=1)
    return (-(share * (share + 1e-12).log()).sum(1)).exp()
