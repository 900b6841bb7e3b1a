import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.errors import DamagedError
from nac.study.quantize import Part, deflate, inflate, pack, unpack

BITS = st.integers(2, 16)


@given(bits=BITS, channels=st.integers(1, 5), count=st.integers(0, 40), seed=st.integers(0, 99))
def test_every_coding_comes_back_within_half_a_step(bits: int, channels: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (channels, count)).astype(np.float32)
    bounds = (np.full(channels, -2, np.float32), np.full(channels, 2, np.float32))
    parts = [
        Part(channels, count, bits, "uniform", bounds),
        Part(channels, count, bits, "max-norm"),
        Part(channels, count, bits, "cyclic"),
        Part(channels, count, bits, "codes"),
    ]
    codes = rng.integers(0, 1 << bits, (channels, count))
    data = pack(parts, [x, x, x, codes])
    assert len(data) == sum(part.size for part in parts)
    uniform, scaled, angle, same = unpack(parts, data)
    assert np.abs(uniform - x).max(initial=0) <= 2 / ((1 << bits) - 1) + 1e-5
    largest = np.abs(x).max(1, keepdims=True, initial=0)
    assert (np.abs(scaled - x) <= largest / ((1 << bits) - 1 & ~1) + 1e-5).all()
    turned = np.angle(np.exp(1j * (angle - x)))
    assert np.abs(turned).max(initial=0) <= np.pi / (1 << bits) + 1e-5
    assert (same == codes).all()


def test_numbers_outside_the_bounds_stop_at_them() -> None:
    part = Part(1, 2, 8, "uniform", (np.array([-1], np.float32), np.array([1], np.float32)))
    assert unpack([part], pack([part], [np.array([[5.0, -7.0]])]))[0].tolist() == [[1.0, -1.0]]


def test_bytes_that_are_not_as_many_as_coded_are_damage() -> None:
    part = Part(1, 10, 8, "codes")
    for data in (b"", bytes(9), bytes(11)):
        with pytest.raises(DamagedError):
            unpack([part], data)


@given(st.binary(max_size=300))
def test_deflate_never_makes_larger_and_comes_back(data: bytes) -> None:
    out, small = deflate(data)
    assert len(out) <= len(data) and small == (len(out) < len(data))
    if small:
        assert inflate(out, len(data)) == data


def test_inflate_stops_at_the_size() -> None:
    bomb, _ = deflate(bytes(1_000_000))
    for data, size in ((bomb, 10), (bomb, 2_000_000), (bomb[:-4], 1_000_000), (b"no deflated bytes", 10)):
        with pytest.raises(DamagedError):
            inflate(data, size)
