"""Streaming equals one shot, nothing looks ahead, and the delay is what is promised."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.errors import NacError
from nac.format.layout import split_codebooks
from nac.models.model import NacModel
from nac.models.streaming import CodedFrames, FrameDecoder, FrameEncoder
from nac.models.weights import load_model
from nac.packaged import default_weights
from nac.synthetic import speech_like
from tests.conftest import small_model
from tests.models.voice.whole import small_voice_model

HOP = 480
MODEL = small_model()
cuts = st.lists(st.integers(1, 3000), max_size=12)


def pieces(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    edges = np.cumsum([0, *sizes])
    return [samples[:, a:b] for a, b in zip(edges, [*edges[1:], None], strict=True)]


def encode(samples: np.ndarray, sizes: list[int], codebooks: int = 6, chunk: int = 4) -> list[CodedFrames]:
    coder = FrameEncoder(MODEL, samples.shape[0], codebooks, split_codebooks, beam=2, chunk_frames=chunk)
    out = [part for piece in pieces(samples, sizes) for part in coder.push(piece)]
    return out + coder.flush()


def joined(parts: list[CodedFrames]) -> np.ndarray:
    return np.concatenate([part.codes[0] for part in parts], 1)


@settings(deadline=None, max_examples=25)
@given(length=st.integers(0, 5000), sizes=cuts, channels=st.integers(1, 2))
def test_any_cut_gives_the_same_codes(length: int, sizes: list[int], channels: int) -> None:
    samples = np.stack([speech_like(length, seed=i) for i in range(channels)])
    whole, cut = encode(samples, []), encode(samples, sizes)
    assert [part.side_lag for part in whole] == [part.side_lag for part in cut]
    for a, b in zip(whole, cut, strict=True):
        for x, y in zip(a.codes, b.codes, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("length", [0, 1, 479, 480, 481, 960, 961, 1440])
def test_frames_cover_every_length(length: int) -> None:
    parts = encode(speech_like(length)[None], [])
    frames = sum(part.frames for part in parts)
    assert frames == (0 if length == 0 else -(-length // HOP) + 1)
    decoder = FrameDecoder(MODEL, 1)
    decoded = sum(decoder.push(part.codes).shape[1] for part in parts) + decoder.flush().shape[1]
    assert length <= decoded < length + HOP


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(1, 20), max_size=8))
def test_any_cut_of_codes_gives_the_same_samples(sizes: list[int]) -> None:
    codes = np.random.default_rng(0).integers(0, 64, (6, 70))
    whole = FrameDecoder(MODEL, 1).push([codes])
    decoder = FrameDecoder(MODEL, 1)
    cut = np.concatenate([decoder.push([piece]) for piece in pieces(codes, sizes)], 1)
    np.testing.assert_allclose(whole, cut, atol=1e-5)
    assert np.abs(whole).max() > 1e-3


def test_encoder_looks_no_further_than_its_frame() -> None:
    samples = speech_like(20 * HOP)[None]
    changed = samples.copy()
    changed[:, 10 * HOP :] += 0.3
    with torch.inference_mode():
        before, after = (MODEL.analyse(torch.from_numpy(x)) for x in (samples, changed))
    same = (before == after).all(-1)[0]
    assert same[:10].all()
    assert not same[10:].any()


def test_decoder_looks_no_further_than_its_frame() -> None:
    codes = np.random.default_rng(0).integers(0, 64, (6, 20))
    changed = codes.copy()
    changed[:, 10:] = (changed[:, 10:] + 1) % 64
    before, after = (FrameDecoder(MODEL, 1).push([x]) for x in (codes, changed))
    # The first hop is dropped, so frame 10 gives samples from 9 hops on.
    np.testing.assert_array_equal(before[:, : 9 * HOP], after[:, : 9 * HOP])
    assert np.abs(before[:, 9 * HOP : 10 * HOP] - after[:, 9 * HOP : 10 * HOP]).max() > 1e-4


@pytest.mark.parametrize(("model", "hops"), [(MODEL, 2), (small_voice_model(), 3)], ids=["general", "voice"])
def test_latency_is_three_frames(model: NacModel, hops: int) -> None:
    """Whenever n samples have gone in, at least n − 3 · 480 have come out: 60 ms at 24 kHz, buffering included.

    Models without voices need two frames, 40 ms.
    """
    samples = speech_like(30 * HOP)[None]
    coder, decoder = FrameEncoder(model, 1, 6, split_codebooks, chunk_frames=1), FrameDecoder(model, 1)
    taken = given_back = worst = 0
    for piece in pieces(samples, [100] * 143):
        taken += piece.shape[1]
        given_back += sum(decoder.push(part.codes).shape[1] for part in coder.push(piece))
        worst = max(worst, taken - given_back)
    assert (hops - 1) * HOP <= worst < hops * HOP


def test_low_latency_codes_are_those_of_the_file() -> None:
    samples = speech_like(9 * HOP)[None]
    assert (joined(encode(samples, [], chunk=1)) == joined(encode(samples, [], chunk=50))).mean() > 0.99


def test_memory_of_a_stream_does_not_grow() -> None:
    coder, decoder = FrameEncoder(MODEL, 1, 2, split_codebooks, chunk_frames=4), FrameDecoder(MODEL, 1)
    sizes: list[int] = []
    for _ in range(12):
        for part in coder.push(speech_like(4 * HOP)[None]):
            decoder.push(part.codes)
        sizes.append(len(pickle.dumps((coder, decoder))))
    assert max(sizes[1:]) - min(sizes[1:]) < 100


@pytest.mark.parametrize("codebooks", [2, 3, 12, 48])
def test_alike_channels_leave_the_bits_to_mid(codebooks: int) -> None:
    left = speech_like(10 * HOP)
    alike = encode(np.stack([left, left]), [], codebooks)
    assert {len(part.codes[1]) for part in alike} == {0}
    apart = encode(np.stack([left, left[::-1]]), [], codebooks)
    assert all(len(part.codes[0]) + len(part.codes[1]) == codebooks for part in apart)
    assert any(len(part.codes[1]) > 0 for part in apart)


def packaged() -> list[NacModel]:
    """The model that is used, if it is there."""
    try:
        return [load_model(default_weights())[0]]
    except NacError:
        return []


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(MODEL, id="small"),
        *(pytest.param(model, id="packaged", marks=pytest.mark.slow) for model in packaged()),
    ],
)
def coded(request: pytest.FixtureRequest) -> tuple[NacModel, np.ndarray, np.ndarray]:
    """A model, codes `[12, frames]` and the samples they make."""
    model: NacModel = request.param
    coder = FrameEncoder(model, 1, 12, split_codebooks)
    codes = joined(coder.push(speech_like(240 * HOP)[None]) + coder.flush())
    decoder = FrameDecoder(model, 1)
    return model, codes, np.concatenate([decoder.push([codes]), decoder.flush()], 1)[0]


def with_gap(model: NacModel, codes: np.ndarray, first: int, lost: int) -> np.ndarray:
    decoder = FrameDecoder(model, 1)
    parts = [decoder.push([codes[:, :first]]), decoder.conceal(lost), decoder.push([codes[:, first + lost :]])]
    parts.append(decoder.flush())
    return np.concatenate(parts, 1)[0]


GAPS = pytest.mark.parametrize("lost", [1, 4, 9, 50])
PLACES = range(30, 180, 15)


def heard_before(model: NacModel, first: int) -> int:
    """Samples that are handed on before frame `first` is known, or lost."""
    return (first - (1 if model.voice is None else 2)) * HOP


@GAPS
def test_after_a_gap_the_sound_is_soon_what_it_would_have_been(coded: tuple, lost: int) -> None:
    """From 100 ms on there is next to no difference, and none after the frames that the decoder looks back.

    The more a trained decoder makes of what it remembers, the more remains: about −40 dB, below its errors by far.
    Where voice goes on, its pulses come at other times: what comes back is the spectrum.
    """
    model, codes, whole = coded
    soon, spectral = [], []
    for first in PLACES:
        patched = with_gap(model, codes, first, lost)
        assert patched.shape == whole.shape
        before = heard_before(model, first)
        np.testing.assert_allclose(patched[:before], whole[:before], atol=1e-5)
        end = (first + lost) * HOP
        error = patched - whole
        soon.append(np.mean(error[end + 5 * HOP : end + 10 * HOP] ** 2) / np.mean(whole**2))
        difference = levels(patched) - levels(whole)
        spectral.append(
            [np.sqrt(np.mean(difference[first + lost :][a:b] ** 2)) for a, b in ((0, 2), (5, 10), (20, 25))]
        )
        if model.voice is None:
            np.testing.assert_allclose(error[end + 30 * HOP :], 0, atol=1e-4)
    if model.voice is None:
        assert 10 * np.log10(np.median(soon)) < -33
        assert 10 * np.log10(np.max(soon)) < -18
    else:
        at_once, soon_after, later = np.mean(spectral, 0)
        assert at_once < 5 and soon_after < 1.5 and later < 0.5


def levels(samples: np.ndarray) -> np.ndarray:
    """dB in bands of 800 Hz of every hop, `[hops, 30]`, with a floor of −70 dB."""
    power = np.abs(np.fft.rfft(samples.reshape(-1, HOP) * np.hanning(HOP))[:, :240]) ** 2
    return np.asarray(10 * np.log10(power.reshape(len(power), 15, -1).mean(2) / HOP + 1e-7))


@GAPS
def test_a_gap_does_not_click(coded: tuple, lost: int) -> None:
    """Steps from sample to sample are not larger than those of the sound itself."""
    model, codes, whole = coded
    for first in PLACES:
        patched = with_gap(model, codes, first, lost)
        assert np.abs(np.diff(patched)).max() < 1.1 * np.abs(np.diff(whole)).max()


def test_a_long_gap_is_silent(coded: tuple) -> None:
    model, codes, whole = coded
    patched = with_gap(model, codes, 60, 50)
    assert np.abs(patched[59 * HOP : 60 * HOP]).max() > 0.3 * np.abs(whole[58 * HOP : 59 * HOP]).max()
    assert np.sqrt(np.mean(patched[70 * HOP : 108 * HOP] ** 2)) < 0.01 * np.sqrt(np.mean(whole**2))


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_a_gap_told_in_pieces_is_one_gap(sizes: list[int]) -> None:
    codes = [np.random.default_rng(0).integers(0, 64, (n, 70)) for n in (4, 2)]
    results = []
    for pieces in ([sum(sizes)], sizes):
        decoder = FrameDecoder(MODEL, 2)
        parts = [decoder.push([channel[:, :30] for channel in codes])]
        parts += [decoder.conceal(lost) for lost in pieces]
        parts.append(decoder.push([channel[:, 30:] for channel in codes]))
        results.append(np.concatenate(parts, 1))
    assert results[0].shape == (2, (69 + sum(sizes)) * HOP)
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize("lost", [3, 60])
def test_a_gap_at_the_start_or_the_end(lost: int) -> None:
    codes = np.random.default_rng(0).integers(0, 64, (6, 40))
    decoder = FrameDecoder(MODEL, 1)
    parts = [decoder.conceal(lost), decoder.push([codes[:, :1]]), decoder.push([codes[:, 1:]]), decoder.conceal(lost)]
    samples = np.concatenate(parts, 1)
    assert samples.shape == (1, (2 * lost + 39) * HOP)
    assert np.abs(samples[:, : (lost - 1) * HOP]).max() < 1e-2
    whole = FrameDecoder(MODEL, 1, lost).push([codes])
    np.testing.assert_allclose(
        samples[:, (lost + 30) * HOP : (lost + 39) * HOP], whole[:, 30 * HOP : 39 * HOP], atol=1e-4
    )
