"""The order of a voice's codes, the crossover to the coded waveform, and the comb filter."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from nac.models.config import VoiceConfig
from nac.models.layers import State
from nac.models.voice.crossover import CombFilter, CrossoverLevel
from nac.models.voice.order import CodeOrder, is_steady
from nac.models.voice.pitch_code import encode_pitch
from tests.models.voice.small import CODEBOOKS, HOP, RATE, SMALL

PITCH = encode_pitch(torch.tensor([[0.0] * 4, [0, 0, 200, 200], [200, 200, 0, 0], [200.0] * 4]))
ORDERS = [SMALL, VoiceConfig()]


def coded(config: VoiceConfig) -> Tensor:
    """Codes in the order of the parts that say where they are: from 100 on for envelope, from 500 on for low bands."""
    codes = torch.cat([100 + torch.arange(config.envelope_codebooks), 500 + torch.arange(config.low_band_codebooks)])
    return torch.cat([PITCH[None], codes[:, None].expand(-1, len(PITCH))])[None]


def test_frames_that_are_voiced_throughout_are_steady() -> None:
    assert is_steady(PITCH).tolist() == [False, False, False, True]
    assert not is_steady(torch.tensor([0, 1])).any()


@pytest.mark.parametrize("config", ORDERS)
def test_the_parts_come_back_from_any_number_of_codebooks(config: VoiceConfig) -> None:
    order, codes = CodeOrder(config), coded(config)
    for count in range(1, config.n_codebooks + 1):
        file = order.to_file(codes, count)
        assert file.shape[1] == count
        parts = order.to_parts(file)
        assert parts.shape == codes.shape
        kept = parts >= 0
        assert torch.equal(parts[kept], codes[kept])
        for frame, steady in enumerate(is_steady(PITCH).long()):
            n_envelope, n_low = order.counts(count)[steady]
            assert n_envelope + n_low == count - 1 == int(kept[0, 1:, frame].sum())
            # From the first of each part on.
            assert kept[0, 1 : 1 + n_envelope, frame].all()
            assert kept[0, 1 + config.envelope_codebooks :, frame].int().tolist() == [1] * n_low + [0] * (
                config.low_band_codebooks - n_low
            )


@pytest.mark.parametrize("config", ORDERS)
def test_a_file_with_fewer_codebooks_begins_like_one_with_all(config: VoiceConfig) -> None:
    order, codes = CodeOrder(config), coded(config)
    whole = order.to_file(codes, config.n_codebooks)
    assert torch.equal(order.to_file(codes, 5), whole[:, :5])
    steady, other = whole[0, 1:, 3].tolist(), whole[0, 1:, 0].tolist()
    for found, first in ((steady, config.steady_order[0]), (other, config.unsteady_order[0])):
        assert found[: first[0]] == list(range(100, 100 + first[0]))
        assert found[first[0] : sum(first)] == list(range(500, 500 + first[1]))


def test_low_bands_are_read_as_they_were_coded_whatever_is_dropped_after_them() -> None:
    """The envelope that scales them is of the codes before the first of theirs."""
    order = CodeOrder(SMALL)
    assert order.first_envelope(PITCH).tolist() == [2, 2, 2, 4]
    for count in range(1, CODEBOOKS + 1):
        for (n_envelope, n_low), first in zip(order.counts(count), (2, 4), strict=True):
            assert n_low == 0 or n_envelope >= first


def level(counts: list[int], steady: list[bool]) -> list[int]:
    """Level in the middle of each frame's hop."""
    crossover = CrossoverLevel(SMALL)
    steps: Tensor = crossover(crossover.of_frames(torch.tensor([counts]), torch.tensor([steady])))
    return steps[0, 3::4].tolist()


def test_the_coded_waveform_replaces_the_synthesis_where_both_its_frames_have_enough_codes() -> None:
    assert level([7, 7, 7, 7], [True] * 4) == [0, 2, 2, 2]
    assert level([2, 2, 2, 2], [False, False, True, False]) == [0, 1, 0, 0]
    assert level([5, 5, 5, 5], [False, False, True, True]) == [0, 2, 1, 1]
    assert level([0, 0, 0], [False] * 3) == [0, 0, 0]


def test_the_comb_keeps_what_repeats_and_halves_what_does_not() -> None:
    frames, hertz = 40, 187.5  # a period of 128 samples
    f0 = torch.full((1, frames, 4), hertz)
    n = torch.arange(frames * HOP)
    comb, share = CombFilter(), torch.full((1, frames), 0.5)
    for harmonics, gain in ((1.0, 1.0), (3.0, 1.0), (1.5, 0.0), (2.5, 0.0)):
        x = torch.sin(n * (2 * np.pi * harmonics * hertz / RATE))[None]
        out = comb(x, f0, share)[:, 5 * HOP :]
        assert float(out.abs().max()) == pytest.approx(gain, abs=0.01)
    assert torch.equal(comb(x, f0, 0 * share), x)


def test_the_comb_does_not_know_how_frames_are_cut() -> None:
    torch.manual_seed(0)
    frames = 30
    x, share = torch.randn(1, frames * HOP), torch.rand(1, frames).clamp(0.2, 0.7) - 0.2
    f0 = torch.where(share[..., None] > 0, 60 + 400 * torch.rand(1, frames, 4), 0.0)
    comb = CombFilter()
    whole = comb(x, f0, share, {})
    state: State = {}
    edges = [0, 1, 4, 20, frames]
    parts = [comb(x[:, a * HOP : b * HOP], f0[:, a:b], share[:, a:b], state) for a, b in itertools.pairwise(edges)]
    assert torch.equal(torch.cat(parts, 1), whole)
