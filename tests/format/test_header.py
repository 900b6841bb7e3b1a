import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.errors import DamagedError, FormatError, OptionError
from nac.format.header import (
    HEADER_BYTES,
    MAX_FIELDS,
    MAX_METADATA,
    UNKNOWN_SAMPLES,
    Metadata,
    frame_count,
    pack_header,
    read_any_header,
    read_header,
)
from nac.format.version0 import Version0
from tests.format.format_files import META

text = st.text(st.characters(codec="utf-8"), max_size=20)
keys = text.filter(lambda key: key != "" and "=" not in key)
byte = st.integers(1, 255)
metadata = st.builds(
    Metadata,
    sample_rate=st.integers(100, (1 << 24) - 1),
    channels=st.integers(1, 2),
    samples=st.none() | st.integers(0, 1 << 33) | st.integers(0, 5),
    kbps=byte,
    codebooks=byte,
    fingerprint=st.integers(0, (1 << 32) - 1),
    model=text,
    frame_rate=byte,
    bits=st.integers(1, 16),
    block_frames=st.integers(20, 255),
    coding=st.integers(0, 255),
    tags=st.lists(st.tuples(keys, text), max_size=4).map(tuple),
    extra=st.lists(st.tuples(st.integers(2, 255), st.binary(max_size=9)), max_size=3).map(tuple),
)


def parse(data):
    return read_header(io.BytesIO(data))


def with_checksum(data):
    """A header whose last four bytes are made the right checksum, and whose length is right."""
    body = data[:4] + (len(data) - HEADER_BYTES).to_bytes(4, "big") + data[8:-4]
    return body + zlib.crc32(body).to_bytes(4, "big")


@given(metadata, st.binary(max_size=5))
def test_metadata_come_back_and_the_stream_stands_at_the_first_block(meta, rest):
    stream = io.BytesIO(pack_header(meta) + rest)
    assert read_header(stream) == meta
    assert stream.read() == rest


@given(metadata, st.data())
def test_any_flipped_bit_is_noticed(meta, data):
    packed = bytearray(pack_header(meta))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        parse(bytes(packed))


def test_every_flipped_bit_and_every_cut_of_one_header_is_noticed():
    packed = pack_header(META)
    for bit in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            parse(bytes(changed))
    for length in range(len(packed)):
        with pytest.raises(FormatError):
            parse(packed[:length])


@given(st.binary(max_size=80))
def test_any_bytes_behind_a_valid_checksum_give_metadata_or_one_error(body):
    data = with_checksum(b"NAC\x01" + bytes(5) + body + bytes(4))
    try:
        meta = parse(data)
    except FormatError as error:
        assert "\n" not in str(error)
    else:
        assert parse(pack_header(meta)) == meta


def test_the_layout_of_the_fixed_fields():
    meta = Metadata(
        0x010203,
        2,
        0x05060708,
        kbps=9,
        codebooks=18,
        fingerprint=0x0A0B0C0D,
        model="ab",
        frame_rate=50,
        bits=10,
        block_frames=40,
        tags=(("k", "é"),),
        extra=((7, b"xyz"),),
    )
    expected = (
        "4e4143 01 00000026 09  010203 02 0005060708 32 12 0a 28 00 0a0b0c0d 02 616201 0004 6b3dc3a9  07 0003 78797a"
    )
    packed = pack_header(meta)
    assert packed[:-4] == bytes.fromhex(expected)
    assert packed[-4:] == zlib.crc32(packed[:-4]).to_bytes(4, "big")


def test_unknown_samples_are_all_ones():
    packed = pack_header(Metadata(24000, 1, None, kbps=6, codebooks=12, fingerprint=0, model=""))
    assert packed[13:18] == UNKNOWN_SAMPLES.to_bytes(5, "big")
    assert parse(packed).samples is None


class Counting(io.BytesIO):
    total = 0

    def read(self, size=-1):
        data = super().read(size)
        self.total += len(data)
        return data


def test_a_long_metadata_is_refused_before_it_is_read():
    stream = Counting(b"NAC\x01" + (MAX_METADATA + 1).to_bytes(4, "big") + b"\x06" + bytes(MAX_METADATA + 100))
    with pytest.raises(FormatError, match="1 MiB"):
        read_header(stream)
    assert stream.total == HEADER_BYTES


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"RIFF....WAVE", "RIF"),
        (b"NA", "inside its header"),
        (b"NAC\x02" + bytes(100), "update nac"),
        (b"NAC\x00\x00\x00\x00\x04\x06nul", "inside its metadata"),
        (b"NAC\x00\x00\x00\x00\x04\x06nulx", "damaged"),
        (b"NAC\x00\x00\x00\x00\x04\x19null", "damaged"),
        (b"NAC\x00\x00\x00\x00\x04\x06null", "version 0"),
    ],
)
def test_what_is_no_version_1_file_is_refused_in_one_line(data, words):
    with pytest.raises(FormatError, match=words) as caught:
        parse(data)
    assert "\n" not in str(caught.value)


def test_a_version_0_header_is_described():
    stream = io.BytesIO(bytes.fromhex("4e414300 00000004 18 6e756c6c") + b"payload")
    assert read_any_header(stream) == Version0(24, "null")
    assert stream.read() == b"payload"


def test_damaged_metadata_are_told_from_other_files():
    packed = bytearray(pack_header(META))
    packed[12] ^= 1
    with pytest.raises(DamagedError):
        parse(bytes(packed))


def test_an_improper_tag_is_kept_as_an_extension_field():
    body = pack_header(META)[:-4]
    improper = [b"no equals sign", b"=no key", b"\xff=not UTF-8", b""]
    for value in improper:
        body += b"\x01" + len(value).to_bytes(2, "big") + value
    data = with_checksum(body + bytes(4))
    meta = parse(data)
    assert meta.tags == ()
    assert meta.extra == tuple((1, value) for value in improper)
    assert pack_header(meta) == data


@pytest.mark.parametrize("tail", [b"\x07", b"\x07\0", b"\x07\0\x05abcd", b"\x07\0\0" * (MAX_FIELDS + 1)])
def test_malformed_extension_fields_are_refused(tail):
    with pytest.raises(FormatError, match="malformed"):
        parse(with_checksum(pack_header(META)[:-4] + tail + bytes(4)))


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate": 0},
        {"sample_rate": 1 << 24},
        {"channels": 0},
        {"channels": 3},
        {"samples": -1},
        {"samples": UNKNOWN_SAMPLES},
        {"samples": 1.5},
        {"kbps": 256},
        {"codebooks": 0},
        {"fingerprint": 1 << 32},
        {"bits": 17},
        {"block_frames": 0},
        {"model": "x" * 256},
        {"model": "\ud800"},
        {"tags": (("", "x"),)},
        {"tags": (("a=b", "x"),)},
        {"tags": (("a", "\udfff"),)},
        {"tags": (("a", "x" * 65535),)},
        {"tags": (("a", "x" * 60000),) * 18},
        {"tags": (("a", ""),) * (MAX_FIELDS + 1)},
        {"extra": ((256, b""),)},
        {"sample_rate": 1, "samples": 1 << 39},
    ],
)
def test_values_that_a_file_cannot_hold_are_refused(change):
    fields = {"sample_rate": 24000, "channels": 1, "samples": 5, "kbps": 6, "codebooks": 12}
    with pytest.raises(OptionError) as caught:
        Metadata(**{**fields, "fingerprint": 1, "model": "", **change})
    assert "\n" not in str(caught.value)


def test_integers_of_numpy_are_taken_and_no_other_numbers():
    fields = {"samples": np.int64(5), "kbps": np.uint8(6), "codebooks": np.int32(12), "fingerprint": 1, "model": ""}
    meta = Metadata(np.int64(24000), np.int8(1), **fields)
    assert meta == Metadata(24000, 1, 5, 6, 12, 1, "")
    assert all(type(value) is int for value in (meta.sample_rate, meta.channels, meta.samples, meta.kbps))
    for wrong in (6.0, "6", None, np.float32(6)):
        with pytest.raises(OptionError, match="kbps must be a whole number from 1 to 255"):
            Metadata(24000, 1, **{**fields, "kbps": wrong})


@given(st.integers(1, 1 << 39), st.integers(1, 200_000))
def test_the_frames_are_enough_and_not_one_too_many(samples, sample_rate):
    # All but the last frame (which completes the overlap) are needed to cover the signal's duration.
    frames = frame_count(samples, sample_rate) - 1
    at_model_rate = -(-samples * 24000 // sample_rate)
    assert (frames - 1) * 480 < at_model_rate <= frames * 480
