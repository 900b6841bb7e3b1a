"""The files in tests/golden must give the same codes for ever: a promise of the format, whatever becomes of the code.

Beside each `.nac` file lies a `.json` with its metadata and the SHA-256 of its codes as big-endian 16-bit numbers in
the order [channel][codebook][frame]. In stereo, where a channel's codebooks change from block to block, those of a
block follow each other in that order, block after block.

The entropy coded ones named `synthetic` are coded with the tables in entropy_tools, which must not change either.

To add one, put a file there and write its description with `python -m tests.format.test_golden_bytes FILE.nac`.
`python -m tests.golden_files` makes those of the packaged weights, named `nac-24k`.
"""

import hashlib
import io
import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from nac.format.blocks import Block, BlockReader, BlockWriter
from nac.format.check import check
from nac.format.header import Metadata, pack_header, read_header
from nac.format.layout import CODINGS
from tests.format.tables import LIBRARY, MANY, TABLES

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("*.nac"))


def describe(path):
    """What a file holds, in the words of its `.json`."""
    with path.open("rb") as stream:
        meta = read_header(stream)
        reader = BlockReader(stream, meta, tables=LIBRARY)
        blocks = list(reader)
    assert all(isinstance(block, Block) for block in blocks)
    digest = hashlib.sha256()
    if meta.channels == 1:
        codes = [block.codes[0] for block in blocks] or [np.zeros((meta.codebooks, 0))]
        digest.update(np.concatenate(codes, axis=1).astype(">u2").tobytes())
    else:
        for block in blocks:
            for channel in block.codes:
                digest.update(channel.astype(">u2").tobytes())
    plain = {field.name: getattr(meta, field.name) for field in fields(Metadata)}
    plain["tags"] = [list(tag) for tag in meta.tags]
    plain["extra"] = [[kind, value.hex()] for kind, value in meta.extra]
    lags = [block.side_lag for block in blocks] if meta.channels == 2 else None
    return {
        "metadata": plain,
        "samples": reader.samples,
        "frames": sum(block.frames for block in blocks),
        "side_lags": lags,
        "codes_sha256": digest.hexdigest(),
    }


def test_there_are_golden_files():
    headers = [read_header(io.BytesIO(path.read_bytes())) for path in FILES]
    kinds = {(meta.coding, meta.channels) for meta in headers}
    assert kinds == {(coding, channels) for coding in CODINGS for channels in (1, 2)}
    assert {TABLES.fingerprint, MANY.fingerprint} <= {meta.tables for meta in headers}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_is_sound_and_holds_what_it_always_held(path):
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    found = describe(path)
    # Descriptions may say more (about the audio), and metadata may gain fields, which older descriptions lack.
    for name, value in expected["metadata"].items():
        assert found["metadata"][name] == value, name
    for name in ("samples", "frames", "side_lags", "codes_sha256"):
        assert found[name] == expected[name], name
    report = check(path)
    assert report.intact
    assert (report.frames, report.samples) == (expected["frames"], expected["samples"])
    assert report.total_bytes == path.stat().st_size


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file_is_written_again_byte_for_byte(path):
    with path.open("rb") as stream:
        meta = read_header(stream)
        reader = BlockReader(stream, meta, tables=LIBRARY)
        writer = BlockWriter(meta, LIBRARY)
        pieces = [pack_header(meta)] + [writer.block(block.codes, block.side_lag) for block in reader]
    assert b"".join([*pieces, writer.end(reader.samples)]) == path.read_bytes()


def write_description(path):
    """Write the `.json` of a file."""
    text = json.dumps(describe(path), indent=1, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_description(Path(name))
