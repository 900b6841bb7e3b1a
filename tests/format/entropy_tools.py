"""Small entropy tables with made-up scores, for the tests of the entropy coding."""

import hashlib
import io
from dataclasses import replace

import numpy as np
from format_files import META

from nac.format.blocks import BlockWriter
from nac.format.edit import reduce
from nac.format.entropy_contexts import Neighbour, contexts_of
from nac.format.entropy_tables import SCORES, EntropyTables, register_tables, tables_field
from nac.format.header import frame_count, pack_header
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, split_codebooks


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


def coded(meta, tables, coding=ENTROPY):
    """The metadata with the codes entropy coded."""
    return replace(meta, coding=coding, extra=(tables_field(tables),))


TABLES = make_tables()
"""Enough for two sections, ..."""
MANY = make_tables(codebooks=30, bits=5, seed=3)
"""... and for four: at 100 frames a second each codebook of theirs has half a kbps as well."""
CODED = coded(META, TABLES)
WHOLE = coded(META, TABLES, ENTROPY_WHOLE)
CODINGS = (ENTROPY_WHOLE, ENTROPY)


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


def file_of(meta, codes, lag=0):
    """A file with codes `[frames, codebooks]`."""
    out, writer = [pack_header(meta)], BlockWriter(meta)
    mid = split_codebooks(codes.shape[1], meta.channels, lag)[0]
    for first in range(0, len(codes), meta.block_frames):
        block = codes[first : first + meta.block_frames].T
        out.append(writer.block([block] if meta.channels == 1 else [block[:mid], block[mid:]], lag))
    return b"".join([*out, writer.end(meta.samples)])


def likely_file(codebooks=12, seconds=1, seed=0, base=CODED, **changes):
    meta = replace(base, codebooks=codebooks, kbps=codebooks // 2, samples=24000 * seconds, **changes)
    frames = frame_count(meta.samples, meta.sample_rate)
    return meta, file_of(meta, likely_codes(TABLES, codebooks, frames, seed).T)


def cut(data, kbps, entropy=None):
    target = io.BytesIO()
    reduce(io.BytesIO(data), target, kbps, entropy)
    return target.getvalue()
