"""Whatever is done to a file, the reader notices it, or refuses the file, and never hands out other codes."""

import itertools
import operator
from pathlib import Path

import pytest
from format_mutations import BASES, base, mutate, verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.format.layout import ENTROPY, Layout

FOUND = Path(__file__).parent / "found"


@given(st.binary(min_size=1, max_size=31))
@settings(max_examples=400, deadline=None)
def test_no_change_goes_unnoticed(program):
    assert verdict(program) == ""


@pytest.mark.parametrize("number", range(len(BASES)))
def test_an_unchanged_file_is_sound(number):
    program = bytes([number])
    assert mutate(program)[1] == base(number).data
    assert verdict(program) == ""


def test_entropy_coded_files_have_blocks_of_both_kinds():
    for number, (meta, _, _) in enumerate(BASES):
        if meta.coding == ENTROPY:
            made = base(number)
            sizes = [end - start for start, end in itertools.pairwise(made.starts)]
            packed = [Layout(meta).block_bytes(block.frames) for block in made.blocks]
            assert any(map(operator.lt, sizes, packed)) and any(map(operator.eq, sizes, packed))


@pytest.mark.parametrize("kind", [*range(10), 12, 13, 14])
def test_each_kind_of_change_changes_the_file(kind):
    programs = [bytes([number, kind, 0x80, 0, 9, value]) for number in range(len(BASES)) for value in (1, 77)]
    assert any(mutate(program)[1] != mutate(program[:1])[1] for program in programs)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.txt")), ids=lambda path: path.stem)
def test_what_fuzzing_found_stays_mended(path):
    assert verdict(bytes.fromhex(path.read_text().split("#")[0])) == ""
