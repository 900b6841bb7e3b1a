import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.errors import DamagedError
from nac.format.bits import FEW, pack_codes, pack_rows, packed_bytes, unpack_codes, unpack_rows

widths = st.integers(1, 16)


def codes_of(bits):
    return st.lists(st.integers(0, (1 << bits) - 1), max_size=70)


@given(widths.flatmap(lambda bits: st.tuples(st.just(bits), codes_of(bits))))
def test_bytes_are_the_codes_as_one_long_binary_number(case):
    bits, codes = case
    digits = "".join(format(code, f"0{bits}b") for code in codes)
    digits += "0" * (-len(digits) % 8)
    expected = int(digits, 2).to_bytes(len(digits) // 8, "big") if digits else b""
    packed = pack_codes(np.array(codes, np.int64), bits)
    assert packed == expected
    assert len(packed) == packed_bytes(len(codes), bits)
    assert unpack_codes(packed, len(codes), bits).tolist() == codes


@given(st.binary(max_size=60), widths)
def test_any_bytes_unpack_to_codes_that_pack_to_them(data, bits):
    count = len(data) * 8 // bits
    codes = unpack_codes(data, count, bits)
    whole = count * bits // 8
    assert pack_codes(codes, bits)[:whole] == data[:whole]


@pytest.mark.parametrize("bits", range(1, 17))
def test_many_codes_are_packed_as_few_are(bits):
    rows, count = 5, FEW // 4 + 3
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (rows, count))
    packed = pack_rows(codes, bits)
    assert codes.size > FEW
    assert [row.tobytes() for row in packed] == [pack_codes(row, bits) for row in codes]
    assert np.array_equal(unpack_rows(packed, count, bits), codes)
    assert [unpack_codes(row.tobytes(), count, bits).tolist() for row in packed] == codes.tolist()


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_no_codes_take_no_bytes(shape):
    packed = pack_rows(np.zeros(shape, np.uint16), 10)
    assert packed.shape == (shape[0], packed_bytes(shape[1], 10))
    assert unpack_rows(packed, shape[1], 10).shape == shape


def test_codes_may_lie_in_any_order_in_memory():
    codes = np.arange(35, dtype=np.uint16).reshape(5, 7)
    assert np.array_equal(pack_rows(codes.T, 10), pack_rows(np.ascontiguousarray(codes.T), 10))


def test_too_few_bytes_are_refused():
    with pytest.raises(DamagedError):
        unpack_codes(b"\0\0", 2, 10)
