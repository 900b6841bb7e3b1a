"""Random stretches of prepared recordings, and what training reads of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nac.errors import AudioError
from nac.models.voice.analysis import VoiceParameters
from nac.models.voice.envelope import BANDS
from nac.models.voice.timing import HOP
from nac.training.voice.recordings import Recording, Recordings


@dataclass(frozen=True)
class Stretch:
    """Some hops of a piece: number of the piece, first hop in the arrays, number of hops, and gain (log power)."""

    piece: int
    first: int
    hops: int
    gain: float


class Sampler:
    """Draws stretches: sources by their length to a power, then pieces by theirs."""

    def __init__(self, pieces: Sequence[Recording], gains: Sequence[float], least: int, power: float) -> None:
        """Leave out pieces shorter than `least` hops.

        Raises:
            AudioError: all are.
        """
        self.pieces, self.gains = pieces, gains
        hops = np.array([piece.hops if piece.hops >= least else 0 for piece in pieces], np.float64)
        if not hops.any():
            raise AudioError(f"no recording has {least * HOP / 24_000:.1f} s; training needs longer ones")
        _, source = np.unique([piece.source for piece in pieces], return_inverse=True)
        total = np.bincount(source, hops)
        share = np.where(total > 0, np.maximum(total, 1.0) ** (power - 1), 0.0)
        weights = hops * share[source]
        self.weights = weights / weights.sum()

    def draw(self, rng: np.random.Generator, hops: int) -> Stretch:
        """A stretch of at most `least` hops."""
        number = int(rng.choice(len(self.pieces), p=self.weights))
        piece = self.pieces[number]
        first = piece.first + int(rng.integers(0, piece.hops - hops + 1))
        return Stretch(number, first, hops, self.gains[number])


def draw_gains(count: int, limits: tuple[float, float], seed: int) -> list[float]:
    """The gain of each piece, natural logarithm of power, the same whenever they are drawn."""
    return [float(gain) for gain in np.random.default_rng(seed).uniform(*limits, count)]


def parameters(recordings: Recordings, stretches: Sequence[Stretch]) -> VoiceParameters:
    """Parameters of stretches of equal length, with their gains."""
    rows = torch.from_numpy(np.stack([recordings.steps(item.first, item.hops) for item in stretches]))
    gains = torch.tensor([item.gain for item in stretches])[:, None, None, None]
    f0, bands, aperiodicity = torch.split(rows, [1, BANDS, rows.shape[-1] - 1 - BANDS], -1)
    return VoiceParameters(f0[..., 0], bands + gains, aperiodicity)


def samples(recordings: Recordings, stretches: Sequence[Stretch]) -> Tensor:
    """Samples of stretches of equal length, with their gains, `[batch, hops · hop]`."""
    return torch.from_numpy(
        np.stack([recordings.samples(item.first, item.hops) * np.float32(np.exp(item.gain / 2)) for item in stretches])
    )
