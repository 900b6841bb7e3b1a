"""Another coding of the payload, with blocks of differing sizes, needs only a coder: shown by one that is no use."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest

from nac.errors import DamagedError, FormatError
from nac.format import layout, payload
from nac.format.blocks import Block, BlockReader
from nac.format.check import check
from nac.format.codebooks import first_codebooks
from nac.format.edit import reduce, trim
from nac.format.header import read_header
from nac.format.scan import Damage
from tests.format.format_files import META, Pipe, make, problems, read

META1 = replace(META, coding=1, samples=24000 * 4)


class Squeezed:
    """Codes compressed by zlib."""

    def __init__(self, meta, tables=None):
        self.meta = meta

    def encode(self, codes, lags):
        return [zlib.compress(block.astype(">u2").tobytes()) for block in codes]

    def decode(self, payloads, frames, lags, codebooks=None):
        try:
            data = b"".join(zlib.decompress(one) for one in payloads)
        except zlib.error:
            raise DamagedError("the payload is not compressed data") from None
        codes = np.frombuffer(data, ">u2").astype(np.uint16).reshape(-1, frames, self.meta.codebooks)
        return first_codebooks(codes, lags, self.meta.channels, codebooks or self.meta.codebooks)


@pytest.fixture(autouse=True)
def coding(monkeypatch):
    monkeypatch.setattr(layout, "CODINGS", {0, 1})
    monkeypatch.setitem(payload.CODERS, 1, Squeezed)


def starts(made):
    """Where the blocks begin, and where the last one ends."""
    sizes = [len(Squeezed(made.meta).encode(block_table(block)[None], [0])[0]) + 7 for block in made.blocks]
    if made.meta.channels == 2:
        sizes = [size + 1 for size in sizes]
    return [len(made.header) + sum(sizes[:index]) for index in range(len(sizes) + 1)]


def block_table(block):
    return np.concatenate(block.codes).T


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("known", [True, False])
def test_files_are_read_and_sought(known, channels):
    meta = replace(META1, channels=channels, samples=META1.samples if known else None)
    made = make(meta, samples=META1.samples, lags=(0, 255, 3))
    assert len(set(np.diff(starts(made)))) > 1
    for frame in (0, 55, 123, made.frames):
        for stream in (io.BytesIO(made.data), Pipe(made.data, 99)):
            reader = BlockReader(stream, read_header(stream))
            first = reader.seek(frame)
            items = list(reader)
            assert problems(made, [*made.blocks[: -(-first // 10)], *items]) == ""
            assert not any(isinstance(item, Damage) for item in items)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("known", [True, False])
def test_only_what_was_hit_is_lost(known, channels):
    meta = replace(META1, channels=channels, samples=META1.samples if known else None)
    made = make(meta, samples=META1.samples, lags=(0, 255, 3))
    at = starts(made)
    assert at[-1] + (0 if known else 10) == len(made.data)
    flipped = bytearray(made.data)
    flipped[at[3] + 20] ^= 4
    length_byte = bytearray(made.data)
    length_byte[at[3] + channels] ^= 0x40  # the stated length of the payload
    for data in (
        bytes(flipped),
        bytes(length_byte),
        made.data[: at[3]] + made.data[at[4] :],
        made.data[: at[3] + 9] + b"inserted" + made.data[at[3] + 9 :],
        made.data[: at[3] + 9] + made.data[at[3] + 11 :],
    ):
        _, items, samples = read(data)
        assert problems(made, items) == ""
        lost = {block.index for block in made.blocks} - {item.index for item in items if isinstance(item, Block)}
        assert lost == {3}
        assert samples == META1.samples
        assert not check(io.BytesIO(data)).intact


def test_files_are_edited():
    made = make(META1)
    target = io.BytesIO()
    reduce(io.BytesIO(made.data), target, 2)
    _, items, _ = read(target.getvalue())
    whole = np.concatenate([block.codes[0] for block in made.blocks], axis=1)
    assert np.array_equal(np.concatenate([item.codes[0] for item in items], axis=1), whole[:4])
    target = io.BytesIO()
    trim(io.BytesIO(made.data), target, 1.5, 2.5)
    _, items, _ = read(target.getvalue())
    assert np.array_equal(np.concatenate([item.codes[0] for item in items], axis=1), whole[:, 75:126])


def test_without_the_coder_the_file_is_newer(monkeypatch):
    data = make(META1).data
    monkeypatch.setattr(layout, "CODINGS", {0})
    with pytest.raises(FormatError, match="update nac"):
        read(data)
