"""Frames of voice and of other sound in one channel."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.models.runs import RunDecoder
from nac.models.streaming import FrameDecoder, FrameEncoder
from nac.models.voice import mode
from nac.synthetic import speech_like
from tests.conftest import small_model
from tests.models.voice.whole import small_voice_model

HOP, SIZE, CODEBOOKS = 480, 64, 12
MODEL = small_voice_model(voice=1e-4)  # nothing is voice to the encoder


def frames_of(modes: list[bool], seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, SIZE, (CODEBOOKS, len(modes)))
    codes[0] = np.where(modes, rng.integers(1, 1010, len(modes)), 0)
    return torch.from_numpy(codes)


@torch.inference_mode()
def decode(codes: torch.Tensor, sizes: list[int], first_frame: int = 0) -> np.ndarray:
    decoder = RunDecoder(MODEL, first_frame)
    edges = np.cumsum([0, *sizes]).clip(max=codes.shape[1])
    parts = [decoder.push(codes[:, a:b]) for a, b in zip(edges, [*edges[1:], codes.shape[1]], strict=True)]
    return torch.cat([*parts, decoder.flush()]).numpy()


@settings(deadline=None, max_examples=30)
@given(modes=st.lists(st.booleans(), min_size=1, max_size=24), sizes=st.lists(st.integers(0, 9), max_size=6))
def test_any_cut_gives_the_same_samples(modes: list[bool], sizes: list[int]) -> None:
    codes = frames_of(modes)
    whole = decode(codes, [])
    assert whole.shape == (len(modes) * HOP,)
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(decode(codes, sizes), whole, atol=1e-5 * max(1, np.abs(whole).max()))


@settings(deadline=None, max_examples=20)
@given(modes=st.lists(st.booleans(), min_size=1, max_size=12))
def test_every_push_gives_a_hop_for_each_frame_but_the_first(modes: list[bool]) -> None:
    decoder = RunDecoder(MODEL)
    with torch.inference_mode():
        counts = [len(decoder.push(frames_of(modes)[:, i : i + 1])) for i in range(len(modes))]
        assert counts == [0] + [HOP] * (len(modes) - 1)
        assert len(decoder.flush()) == HOP


def test_general_frames_are_the_general_decoders() -> None:
    codes = frames_of([False] * 12)
    with torch.inference_mode():
        latent = MODEL.quantizer.decode(codes[None, 1:])
        expected = MODEL.synthesise(latent, torch.full((1, 12), CODEBOOKS - 1), 5)[0].numpy()
    np.testing.assert_allclose(decode(codes, [], 5), expected, atol=1e-5)


def test_frames_of_voice_are_the_voice_decoders() -> None:
    codes = frames_of([True] * 12)
    with torch.inference_mode():
        parts = MODEL.voice.order.to_parts(codes[None])
        sound = MODEL.voice(parts, MODEL.voice.noise[None, 5:17], {})[0].numpy()
    np.testing.assert_allclose(decode(codes, [], 5)[: 11 * HOP], sound[HOP:], atol=1e-5)


@pytest.mark.parametrize("voice_first", [True, False])
def test_a_run_sounds_as_by_itself_but_for_its_ends(voice_first: bool) -> None:
    """The second run differs from the same frames at the start of a file in its first hop alone."""
    modes = [voice_first] * 8 + [not voice_first] * 8
    codes = frames_of(modes)
    both, second = decode(codes, []), decode(codes[:, 8:], [], 8)
    first = decode(codes[:, :8], [])
    # Frame f describes hop f − 1, which is the f-th that comes out.
    np.testing.assert_allclose(both[9 * HOP :], second[HOP:], atol=1e-5)
    np.testing.assert_allclose(both[: 7 * HOP], first[: 7 * HOP], atol=1e-5)
    seam = both[8 * HOP : 9 * HOP]
    assert not np.allclose(seam, second[:HOP], atol=1e-3)
    # It ends as the new run has it.
    np.testing.assert_allclose(seam[-2:], second[HOP - 2 : HOP], atol=1e-2)


def test_frames_without_codes_are_silent() -> None:
    codes = frames_of([True] * 6 + [False] * 6)
    codes[:, 6:] = -1
    assert np.abs(decode(codes, [])[7 * HOP :]).max() == 0
    assert np.abs(decode(codes[:0], [])).max() == 0


@pytest.mark.parametrize("voice", [True, False])
@pytest.mark.parametrize("lost", [1, 2, 7])
def test_lost_frames_fade_out_and_the_rest_is_as_it_was(voice: bool, lost: int) -> None:
    codes = frames_of([voice] * 24)
    decoder = RunDecoder(MODEL)
    with torch.inference_mode():
        parts = [decoder.push(codes[:, :10]), decoder.conceal(lost), decoder.push(codes[:, 10 + lost :])]
        sound = torch.cat([*parts, decoder.flush()]).numpy()
    assert len(sound) == 24 * HOP and np.isfinite(sound).all()
    np.testing.assert_allclose(sound[: 9 * HOP], decode(codes, [])[: 9 * HOP], atol=1e-5)
    if not voice:
        after = decode(codes[:, 10 + lost :], [], 10 + lost)[HOP:]
        np.testing.assert_allclose(sound[(11 + lost) * HOP :], after, atol=1e-5)
    levels = np.sqrt(np.square(sound.reshape(-1, HOP)).mean(1))
    assert levels[10:].max() < 4 * levels[:10].max()
    if lost == 7:
        assert (levels[13:17] == 0).all() and levels[10] > 0


@pytest.mark.parametrize("lost", [1, 2, 7])
def test_after_a_short_gap_the_envelope_of_voice_is_predicted_from_before_it(lost: int) -> None:
    """It then lacks what the lost frames said, and nothing else. After a long gap there is no prediction."""
    codes, noise, state, parts = frames_of([True] * 24), MODEL.voice.noise, {}, []
    decoder, predictor = RunDecoder(MODEL), MODEL.voice.quantizer
    with torch.inference_mode():
        for frames in (slice(0, 10), slice(10 + lost, 24)):
            rows = MODEL.voice.order.to_parts(codes[None, :, frames])
            parts.append(MODEL.voice(rows, noise[None, frames], state)[0].numpy())
            state = {predictor: state[predictor]} if lost < 3 else {}
        got = [decoder.push(codes[:, :10]), decoder.conceal(lost), decoder.push(codes[:, 10 + lost :])]
        sound = torch.cat(got).numpy()
    np.testing.assert_allclose(sound[(11 + lost) * HOP :], parts[1][2 * HOP :], atol=1e-5)


@pytest.mark.parametrize("voice", [True, False])
def test_after_a_long_gap_nothing_is_heard_of_the_other_mode_before_it(voice: bool) -> None:
    codes = frames_of([voice] * 10 + [not voice] * 14)
    decoder = RunDecoder(MODEL)
    with torch.inference_mode():
        parts = [decoder.push(codes[:, :10]), decoder.conceal(7), decoder.push(codes[:, 17:])]
        seam = torch.cat(parts).numpy()[17 * HOP : 18 * HOP]
    alone = decode(codes[:, 17:], [], 17)[:HOP]
    rise = HOP * RunDecoder.FADES[not voice]
    share = np.sin(np.pi / 2 * ((np.arange(HOP) + 0.5) / rise).clip(max=1)) ** 2
    np.testing.assert_allclose(seam, alone * share, atol=1e-5)


def test_channels_have_modes_and_noise_of_their_own() -> None:
    """Mid and side are decoded each as it would be alone, in whatever pieces they come."""
    mid, side = frames_of([True, False] * 10, 1), frames_of([False] * 5 + [True] * 15, 2)
    side[4:] = -1
    decoder = FrameDecoder(MODEL, 2, first_frame=3)
    pieces = [[channel[:, a:b].numpy() for channel in (mid, side[:4])] for a, b in ((0, 1), (1, 9), (9, 20))]
    sound = np.concatenate([*(decoder.push(piece) for piece in pieces), decoder.flush()], 1)
    alone = decode(mid, [], 3)[HOP:], decode(side, [], 3 + 499)[HOP:]
    assert sound.shape == (2, 19 * HOP)
    np.testing.assert_allclose(sound[0] + sound[1], 2 * alone[0], atol=1e-5)
    np.testing.assert_allclose(sound[0] - sound[1], 2 * alone[1], atol=1e-5)


@pytest.mark.parametrize("codebooks", [1, 3, 6])
def test_other_sound_is_coded_as_without_voices_by_one_codebook_less(
    codebooks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mode, "START", -1.0)  # otherwise the first frames are voice, until some have been heard
    general = small_model(codebook_size=SIZE)
    state = MODEL.state_dict()
    general.load_state_dict({name: state[name] for name in general.state_dict()})
    samples = speech_like(9000)[None]
    sounds = []
    for model, count in ((MODEL, codebooks), (general, codebooks - 1)):
        coder = FrameEncoder(model, 1, count, lambda total, channels, lag: [total], beam=2, chunk_frames=4)
        parts = coder.push(samples) + coder.flush()
        decoder = FrameDecoder(model, 1)
        sounds.append(np.concatenate([*(decoder.push(part.codes) for part in parts), decoder.flush()], 1))
    np.testing.assert_allclose(*sounds, atol=1e-5)
    assert codebooks == 1 or sounds[0].std() > 1e-3
