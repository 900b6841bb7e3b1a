"""Sections of entropy coded payloads: cut at lower rates without coding anew, read as far as needed, no further."""

import io
from dataclasses import replace

import numpy as np
import pytest

from nac.errors import DamagedError, FormatError
from nac.format.blocks import BlockWriter
from nac.format.codebooks import first_codebooks
from nac.format.edit import reduce
from nac.format.entropy.sections import Sections
from nac.format.frames import FrameWriter, runs_of
from nac.format.header import Metadata, pack_header, read_header
from nac.format.layout import split_codebooks
from nac.format.scan import Scanner
from tests.format.entropy_tools import CODED, CODINGS, WHOLE, coded, cut, entropy_payload, file_of, likely_codes
from tests.format.format_files import make, read
from tests.format.tables import LIBRARY, MANY, TABLES


@pytest.mark.parametrize("length, total", [(75, 151), (76, 100), (40, 39), (0, 76), (0, -1)])
def test_lengths_that_do_not_fit_are_noticed_where_only_bytes_are_copied(length, total):
    """Sections have 75 bytes at most; `total` is what both have."""
    meta = replace(CODED, samples=None)
    writer = BlockWriter(meta, LIBRARY)
    payload = (length.to_bytes(2, "big") + b"\1" * 151)[: total + 2]
    data = pack_header(meta) + writer.packed(payload, 10) + writer.end(4320)
    with pytest.raises(DamagedError, match="edited"):
        reduce(io.BytesIO(data), io.BytesIO(), 3, tables=LIBRARY)


def test_sections_behind_those_that_are_read_are_not_looked_at():
    payload = entropy_payload(CODED).encode(likely_codes(TABLES, 12, 10).T[None], [0])[0]
    start = 2 + int.from_bytes(payload[:2], "big")
    wrong = payload[:start] + b"\xff" * (len(payload) - start)
    coder = entropy_payload(CODED)
    for count in range(1, 7):
        assert np.array_equal(coder.decode([wrong], 10, [0], count), coder.decode([payload], 10, [0], count))
    for count in range(7, 13):
        with pytest.raises(DamagedError):
            coder.decode([wrong], 10, [0], count)
    # But a section that is read to its end is held against its length.
    longer = (start - 1).to_bytes(2, "big") + payload[2:start] + b"\7" + payload[start:]
    assert coder.decode([longer], 10, [0], 5).shape == (1, 10, 5)
    with pytest.raises(DamagedError, match="longer than its codes"):
        coder.decode([longer], 10, [0], 6)


@pytest.mark.slow
@pytest.mark.parametrize("channels, lags", [(1, [0]), (2, [0, 7, 2, 30, 13])])
def test_reducing_to_every_rate(channels, lags):
    """From four sections, some of which are packed, to every rate below; of known length and not."""
    rng = np.random.default_rng(1)

    def draw(codebooks, frames, block):
        codes = likely_codes(MANY, max(codebooks, 1), frames, f"{block}")[:codebooks]
        noisy = rng.random(codebooks) < (block % 3) / 2
        return np.where(noisy[:, None], rng.integers(0, 32, codes.shape), codes).astype(np.uint16)

    for samples in (48_000, None):
        meta = Metadata(24000, channels, samples, 15, 30, 7, "m", frame_rate=100, bits=5, block_frames=13)
        made = make(coded(meta, MANY), samples=48_000, lags=lags, draw=draw)
        sizes = {len(part) - size for block in read(made.data)[1] for part, size in section_sizes(made.meta, block)}
        assert min(sizes) < 0 and 0 in sizes
        for books in range(1, 31):  # more than there are whole kbps
            reduced = replace(made.meta, codebooks=books)
            source, out = io.BytesIO(made.data), io.BytesIO()
            writer = FrameWriter(out, reduced, LIBRARY)
            for run in runs_of(Scanner(source, read_header(source))):
                writer.copy(run)
            writer.finish(48_000)
            packed = cut_codes(made, books)
            expected = make(reduced, samples=48_000, lags=lags, draw=lambda c, f, b, p=packed: p[b].pop(0))
            assert out.getvalue() == expected.data


def cut_codes(made, books):
    """By block and channel the first codes, as reducing leaves them."""
    splits = [split_codebooks(books, made.meta.channels, block.side_lag) for block in made.blocks]
    return [
        [codes[:count] for codes, count in zip(block.codes, split, strict=True)]
        for block, split in zip(made.blocks, splits, strict=True)
    ]


def section_sizes(meta, block):
    """(bytes, size if packed) of each section of a block."""
    table = np.concatenate(block.codes).T[None]
    sections = Sections(meta.coding, meta.codebooks, meta.channels, meta.bits)
    payload = entropy_payload(meta).encode(table, [block.side_lag])[0]
    parts = sections.split(payload, block.frames, len(sections.ends))
    return zip(parts, sections.packed_sizes(block.frames), strict=True)


@pytest.mark.parametrize("channels, lag", [(1, 0), (2, 4)])
def test_reducing_to_the_end_of_a_section_needs_no_tables(channels, lag):
    meta = replace(CODED, samples=24000 * 2, channels=channels, block_frames=50)
    codes = likely_codes(TABLES, 12, meta.frames).T
    data = file_of(meta, codes, lag)
    expected = cut(data, 3)
    low = replace(meta, kbps=3, codebooks=6)
    assert expected == file_of(low, first_codebooks(codes[None], [lag], channels, 6)[0], lag)

    assert cut(data, 3, tables=None) == expected and cut(data, 6, tables=None) == data
    for kbps, entropy in ((2, None), (3, False)):
        with pytest.raises(FormatError, match="none are here"):
            cut(data, kbps, entropy, tables=None)


@pytest.mark.parametrize("channels, lag", [(1, 0), (2, 4)])
def test_the_coding_stays_unless_told_otherwise(channels, lag):
    meta = replace(WHOLE, samples=24000 * 2, channels=channels)
    codes = likely_codes(TABLES, 12, meta.frames).T
    whole, sections = (file_of(replace(meta, coding=coding), codes, lag) for coding in CODINGS)
    assert cut(whole, 6) == whole and cut(sections, 6) == sections
    assert cut(whole, 6, entropy=True) == sections == cut(sections, 6, entropy=True)
    assert cut(whole, 5, entropy=True) == cut(sections, 5)
    assert [read(cut(data, 5))[0].coding for data in (whole, sections)] == [*CODINGS]
    assert cut(whole, 6, entropy=False) == cut(sections, 6, entropy=False)
