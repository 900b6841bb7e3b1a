"""Tables learned from codes: what was learned saves bytes, and codes never seen can still be coded."""

import numpy as np
import pytest

from nac.format.entropy.payload import EntropyPayload
from nac.format.entropy.tables import LOGIT_SUM_LIMIT, EntropyTables, tables_field
from nac.format.header import Metadata
from nac.training.tables import fit_tables, probabilities, tree_symbols

STAGES, SIZE, BLOCKS, FRAMES = 5, 64, 60, 50


def sticky_codes(seed):
    """Codes `[stages, blocks, frames]` of which the lower half alone is used: a walk, and steps that follow it."""
    rng = np.random.default_rng(seed)
    walk = np.abs(rng.integers(-2, 3, (BLOCKS, FRAMES)).cumsum(1)) % (SIZE // 2)
    others = [(walk * (stage + 1) + rng.integers(0, 8, walk.shape)) % (SIZE // 2) for stage in range(1, STAGES)]
    return np.stack([walk, *others]).astype(np.uint16)


@pytest.fixture(scope="module")
def tables():
    books = np.random.default_rng(0).normal(size=(STAGES, SIZE, 3))
    codes = sticky_codes(1)
    arrays = fit_tables(books, [codes[:3], codes[:, :20]])
    again = fit_tables(books, [codes[:3], codes[:, :20]])
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
