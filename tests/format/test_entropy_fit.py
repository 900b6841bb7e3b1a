"""Tables learned from codes: what was learned saves bytes, and codes never seen can still be coded."""

import numpy as np
import pytest

from nac.format.entropy.payload import EntropyPayload
from nac.format.entropy.tables import LOGIT_SUM_LIMIT, EntropyTables, tables_field
from nac.format.header import Metadata
from nac.models.streaming import FrameDecoder, FrameEncoder
from nac.models.voice.pitch_code import END, UNVOICED
from nac.synthetic import formant_voice
from nac.training.tables import (
    code_symbols,
    crop_samples,
    fit_tables,
    gather_codes,
    pitch_symbols,
    probabilities,
    sort_codebooks,
    tree_symbols,
)
from tests.models.voice.whole import small_voice_model

STAGES, SIZE, BLOCKS, FRAMES = 5, 64, 60, 50


def sticky_codes(seed):
    """Codes `[stages, blocks, frames]` of which the lower half alone is used: a walk, and steps that follow it."""
    rng = np.random.default_rng(seed)
    walk = np.abs(rng.integers(-2, 3, (BLOCKS, FRAMES)).cumsum(1)) % (SIZE // 2)
    others = [(walk * (stage + 1) + rng.integers(0, 8, walk.shape)) % (SIZE // 2) for stage in range(1, STAGES)]
    return np.stack([walk, *others]).astype(np.uint16)


@pytest.fixture(scope="module")
def tables():
    book = np.random.default_rng(0).normal(size=(SIZE, 3))
    symbols = np.stack([tree_symbols(book, stage > 0, np.ones(SIZE)) for stage in range(STAGES)])
    codes = sticky_codes(1)
    arrays = fit_tables(symbols, [codes[:3], codes[:, :20]])
    again = fit_tables(symbols, [codes[:3], codes[:, :20]])
    assert all(np.array_equal(array, again[name]) for name, array in arrays.items())
    return EntropyTables.from_arrays(arrays)


def payloads(tables, codes):
    meta = Metadata(24000, 1, None, 1, STAGES, 7, "m", bits=6, coding=1, extra=(tables_field(tables),))
    coder = EntropyPayload(meta, tables)
    blocks = codes.transpose(1, 2, 0)
    coded = coder.encode(blocks, [0] * len(blocks))
    assert np.array_equal(coder.decode(coded, FRAMES, [0] * len(blocks)), blocks)
    return coded


def test_codes_like_those_learned_from_take_few_bytes(tables):
    packed = STAGES * FRAMES * 6 / 8
    assert np.mean([len(one) for one in payloads(tables, sticky_codes(2))]) < 0.75 * packed


def test_codes_never_seen_can_be_coded(tables):
    unseen = np.full((STAGES, 1, FRAMES), SIZE - 1, np.uint16)
    payloads(tables, unseen)


def test_probabilities_grow_with_the_sum_and_are_never_certain():
    table = probabilities()
    ordered = np.roll(table, LOGIT_SUM_LIMIT).astype(int)
    assert (np.diff(ordered) >= 0).all() and ordered[0] >= 1 and ordered[-1] < 1 << 14
    assert table[0] == 1 << 13


def test_small_codes_come_first():
    book = np.random.default_rng(0).normal(size=(64, 5))
    symbols = tree_symbols(book, True, np.ones(64))
    norm = np.square(book).sum(1)
    assert norm[symbols < 32].max() < norm[symbols >= 32].min()
    assert np.array_equal(np.sort(symbols), np.arange(64))


@pytest.mark.parametrize("voice", [0.999, 0.001])
def test_sorted_codebooks_are_the_same_codec(voice):
    model = small_voice_model(voice=voice)
    samples, found = formant_voice(0.5, 24_000)[None], []
    for _ in range(2):
        coder = FrameEncoder(model, 1, 8, lambda total, channels, lag: [total])
        codes = [part.codes[0] for part in (*coder.push(samples), *coder.flush())]
        decoder = FrameDecoder(model, 1)
        found.append(
            (np.concatenate(codes, 1), np.concatenate([*(decoder.push([c]) for c in codes), decoder.flush()], 1))
        )
        sort_codebooks(model)
    (before, sound), (after, again) = found
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[1:], after[1:])
    assert (before[0] > 0).all() == (voice > 0.5) and sound.std() > 1e-3
    np.testing.assert_allclose(again, sound, atol=1e-5)


def test_in_sorted_codebooks_a_code_is_its_symbol():
    model = small_voice_model()
    sort_codebooks(model)
    for books in (model.quantizer.codebooks[1:], model.voice.low_band.bands[0].codebooks[1:]):
        for book in books:
            used = book[:, book.any(0)]
            assert np.array_equal(tree_symbols(used.numpy(), True, np.ones(len(book))), np.arange(len(book)))


def test_contexts_tell_general_unvoiced_and_voiced_frames_apart():
    symbols = pitch_symbols(1024)
    assert np.array_equal(np.sort(symbols), np.arange(1024))
    general, unvoiced, voiced = symbols[0], symbols[UNVOICED], symbols[UNVOICED + 1 : END]
    assert (np.diff(voiced) == 1).all()
    rows = [set(np.atleast_1d(kind) >> 3) for kind in (general, unvoiced, voiced)]  # of a table of 128 rows
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])


def test_tables_of_a_model_with_voices_are_learned_from_the_codes_of_its_files():
    model = small_voice_model(1024, codebooks=13)
    sound = formant_voice(crop_samples(model) / 24_000, 24_000)[None]

    class Crops:
        def batch(self, count):
            return sound

    codes = gather_codes(model, Crops(), 1e-9, 1)
    coder = FrameEncoder(model, 1, 13, lambda total, channels, lag: [total])
    expected = np.concatenate([part.codes[0] for part in coder.push(sound)], 1)
    assert np.array_equal(codes[1][:, :8].reshape(13, -1), expected)
    assert codes[0].shape == (12, 4 * 8, 50) and np.array_equal(codes[0][:, :8], codes[1][:12, :8])
    symbols = code_symbols(model, codes)
    assert symbols.shape == (13, 1024) and np.array_equal(symbols[5], np.arange(1024))
