"""Small entropy tables with made-up logits, and the library of all tables that these tests use."""

import hashlib

import numpy as np

from nac.errors import WeightsError
from nac.format.entropy.contexts import Neighbour, contexts_of
from nac.format.entropy.tables import LOGIT_SUM_LIMIT, EntropyTables, TableLibrary
from nac.packaged import default_weights


def numbers(name, count, kind):
    """Numbers that look random and are the same everywhere."""
    return np.frombuffer(hashlib.shake_256(name.encode()).digest(count * np.dtype(kind).itemsize), kind)


def make_arrays(codebooks=12, bits=10, seed=0, largest=60):
    """The arrays of tables with logits up to `largest` in the bias and an eighth of that in the others."""
    size = 1 << bits
    symbols = [np.argsort(numbers(f"{seed} ranks {index}", size, "<u4"), kind="stable") for index in range(codebooks)]
    arrays = {"ranks": np.stack(symbols).astype(np.uint16)}
    sums = np.concatenate([np.arange(LOGIT_SUM_LIMIT), np.arange(-LOGIT_SUM_LIMIT, 0)])
    arrays["probability"] = np.clip(8192 + 64 * sums, 4, 16380).astype(np.uint16)
    for index in range(codebooks):
        arrays[f"{index}.bias"] = _logits(f"{seed} bias {index}", (size,), largest)
        for number, context in enumerate(contexts_of(index)):
            rows = 1 + (1 << min(bits, 3 + number)) if isinstance(context, Neighbour) else 32
            nodes = size if number == 0 else 16
            arrays[f"{index}.{number}"] = _logits(f"{seed} {number} {index}", (rows, nodes), largest // 8)
    return arrays


def _logits(name, shape, largest):
    wide = numbers(name, int(np.prod(shape)), "<u2").astype(np.int64) % (2 * largest + 1) - largest
    return wide.astype(np.int8).reshape(shape)


def make_tables(**how):
    return EntropyTables.from_arrays(make_arrays(**how))


def narrow_tables():
    """Tables of which none has a logit for every node."""
    arrays = make_arrays(codebooks=4, bits=6, seed=2)
    narrow = {name: array[:, :8] for name, array in arrays.items() if array.shape[1:] == (64,) and name != "ranks"}
    return EntropyTables.from_arrays({**arrays, **narrow})


def packaged_weights():
    try:
        return [default_weights()]
    except WeightsError:
        return []


TABLES = make_tables()
"""Enough for two sections, ..."""
MANY = make_tables(codebooks=30, bits=5, seed=3)
"""... and for four: at 100 frames a second each codebook of theirs has half a kbps as well."""
SMALL = make_tables(codebooks=5, bits=4, seed=1, largest=127)
OTHER = make_tables(seed=5)
FEW = make_tables(codebooks=4, seed=2)
NARROW = narrow_tables()
LIBRARY = TableLibrary(TABLES, MANY, SMALL, OTHER, FEW, NARROW, weights=packaged_weights())
