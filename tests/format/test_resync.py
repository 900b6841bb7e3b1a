import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.format.blocks import Block
from nac.format.crc import block_numbers, registers
from nac.format.layout import Layout
from nac.format.resync import Finder
from nac.format.scan import Damage, block_checksum
from nac.format.window import Window
from tests.format.format_files import META, make, read


def register_after(data):
    """The CRC-32 register after these bytes, starting from zero instead of all ones, by zlib."""
    return zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF


@given(st.binary(max_size=300))
def test_registers_are_those_of_zlib(data):
    states = registers(np.frombuffer(data, np.uint8))
    assert states.tolist() == [register_after(data[:end]) for end in range(len(data) + 1)]


@given(st.binary(max_size=50), st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.binary(max_size=300)), min_size=1))
def test_the_number_of_a_block_is_solved_from_its_checksum(before, blocks):
    data, positions, sizes = before, [], []
    for number, content in blocks:
        positions.append(len(data))
        sizes.append(len(content) + 4)
        data += content + block_checksum(number, content).to_bytes(4, "big")
    array = np.frombuffer(data, np.uint8)
    solved = block_numbers(array, registers(array), np.array(positions), np.array(sizes))
    assert solved.tolist() == [number for number, _ in blocks]


@pytest.mark.parametrize("filler", [b"\x00", b"\x0a", b"\x0a\x00", b"\xff"])
@pytest.mark.parametrize("samples", [None, 24000])
def test_blocks_are_found_behind_monotonous_bytes(filler, samples):
    # 10 is the number of frames of a block here: every position looks like the beginning of one.
    made = make(META if samples else replace(META, samples=None), samples=24000)
    place = made.position(2) + 7
    stray = filler * (500_000 // len(filler))
    _, items, found_samples = read(made.data[:place] + stray + made.data[place:])
    assert [item.index for item in items if isinstance(item, Block)] == [0, 1, 3, 4, 5]
    assert [(item.first_frame, item.frames) for item in items if isinstance(item, Damage)] == [(20, 10)]
    assert found_samples == 24000


@given(st.integers(0, 40_000), st.integers(0, 5))
def test_a_block_is_found_wherever_it_lies(distance, index):
    made = make()
    stray = np.random.default_rng(distance).bytes(distance)
    window = Window(io.BytesIO(stray + made.data[made.position(index) :]))
    found = Finder(window, Layout(made.meta)).find(0, 0)
    assert found is not None and found.index == index
    assert window.position == distance


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("samples", [None, 24000 * 4])
def test_neighbours_with_the_same_damage_are_no_witnesses_of_each_other(samples, bit):
    made = make(replace(META, samples=samples), samples=24000 * 4)
    data = bytearray(made.data)
    for index in (4, 5):
        data[made.position(index) - 1] ^= 1 << bit  # the last byte of the block before
    _, items, _ = read(bytes(data))
    lost = [(item.first_frame, item.frames) for item in items if isinstance(item, Damage)]
    assert lost == [(30, 20)]


def test_a_lone_block_far_ahead_is_not_believed_but_two_are():
    made = make(replace(META, samples=100 * 4800))
    one, two = made.position(70), made.position(71)
    stray = bytes(1000)

    def find(data):
        return Finder(Window(io.BytesIO(data)), Layout(made.meta)).find(0, 0)

    assert find(stray + made.data[one:two] + stray) is None
    found = find(stray + made.data[one : made.position(72)] + stray)
    assert found is not None and found.index == 70
