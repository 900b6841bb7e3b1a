"""FORMAT.md says what the package does: its examples decode as it says, and a writer made from it is understood."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.format.blocks import BlockWriter
from nac.format.header import MAX_FIELDS, MAX_METADATA, MIN_METADATA, pack_header, read_header
from nac.format.layout import Layout
from tests.format import second_writer
from tests.format.format_files import read

DOCUMENT = Path(__file__).parents[2] / "FORMAT.md"


def fenced(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def examples():
    dumps = [bytes.fromhex("".join(line.split("   ")[0] for line in dump.splitlines())) for dump in fenced("hex")]
    return list(zip(dumps, [json.loads(text) for text in fenced("json")], strict=True))


def test_there_are_two_examples():
    assert len(examples()) == 2


@pytest.mark.parametrize(("data", "contents"), examples())
def test_an_example_decodes_as_it_says(data, contents):
    meta, blocks, samples = read(data)
    assert samples == contents["samples"]
    assert [list(tag) for tag in meta.tags] == contents["tags"]
    for name, value in contents.items():
        if name not in ("samples", "tags", "blocks"):
            assert getattr(meta, name) == value, name
    assert [
        {"side_lag": block.side_lag, "codes": [channel.tolist() for channel in block.codes]} for block in blocks
    ] == contents["blocks"]
    writer = BlockWriter(meta)
    again = pack_header(meta)
    for block in blocks:
        again += writer.block(block.codes, block.side_lag)
    assert again + writer.end(samples) == data


@pytest.mark.parametrize(("data", "contents"), examples())
def test_an_example_is_what_the_second_writer_makes(data, contents):
    blocks = contents.pop("blocks")
    samples = contents["samples"]
    unknown = b"\xff" * 5 in data
    contents["samples"] = None if unknown else samples
    fields = [(1, f"{key}={value}".encode()) for key, value in contents.pop("tags")]
    made = second_writer.header(**contents, fields=fields)
    for number, block in enumerate(blocks):
        lag = block["side_lag"] if contents["channels"] == 2 else None
        made += second_writer.block(number, block["codes"], contents["bits"], lag)
    if unknown:
        made += second_writer.end(len(blocks), samples)
    assert made == data


def test_the_comments_of_the_examples_count_right():
    for dump, (data, _) in zip(fenced("hex"), examples(), strict=True):
        counted = [int(number) for number in re.findall(r"CRC-32 of the (\d+) bytes so far", dump)]
        assert counted == [len(pack_header(read_header(io.BytesIO(data)))) - 4]


@st.composite
def files(draw):
    """Arguments for the second writer's header, then blocks (codes, lag), the samples and whether they are told."""
    channels = draw(st.integers(1, 2))
    codebooks, bits = draw(st.integers(1, 12)), draw(st.integers(1, 16))
    sample_rate, block_frames = draw(st.sampled_from([8000, 22050, 24000, 44100])), draw(st.integers(1, 9))
    samples = draw(st.integers(0, sample_rate // 3))
    head = {
        "sample_rate": sample_rate,
        "channels": channels,
        "samples": draw(st.sampled_from([samples, None])),
        "kbps": draw(st.integers(1, 255)),
        "codebooks": codebooks,
        "fingerprint": draw(st.integers(0, 2**32 - 1)),
        "model": draw(st.text(st.characters(codec="utf-8"), max_size=5)),
        "bits": bits,
        "block_frames": block_frames,
        "fields": draw(st.lists(st.tuples(st.integers(2, 255), st.binary(max_size=5)), max_size=2)),
    }
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    left, blocks = second_writer.frames(samples, sample_rate), []
    while left:
        frames = min(left, block_frames)
        lag = draw(st.integers(0, 255)) if channels == 2 else None
        side = max(0, codebooks - (lag or 0)) // 2
        split = [codebooks - side, side] if channels == 2 else [codebooks]
        blocks.append(([rng.integers(0, 2**bits, (count, frames)).tolist() for count in split], lag))
        left -= frames
    return head, blocks, samples


@pytest.mark.slow
@given(files())
def test_files_of_the_second_writer_are_read(made):
    head, blocks, samples = made
    data = second_writer.header(**head)
    for number, (codes, lag) in enumerate(blocks):
        data += second_writer.block(number, codes, head["bits"], lag)
    if head["samples"] is None:
        data += second_writer.end(len(blocks), samples)
    meta, items, told = read(data)
    assert told == samples
    assert meta.extra == tuple(head.pop("fields"))
    for name, value in head.items():
        assert getattr(meta, name) == value
    assert [([channel.tolist() for channel in item.codes], item.side_lag) for item in items] == [
        (codes, lag or 0) for codes, lag in blocks
    ]


def test_the_limits_in_the_document():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"{MIN_METADATA} to {MAX_METADATA:,}" in text
    assert f"{MAX_FIELDS} extension fields" in text
    meta = read_header(io.BytesIO(examples()[1][0]))
    largest = Layout(replace(meta, codebooks=255, bits=16, block_frames=255)).full_bytes
    assert f"at most {largest:,} bytes" in text
