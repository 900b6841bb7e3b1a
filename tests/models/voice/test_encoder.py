"""Codes of a model with voices: which frames are voice; neither the cut nor the number of codebooks matters."""

import numpy as np
import pytest
import torch

from nac.models.model import NacModel
from nac.models.streaming import FrameDecoder, FrameEncoder
from nac.models.voice.pitch_code import decode_pitch
from nac.synthetic import speech_like
from tests.conftest import small_model
from tests.models.voice.signals import glide
from tests.models.voice.small import SMALL, small_decoder

HOP, SIZE, CODEBOOKS = 480, 64, 12


def model_that_says(log_odds: float) -> NacModel:
    """A model whose classifier says the same of every frame."""
    model = small_model(voice=SMALL, codebook_size=SIZE)
    assert model.voice is not None and model.mode is not None
    model.voice.load_state_dict(small_decoder().state_dict())
    torch.nn.init.zeros_(model.mode.out.weight)
    torch.nn.init.constant_(model.mode.out.bias, log_odds)
    return model.eval()


VOICE, OTHER = model_that_says(9.0), model_that_says(-9.0)


def split(total: int, channels: int, lag: int) -> list[int]:
    return [total] if channels == 1 else [total - total // 3, total // 3]


def encode(model: NacModel, x: np.ndarray, n_codebooks: int, cut: int, beam: int = 3) -> list[np.ndarray]:
    encoder = FrameEncoder(model, len(x), n_codebooks, split, beam, chunk_frames=5)
    parts = [part for first in range(0, x.shape[1], cut) for part in encoder.push(x[:, first : first + cut])]
    parts += encoder.flush()
    return [np.concatenate([part.codes[channel] for part in parts], 1) for channel in range(len(x))]


def sound(channels: int = 1) -> np.ndarray:
    x = speech_like(24_000)
    return np.stack([x, 0.5 * np.roll(x, 700)][:channels]).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_any_cut_gives_the_same_codes(channels: int) -> None:
    x = sound(channels)
    whole = encode(VOICE, x, CODEBOOKS, x.shape[1])
    assert all((codes[0] > 0).all() for codes in whole)
    for cut in (333, 480, 7001):
        for found, expected in zip(encode(VOICE, x, CODEBOOKS, cut), whole, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("model", [VOICE, OTHER], ids=["voice", "other"])
def test_codes_cut_down_to_a_commit_point_are_those_of_coding_with_so_many(model: NacModel) -> None:
    x = sound()
    np.testing.assert_array_equal(encode(model, x, CODEBOOKS, 9999)[0][:6], encode(model, x, 6, 9999)[0])


def test_other_sound_is_coded_as_by_the_general_model_with_a_codebook_less() -> None:
    x = sound()
    codes = encode(OTHER, x, CODEBOOKS, 9999)[0]
    first = 6  # a stream begins as voice, until some frames have said otherwise
    assert not codes[0, first:].any()
    with torch.inference_mode():
        padded = np.pad(x, ((0, 0), (0, codes.shape[1] * HOP - x.shape[1])))
        latent = OTHER.analyse(torch.from_numpy(padded))[0]
        expected = OTHER.quantizer.encode(latent, CODEBOOKS - 1, 3, [5]).T.numpy()
    # Rounding differs with the number of frames at hand, which may decide a tie.
    assert (codes[1:] == expected)[:, first:].mean() > 0.98


def test_a_glide_keeps_its_pitch() -> None:
    x, f0 = glide(150.0, 220.0, 1.0)
    codes = encode(VOICE, x[None], CODEBOOKS, 9999)[0][0]
    halves = decode_pitch(torch.from_numpy(codes.astype(np.int64)))[5:45].numpy()  # frame f describes hop f - 1
    expected = f0[(np.arange(4, 44)[:, None] * HOP + np.array([120, 360]))]
    assert (halves > 0).all()
    assert np.abs(1200 * np.log2(halves / expected)).max() < 50


def test_what_is_decoded_is_as_long_as_the_sound() -> None:
    x = sound()
    codes = encode(VOICE, x, CODEBOOKS, 9999)[0]
    decoder = FrameDecoder(VOICE, 1)
    out = np.concatenate([decoder.push([codes]), decoder.flush()], 1)
    assert out.shape[1] == (codes.shape[1] - 1) * HOP >= x.shape[1]
    assert np.isfinite(out).all()
