"""The order of a frame's codes: what matters most for its kind of sound comes first.

In steady voice the envelope says nearly everything: synthesis sounds like the voice, and a coded waveform better only
at high rates. Where voice begins or ends and where there is none, a few codes of the low band's waveform do more than
most of the envelope's. A frame's code of pitch, which comes first, tells the two kinds apart, so that a frame is read
without any other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nac.models.config import VoiceConfig
from nac.models.voice.pitch_code import decode_pitch


def is_steady(pitch_codes: Tensor) -> Tensor:
    """Which frames are voiced in both halves: bool `[...]`, for codes of pitch of the same shape."""
    return (decode_pitch(pitch_codes) > 0).all(-1)


class CodeOrder(nn.Module):
    """Puts codes in the order of a file, and back in that of the parts: pitch, all of the envelope, all low bands."""

    rows: Tensor
    first: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        """The orders of `config`, of which the first is for frames that are not steady."""
        super().__init__()
        self._orders = (config.unsteady_order, config.steady_order)
        rows = [_rows(order, config.envelope_codebooks) for order in self._orders]
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        self.register_buffer("first", torch.tensor([order[0][0] for order in self._orders]), persistent=False)

    def counts(self, n_codebooks: int) -> list[tuple[int, int]]:
        """How many codebooks of envelope and low bands the first ones are, pitch aside, unsteady and steady."""
        out = []
        for rows in self.rows[:, : max(n_codebooks - 1, 0)].tolist():
            n_envelope = sum(row <= self._n_envelope for row in rows)
            out.append((n_envelope, len(rows) - n_envelope))
        return out

    def first_envelope(self, pitch_codes: Tensor) -> Tensor:
        """How many codes of the envelope come before any of the low bands, `[...]` like the codes of pitch."""
        return self.first[is_steady(pitch_codes).long()]

    def to_file(self, codes: Tensor, n_codebooks: int) -> Tensor:
        """From the order of the parts.

        Args:
            codes: `[batch, all codebooks, frames]`.
            n_codebooks: how many to keep, at least 1.

        Returns:
            `[batch, n_codebooks, frames]`.
        """
        return torch.cat([codes[:, :1], codes.gather(1, self._rows_of(codes)[:, : n_codebooks - 1])], 1)

    def to_parts(self, codes: Tensor) -> Tensor:
        """From the order of a file.

        Args:
            codes: `[batch, n_codebooks, frames]`, −1 for none.

        Returns:
            `[batch, all codebooks, frames]`, −1 for none.
        """
        rows = self._rows_of(codes)
        given = codes[:, 1 : 1 + rows.shape[1]]
        out = codes.new_full((codes.shape[0], 1 + rows.shape[1], codes.shape[2]), -1)
        out[:, :1] = codes[:, :1]
        return out.scatter_(1, rows[:, : given.shape[1]], given)

    @property
    def _n_envelope(self) -> int:
        return sum(envelope for envelope, _ in self._orders[0])

    def _rows_of(self, codes: Tensor) -> Tensor:
        """`[batch, codebooks, frames]`: the row, in the order of the parts, of each row after that of pitch."""
        return self.rows[is_steady(codes[:, 0]).long()].transpose(1, 2)


def _rows(order: Sequence[tuple[int, int]], n_envelope: int) -> list[int]:
    """Rows of the parts in the order of a file, after that of pitch."""
    out: list[int] = []
    envelope, low = 1, 1 + n_envelope
    for n, m in order:
        out += [*range(envelope, envelope + n), *range(low, low + m)]
        envelope, low = envelope + n, low + m
    return out
