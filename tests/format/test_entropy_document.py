"""ENTROPY.md says what the package does: payloads are those of a writer made from it, and a reader made from it
understands them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.errors import DamagedError
from nac.format.header import Metadata
from nac.format.layout import split_codebooks
from tests.format import second_entropy
from tests.format.entropy_tools import CODINGS, coded, entropy_payload, likely_codes
from tests.format.tables import MANY, TABLES, make_arrays

SOME = settings(deadline=None, max_examples=25)
KINDS = [(TABLES, make_arrays(), 12), (MANY, make_arrays(codebooks=30, bits=5, seed=3), 30)]


@st.composite
def blocks(draw):
    """Metadata, the arrays of its tables, the codes of a block `[frames, codebooks]`, and its lag or None."""
    tables, arrays, most = draw(st.sampled_from(KINDS))
    channels, codebooks, frames = draw(st.integers(1, 2)), draw(st.integers(1, most)), draw(st.integers(1, 5))
    coding = draw(st.sampled_from(CODINGS))
    meta = coded(Metadata(24000, channels, None, 1, codebooks, 7, "m", bits=tables.bits), tables, coding)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    codes = likely_codes(tables, codebooks, frames, int(rng.integers(99))).T
    noisy = rng.random(codebooks) < draw(st.sampled_from([0, 0.5, 1]))
    codes = np.where(noisy, rng.integers(0, 1 << tables.bits, codes.shape), codes).astype(np.uint16)
    return meta, arrays, codes, draw(st.integers(0, 35)) if channels == 2 else None


def as_lists(codes, lag):
    """The codes channel by channel."""
    mid = codes.shape[1] if lag is None else split_codebooks(codes.shape[1], 2, lag)[0]
    channels = [codes] if lag is None else [codes[:, :mid], codes[:, mid:]]
    return [channel.T.tolist() for channel in channels]


@SOME
@given(blocks())
def test_payloads_are_those_of_the_second_writer(made):
    meta, arrays, codes, lag = made
    coder = entropy_payload(meta)
    payload = coder.encode(codes[None], [lag or 0])[0]
    assert second_entropy.write_payload(arrays, meta.coding, as_lists(codes, lag), lag) == payload
    frames, codebooks = codes.shape
    found = second_entropy.read_payload(arrays, meta.coding, payload, codebooks, frames, lag)
    assert found == as_lists(codes, lag)


@settings(deadline=None, max_examples=60)
@given(blocks(), st.data())
def test_damaged_payloads_are_judged_alike(made, data):
    meta, arrays, codes, lag = made
    coder = entropy_payload(meta)
    payload = bytearray(coder.encode(codes[None], [lag or 0])[0])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(payload)))
        if data.draw(st.booleans()):
            payload[place:place] = data.draw(st.binary(min_size=1, max_size=3))
        else:
            del payload[place : place + data.draw(st.integers(1, 3))]
    frames, codebooks = codes.shape
    try:
        found = second_entropy.read_payload(arrays, meta.coding, bytes(payload), codebooks, frames, lag)
    except ValueError:
        with pytest.raises(DamagedError):
            coder.decode([bytes(payload)], frames, [lag or 0])
    else:
        assert as_lists(coder.decode([bytes(payload)], frames, [lag or 0])[0], lag) == found
