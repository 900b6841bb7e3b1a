"""Small entropy tables with made-up scores, for the tests of the entropy coding."""

import hashlib
from dataclasses import replace

import numpy as np
from format_files import META

from nac.format.entropy_contexts import Neighbour, contexts_of
from nac.format.entropy_tables import SCORES, EntropyTables, register_tables, tables_field


def numbers(name, count, kind):
    """Numbers that look random and are the same everywhere."""
    return np.frombuffer(hashlib.shake_256(name.encode()).digest(count * np.dtype(kind).itemsize), kind)


def make_arrays(codebooks=12, bits=10, seed=0, largest=60):
    """The arrays of tables with scores up to `largest` in the bias and an eighth of that in the others."""
    size = 1 << bits
    ranks = [np.argsort(numbers(f"{seed} ranks {index}", size, "<u4"), kind="stable") for index in range(codebooks)]
    arrays = {"ranks": np.stack(ranks).astype(np.uint16)}
    sums = np.concatenate([np.arange(SCORES), np.arange(-SCORES, 0)])
    arrays["probability"] = np.clip(8192 + 64 * sums, 4, 16380).astype(np.uint16)
    for index in range(codebooks):
        arrays[f"{index}.bias"] = _scores(f"{seed} bias {index}", (size,), largest)
        for number, context in enumerate(contexts_of(index)):
            rows = 1 + (1 << min(bits, 3 + number)) if isinstance(context, Neighbour) else 32
            nodes = size if number == 0 else 16
            arrays[f"{index}.{number}"] = _scores(f"{seed} {number} {index}", (rows, nodes), largest // 8)
    return arrays


def _scores(name, shape, largest):
    wide = numbers(name, int(np.prod(shape)), "<u2").astype(np.int64) % (2 * largest + 1) - largest
    return wide.astype(np.int8).reshape(shape)


def make_tables(**how):
    """Tables that readers and writers know from then on."""
    return register_tables(EntropyTables.from_arrays(make_arrays(**how)))


def coded(meta, tables):
    """The metadata with the codes entropy coded."""
    return replace(meta, coding=1, extra=(tables_field(tables),))


TABLES = make_tables()
CODED = coded(META, TABLES)


def likely_codes(tables, codebooks, frames, seed=0):
    """Codes `[codebooks, frames]` that the biases of the tables make likely."""
    found = []
    for index in range(codebooks):
        bias = tables.codebooks[index].bias
        node = np.ones(frames, np.int64)
        for level in range(tables.bits):
            doubt = numbers(f"{seed} doubt {index} {level}", frames, "u1").astype(np.int64) % 41 - 20
            node = 2 * node + (bias[node] + doubt > 0)
        code_at = np.argsort(tables.ranks[index])
        found.append(code_at[node - (1 << tables.bits)])
    return np.stack(found).astype(np.uint16)
