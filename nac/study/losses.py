"""The terms of which a study makes its losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nac.study.config import SystemConfig
from nac.training.losses.reconstruction import FLOOR, MelLoss, magnitudes, si_sdr

#: Windows of the multi-scale STFT loss in samples; hop a quarter of the window.
SCALES = (512, 1024, 2048)


@dataclass
class Reconstruction:
    """What a system made of a batch: features and samples, both before and after.

    `output` is None where no term of the loss needs samples. `penalty`: of the latent. `phase`: mean of
    1 - cos(phase error) of complex features, weighted by the magnitude: 0 where it is right, 1 by chance.
    """

    target: Tensor
    estimate: Tensor
    samples: Tensor
    output: Tensor | None = None
    penalty: Tensor | None = None
    phase: Tensor | None = None


class StudyLoss(nn.Module):
    """The weighted sum of the terms that a system's `loss` names.

    On features: "l1" mean absolute and "rmse" root mean squared error. On samples: "stft" and "mel" over several
    windows, "si_sdr" in decibels, taken negative. "phase": see `Reconstruction`.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.weights = {term: weight for term, weight in config.loss if weight}
        self.mel = MelLoss(config.sample_rate) if "mel" in self.weights else None
        for size in SCALES:
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)

    @property
    def needs_samples(self) -> bool:
        """Whether any term looks at samples."""
        return bool({"stft", "mel", "si_sdr"} & self.weights.keys())

    def forward(self, made: Reconstruction) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms before weighting."""
        terms = {term: self._term(term, made) for term in self.weights}
        total = torch.stack(
            [self.weights[term] * (-value if term == "si_sdr" else value) for term, value in terms.items()]
        ).sum()
        if made.penalty is not None:
            terms["penalty"] = made.penalty
            total = total + made.penalty
        return total, {term: value.detach() for term, value in terms.items()}

    def _term(self, term: str, made: Reconstruction) -> Tensor:
        if term == "phase":
            assert made.phase is not None
            return made.phase
        if term in ("l1", "rmse"):
            error = made.target - made.estimate
            return error.abs().mean() if term == "l1" else (error.square().mean() + 1e-12).sqrt()
        assert made.output is not None
        if term == "si_sdr":
            return si_sdr(made.samples, made.output).mean()
        if term == "mel":
            assert self.mel is not None
            loss: Tensor = self.mel(made.samples, made.output)
            return loss
        return self.multi_scale(made.samples, made.output)

    def multi_scale(self, reference: Tensor, estimate: Tensor) -> Tensor:
        """Spectral convergence plus the mean absolute difference of log magnitudes, averaged over the windows.

        Source: Yamamoto, Song and Kim 2020, arXiv 1910.11480.
        """
        out = []
        for size in SCALES:
            window = self.get_buffer(f"window{size}")
            x, y = magnitudes(reference, window), magnitudes(estimate, window)
            convergence = (x - y).norm(dim=(1, 2)) / (x.norm(dim=(1, 2)) + FLOOR)
            out.append(convergence.clamp(max=10.0).mean() + ((x + FLOOR) / (y + FLOOR)).log().abs().mean())
        return torch.stack(out).mean()
