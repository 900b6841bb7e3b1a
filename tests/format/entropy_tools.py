"""Entropy coded files with made-up tables, for the tests of the entropy coding."""

import io
from dataclasses import replace

import numpy as np

from nac.format.blocks import BlockWriter
from nac.format.edit import reduce
from nac.format.entropy.payload import EntropyPayload
from nac.format.entropy.tables import tables_field
from nac.format.header import frame_count, pack_header
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, split_codebooks
from tests.format.format_files import META
from tests.format.tables import LIBRARY, TABLES, numbers


def coded(meta, tables, coding=ENTROPY):
    """The metadata with the codes entropy coded."""
    return replace(meta, coding=coding, extra=(tables_field(tables),))


CODED = coded(META, TABLES)
WHOLE = coded(META, TABLES, ENTROPY_WHOLE)
CODINGS = (ENTROPY_WHOLE, ENTROPY)


def entropy_payload(meta, **options):
    """The coder for the payloads of a file."""
    return EntropyPayload(meta, LIBRARY.for_file(meta), **options)


def likely_codes(tables, codebooks, frames, seed=0):
    """Codes `[codebooks, frames]` that the biases of the tables make likely."""
    found = []
    for index in range(codebooks):
        bias = tables.codebooks[index].bias
        node = np.ones(frames, np.int64)
        for level in range(tables.bits):
            doubt = numbers(f"{seed} doubt {index} {level}", frames, "u1").astype(np.int64) % 41 - 20
            node = 2 * node + (bias[node] + doubt > 0)
        code_at = np.argsort(tables.symbols[index])
        found.append(code_at[node - (1 << tables.bits)])
    return np.stack(found).astype(np.uint16)


def file_of(meta, codes, lag=0):
    """A file with codes `[frames, codebooks]`."""
    out, writer = [pack_header(meta)], BlockWriter(meta, LIBRARY)
    mid = split_codebooks(codes.shape[1], meta.channels, lag)[0]
    for first in range(0, len(codes), meta.block_frames):
        block = codes[first : first + meta.block_frames].T
        out.append(writer.block([block] if meta.channels == 1 else [block[:mid], block[mid:]], lag))
    return b"".join([*out, writer.end(meta.samples)])


def likely_file(codebooks=12, seconds=1, seed=0, base=CODED, **changes):
    meta = replace(base, codebooks=codebooks, kbps=codebooks // 2, samples=24000 * seconds, **changes)
    frames = frame_count(meta.samples, meta.sample_rate)
    return meta, file_of(meta, likely_codes(TABLES, codebooks, frames, seed).T)


def cut(data, kbps, entropy=None, tables=LIBRARY):
    target = io.BytesIO()
    reduce(io.BytesIO(data), target, kbps, entropy, tables)
    return target.getvalue()
