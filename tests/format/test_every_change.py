"""Every single bit flipped in some small files, and every cut of them: noticed, and what remains is right.

`NAC_EVERY=1 python -m pytest tests/format/test_every_change.py` tries all; by default a sample, one of 29.
"""

import functools
import io
import os
from pathlib import Path

import numpy as np
import pytest

from nac.errors import NacError
from nac.format.blocks import Block, BlockReader, Damage
from nac.format.check import check
from nac.format.header import read_header
from tests.format.tables import LIBRARY

pytestmark = pytest.mark.slow
GOLDEN = Path(__file__).parents[1] / "golden"
STEP = 1 if os.environ.get("NAC_EVERY") else 29
FILES = pytest.mark.parametrize(
    "name",
    [
        "nac-24k-mono",
        "nac-24k-stereo",
        "synthetic-stereo-unknown-length",
        "synthetic-entropy-mono",
        "synthetic-entropy-stereo-unknown-length",
        "synthetic-sections-mono",
        "synthetic-sections-stereo-unknown-length",
    ],
)


@functools.lru_cache(maxsize=2)  # the good file is read once
def read(data: bytes) -> tuple[list[Block | Damage], int | None] | None:
    """The items and the length of a file, None if it is refused."""
    stream = io.BytesIO(data)
    try:
        reader = BlockReader(stream, read_header(stream), tables=LIBRARY)
        return list(reader), reader.samples
    except NacError as error:
        assert len(str(error).splitlines()) == 1
        return None


def check_change(data: bytes, good: bytes, what: str) -> bool:
    """Whether a changed file is still read; what is read of it must be right, and the change must be told."""
    (original, samples), found = read(good) or ([], None), read(data)
    if found is None:
        with pytest.raises(NacError):
            check(io.BytesIO(data))
        return False
    items, length = found
    assert any(isinstance(item, Damage) for item in items), what
    assert length in (samples, None), what
    for item in items:
        if isinstance(item, Block):
            right = original[item.index]
            assert isinstance(right, Block) and item.side_lag == right.side_lag, what
            assert all(map(np.array_equal, item.codes, right.codes)), what
    assert not check(io.BytesIO(data)).intact, what
    return True


@FILES
def test_every_flipped_bit(name: str) -> None:
    good = (GOLDEN / f"{name}.nac").read_bytes()
    still_read = 0
    for bit in range(0, 8 * len(good), STEP):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        still_read += check_change(bytes(bad), good, f"bit {bit}")
    assert still_read > 4 * len(good) // STEP  # damage to the blocks leaves a file that can be read


@FILES
def test_every_cut(name: str) -> None:
    good = (GOLDEN / f"{name}.nac").read_bytes()
    still_read = sum(check_change(good[:end], good, f"cut at {end}") for end in range(0, len(good), STEP))
    assert still_read > len(good) // 2 // STEP
