"""The voice decoder streams, looks no further than it says, and makes the pitch that it is told."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nac.errors import WeightsError
from nac.models.layers import State
from nac.models.voice.contour import PitchContour
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.pitch_code import decode_pitch, encode_pitch
from tests.models.voice.small import CODEBOOKS, HOP, LOUD, RATE, SILENT, SIZE, SMALL, flat_decoder, small_decoder

DECODER = small_decoder()


def random_codes(frames: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Codes and noise; some frames are unvoiced, some have fewer codebooks, some are not of voice."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, SIZE, (1, CODEBOOKS, frames))
    codes[:, 0] = np.where(rng.random(frames) < 0.8, rng.integers(1, 1024, frames), rng.integers(0, 2, frames))
    counts = np.where(rng.random(frames) < 0.5, CODEBOOKS, rng.integers(0, CODEBOOKS + 1, frames))
    codes[:, np.arange(CODEBOOKS)[:, None] >= counts] = -1
    noise = rng.standard_normal((1, frames, HOP))
    return torch.from_numpy(codes), torch.from_numpy(noise).float()


@torch.inference_mode()
def decode(codes: Tensor, noise: Tensor, sizes: list[int], decoder: VoiceDecoder = DECODER) -> np.ndarray:
    """Samples, decoded in pieces of these sizes and the rest."""
    state: State = {}
    edges = np.cumsum([0, *sizes]).clip(max=codes.shape[2])
    out = []
    for a, b in zip(edges, [*edges[1:], codes.shape[2]], strict=True):
        if b > a:
            out.append(decoder(codes[..., a:b], noise[:, a:b], state)[0].numpy())
    return np.concatenate(out)


def steady(frames: int, hertz: float) -> tuple[Tensor, Tensor]:
    """A voice that holds one pitch (0: whispers) and one spectrum, without codes of the low band."""
    codes = torch.zeros(1, CODEBOOKS, frames, dtype=torch.long)
    codes[:, 0] = int(encode_pitch(torch.full((4,), hertz)))
    codes[:, 1 + SMALL.envelope_codebooks :] = -1
    return codes, torch.randn(1, frames, HOP, generator=torch.Generator().manual_seed(0))


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(1, 20), max_size=8), seed=st.integers(0, 5))
def test_any_cut_gives_the_same_samples(sizes: list[int], seed: int) -> None:
    given = random_codes(40, seed)
    whole = decode(*given, [])
    assert whole.std() > 1e-3
    np.testing.assert_allclose(decode(*given, sizes), whole, atol=1e-6 * np.abs(whole).max())


@pytest.mark.parametrize("what", ["pitch", "codes", "noise"])
def test_a_frame_changes_nothing_before_the_hop_that_it_completes(what: str) -> None:
    given = random_codes(30)
    changed = [x.clone() for x in given]
    first = 15
    codes, noise = changed
    if what == "pitch":
        codes[:, 0, first:] = 333
    elif what == "codes":
        codes[:, 1:, first:] = (codes[:, 1:, first:] + 7) % SIZE
    else:
        noise[:, first:] *= -1
    same = decode(*given, []) == decode(*changed, [])
    # Frame f completes hop f − 1, from sample f · hop on in what comes out.
    assert same[: first * HOP].all()
    assert not same[first * HOP : (first + 2) * HOP].all()


def test_a_coded_waveform_comes_out_two_hops_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the lapped transform, which waits for the hop after, and one for the decoder."""
    frames = 20
    decoder = small_decoder(bands=SILENT, network=0.0)
    x = torch.sin(torch.arange(frames * HOP) * (2 * np.pi * 440 / RATE))[None]
    coefficients = decoder.low_band.analyse(x)
    monkeypatch.setattr(decoder.low_band, "decode", lambda codes, scale: coefficients)
    codes, noise = steady(frames, 0.0)
    sound = decode(codes.clamp(min=0), noise, [], decoder)
    np.testing.assert_allclose(sound[4 * HOP :], x[0, 2 * HOP : -2 * HOP].numpy(), atol=0.02)


@pytest.mark.parametrize("kept", [0, 1, 2, 4, 5, 7, 11])
def test_dropped_codebooks_leave_what_the_others_say(kept: int) -> None:
    """The prediction of later frames depends on core codebooks alone, so latents change by the dropped vectors."""
    quantizer = DECODER.quantizer
    codes = random_codes(25)[0][:, 1 : 1 + SMALL.envelope_codebooks].clamp(min=0)
    reduced = codes.clone()
    reduced[:, kept:] = -1
    (full, core), (part, part_core) = quantizer.decode(codes), quantizer.decode(reduced)
    if kept >= SMALL.core_codebooks:
        assert torch.equal(core, part_core)
        dropped = quantizer.residual.decode(codes[:, kept:], kept)
        torch.testing.assert_close(full - part, dropped, atol=1e-5, rtol=0)
    # Fewer rows of codes are the same as codes of −1.
    for a, b in zip(quantizer.decode(codes[:, :kept]), (part, part_core), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kept", [1, 2, 5, 9])
def test_missing_rows_are_codes_of_none(kept: int) -> None:
    codes, noise = random_codes(20)
    none = codes.clone()
    none[:, kept:] = -1
    np.testing.assert_array_equal(decode(codes[:, :kept], noise, []), decode(none, noise, []))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_encoder_predicts_what_the_decoder_does(count: int) -> None:
    """Also with fewer codebooks than the core has; the error that they leave does not grow with time."""
    quantizer = DECODER.quantizer
    torch.manual_seed(3)
    target = torch.randn(2, 60, SMALL.envelope_dim).cumsum(1) * 0.3
    codes = quantizer.encode(target, count, beam=4)
    assert codes.shape == (2, count, 60)
    coded = quantizer.decode(codes)[0]
    error = (coded - target).square().mean((0, 2))
    assert error[30:].mean() < 2 * error[:30].mean() + 1e-3
    # Each frame's codes are the best for the state that the decoder is in: no single code is better.
    state: State = {}
    for frame in range(60):
        before = dict(state)
        now = quantizer.decode(codes[..., frame : frame + 1], state)[0][:, 0]
        for code in range(0, SIZE, 7):
            other = codes[..., frame : frame + 1].clone()
            other[:, -1] = code
            worse = quantizer.decode(other, dict(before))[0][:, 0]
            gain = (now - target[:, frame]).square().sum(1) - (worse - target[:, frame]).square().sum(1)
            assert gain.max() < 1e-4


def test_encoding_in_pieces_and_at_fewer_codebooks_gives_the_same_codes() -> None:
    quantizer = DECODER.quantizer
    torch.manual_seed(4)
    target = torch.randn(1, 30, SMALL.envelope_dim)
    whole = quantizer.encode(target, 5, beam=4, commit_points=(4,))
    state: State = {}
    cut = [quantizer.encode(part, 5, beam=4, commit_points=(4,), state=state) for part in target.split([1, 7, 22], 1)]
    assert torch.equal(torch.cat(cut, 2), whole)
    for count in (2, 4):
        assert torch.equal(quantizer.encode(target, count, beam=4), whole[:, :count])


def test_a_prediction_that_never_forgets_is_refused() -> None:
    content = {name: value.clone() for name, value in DECODER.state_dict().items()}
    content["quantizer.prediction"] = torch.eye(SMALL.envelope_dim)
    with pytest.raises(WeightsError, match=r"spectral radius of 1\.000"):
        small_decoder().load_state_dict(content)
    content["quantizer.prediction"] = torch.full_like(content["quantizer.prediction"], float("nan"))
    with pytest.raises(WeightsError):
        small_decoder().load_state_dict(content)


@pytest.mark.parametrize("hertz", [70.0, 123.4, 222.2, 480.0])
def test_the_pitch_is_the_one_asked_for(hertz: float) -> None:
    codes, noise = steady(80, hertz)
    coded = float(decode_pitch(codes[0, 0])[0, 0])
    assert abs(1200 * np.log2(coded / hertz)) < 17
    hertz = coded
    sound = decode(codes, noise, [], flat_decoder())[20 * HOP :]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 18))
    frequency = np.arange(len(spectrum)) * RATE / (1 << 18)
    near = np.abs(frequency - hertz) < hertz / 3
    peak = frequency[near][spectrum[near].argmax()]
    assert abs(1200 * np.log2(peak / hertz)) < 3
    between = np.abs(frequency - 1.5 * hertz) < hertz / 6
    assert spectrum[near].max() > 5 * spectrum[between].max()


def test_unvoiced_frames_have_no_harmonics_and_the_noise_given() -> None:
    codes, noise = steady(40, 0.0)
    decoder = small_decoder(network=0.0)
    sound, opposite = decode(codes, noise, [], decoder), decode(codes, -noise, [], decoder)
    assert sound.std() > 1e-3
    np.testing.assert_allclose(sound, -opposite, atol=1e-6)


def test_loudness_is_that_of_the_envelope() -> None:
    """A flat envelope of power p makes noise, and pulses, of power p."""
    for hertz in (0.0, 200.0):
        sound = decode(*steady(60, hertz), [], flat_decoder())[20 * HOP :]
        assert abs(10 * np.log10(np.square(sound).mean()) - 10 * LOUD / np.log(10)) < 1


def test_silence_stays_silent() -> None:
    codes, noise = steady(60, 0.0)
    decoder = flat_decoder(bands=SILENT, network=0.02)
    assert np.abs(decode(codes, noise, [], decoder)).max() < 2e-3


@pytest.mark.parametrize("pitch", [0, -1])
def test_frames_that_are_not_of_voice_have_no_sound(pitch: int) -> None:
    codes, noise = random_codes(30)
    codes[:, 0] = pitch
    np.testing.assert_array_equal(decode(codes, noise, [], small_decoder(network=0.0)), 0.0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1.0, 30.0, 1e4]))
def test_random_codes_give_numbers(seed: int, size: float) -> None:
    decoder = small_decoder(network=0.5)
    with torch.no_grad():
        for name, value in decoder.named_parameters():
            if name.endswith("codebooks"):
                value.mul_(size)
    assert np.isfinite(decode(*random_codes(12, seed), [3, 1], decoder)).all()


def test_items_of_a_batch_do_not_know_each_other() -> None:
    a, b = random_codes(15, 1), random_codes(15, 2)
    with torch.inference_mode():
        both = DECODER(*(torch.cat([x, y]) for x, y in zip(a, b, strict=True)), {})
    for row, one in zip(both, (a, b), strict=True):
        np.testing.assert_allclose(row.numpy(), decode(*one, []), atol=1e-6 * float(row.abs().max()))


def test_configs_that_do_not_fit_are_refused() -> None:
    for wrong, words in (
        ({"core_codebooks": 9}, "core_codebooks"),
        ({"crossovers": ((900.0, 6, 3), (2000.0, 6, 4))}, "crossovers"),
        ({"steady_order": ((4, 3),)}, "steady_order"),
        ({"unsteady_order": ((1, 6), (4, 1))}, "of the core"),
        ({"low_bands": ()}, "low_bands"),
        ({"scale_tilt": 1.5}, "scale_tilt"),
    ):
        with pytest.raises(ValueError, match=words):
            dataclasses.replace(SMALL, **wrong)


def test_the_contour_goes_through_the_halves_and_on_as_they_do() -> None:
    halves = 100 * 2 ** torch.tensor([[[0.0, 0.4], [0.4, 0.4], [0.0, 0.0]]])
    halves[:, 2, 0] = 0
    octaves = torch.log2(PitchContour()(halves) / 100)
    expected = [[0.0, 0.1, 0.3, 0.5], [0.4, 0.4, 0.4, 0.4], [-np.inf, -np.inf, 0.0, 0.0]]
    np.testing.assert_allclose(octaves[0], expected, atol=1e-5)


def test_decoding_that_starts_before_a_voice_gives_its_samples() -> None:
    """Pulses begin with the voice, and the prediction forgets."""
    codes, noise = random_codes(120)
    codes[:, 0] = torch.where(torch.arange(120) % 40 < 10, 1, 400 + torch.arange(120) % 40)
    whole, late = decode(codes, noise, []), decode(codes[..., 20:], noise[:, 20:], [])
    # The voice at hand at frame 20 has other pulses; the next ones begin with frames 50 and 90.
    np.testing.assert_allclose(late[80 * HOP :], whole[100 * HOP :], atol=0.01 * whole.std())
    assert np.abs(late[: 20 * HOP] - whole[20 * HOP : 40 * HOP]).max() > 0.1 * whole.std()
