import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.errors import DamagedError
from nac.format.bits import pack_codes, packed_bytes, unpack_codes

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


def test_too_few_bytes_are_refused():
    with pytest.raises(DamagedError):
        unpack_codes(b"\0\0", 2, 10)
