"""Whatever is done to a file, the reader notices it, or refuses the file, and never hands out other codes."""

import operator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.format.entropy.sections import Sections
from nac.format.layout import CRC_BYTES, ENTROPY_CODINGS, Layout
from tests.format.format_mutations import BASES, base, mutate, verdict

FOUND = Path(__file__).parent / "found"


@pytest.mark.slow
@given(st.binary(min_size=1, max_size=31))
@settings(max_examples=400, deadline=None)
def test_no_change_goes_unnoticed(program):
    assert verdict(program) == ""


@pytest.mark.parametrize("number", range(len(BASES)))
def test_an_unchanged_file_is_sound(number):
    program = bytes([number])
    assert mutate(program)[1] == base(number).data
    assert verdict(program) == ""


def sections_packed(made, index):
    """Of each section of an entropy coded block, whether it is packed."""
    meta, layout = made.meta, Layout(made.meta)
    payload = made.data[made.starts[index] + layout.head_bytes : made.starts[index + 1] - CRC_BYTES]
    sections = Sections(meta.coding, meta.codebooks, meta.channels, meta.bits)
    parts = sections.split(payload, made.blocks[index].frames, len(sections.ends))
    return list(map(operator.eq, map(len, parts), sections.packed_sizes(made.blocks[index].frames)))


def test_entropy_coded_files_have_blocks_of_both_kinds():
    most = 0
    for number, (meta, _, _) in enumerate(BASES):
        if meta.coding in ENTROPY_CODINGS:
            made = base(number)
            kinds = [sections_packed(made, index) for index in range(len(made.blocks))]
            assert any(map(all, kinds)) and not all(map(any, kinds))
            most = max(most, *map(len, kinds))
            assert len(kinds[0]) == 1 or any(any(kind) and not all(kind) for kind in kinds)
    assert most == 4


@pytest.mark.parametrize("kind", [*range(10), 12, 13, 14])
def test_each_kind_of_change_changes_the_file(kind):
    programs = [bytes([number, kind, 0x80, 0, 9, value]) for number in range(len(BASES)) for value in (1, 77)]
    assert any(mutate(program)[1] != mutate(program[:1])[1] for program in programs)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.txt")), ids=lambda path: path.stem)
def test_what_fuzzing_found_stays_mended(path):
    assert verdict(bytes.fromhex(path.read_text().split("#")[0])) == ""
