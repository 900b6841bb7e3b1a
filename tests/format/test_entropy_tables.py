"""The tables of the entropy coding: their file, what is wrong with it, and bytes that must never change."""

from dataclasses import replace

import numpy as np
import pytest

from nac.errors import WeightsError
from nac.format.entropy.tables import (
    EntropyTables,
    fingerprint,
    load_tables,
    save_tables,
    tables_beside,
    tables_path,
)
from tests.format.entropy_tools import CODED, WHOLE, entropy_payload, likely_codes
from tests.format.format_files import read
from tests.format.tables import TABLES, make_arrays

BITS4 = {"codebooks": 3, "bits": 4}


def test_tables_come_back_from_their_file(tmp_path):
    path = tables_path(tmp_path / "model.safetensors")
    number = save_tables(path, make_arrays(**BITS4), model_fingerprint=0xABC)
    tables = load_tables(path)
    assert (tables.fingerprint, tables.model, tables.bits) == (number, 0xABC, 4)
    assert tables_beside(tmp_path / "model.safetensors", 0xABC).fingerprint == number
    with pytest.raises(WeightsError, match="for other weights"):
        tables_beside(tmp_path / "model.safetensors", 0xABD)


def test_the_fingerprint_knows_every_array():
    arrays = make_arrays(**BITS4)
    known = {fingerprint(arrays)}
    for name, array in arrays.items():
        changed = array.copy()
        changed.flat[-1] ^= 1
        known.add(fingerprint({**arrays, name: changed}))
        known.add(fingerprint({**arrays, name: array.reshape(1, *array.shape)}))
    assert len(known) == 1 + 2 * len(arrays)
    swapped = {name: array.astype(array.dtype.newbyteorder()) for name, array in arrays.items()}
    assert fingerprint(swapped) == fingerprint(arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("ranks"),
        lambda a: a.pop("probability"),
        lambda a: a.pop("2.bias"),
        lambda a: a.pop("1.3"),
        lambda a: a.update(ranks=a["ranks"] // 2),
        lambda a: a.update(ranks=a["ranks"][:, :12]),
        lambda a: a.update(ranks=a["ranks"].astype(np.int64)),
        lambda a: a.update(probability=a["probability"] * 0),
        lambda a: a.update(probability=a["probability"] | 0x4000),
        lambda a: a.update(probability=a["probability"][1:]),
        lambda a: a.update({"1.0": a["1.0"][1:]}),
        lambda a: a.update({"1.0": a["1.0"][:, :15]}),
        lambda a: a.update({"2.5": a["2.5"][:31]}),
        lambda a: a.update({"1.0": a["1.0"][0]}),
        lambda a: a.update({"0.bias": a["0.bias"][:8]}),
    ],
)
def test_wrong_arrays_are_refused(change):
    arrays = make_arrays(**BITS4)
    change(arrays)
    with pytest.raises(WeightsError, match="tables of the entropy coding are damaged"):
        EntropyTables.from_arrays(arrays)


def test_a_file_that_is_missing_or_wrong_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="are missing: make them"):
        load_tables(tmp_path / "none.tables.safetensors")
    path = tmp_path / "some.tables.safetensors"
    save_tables(path, make_arrays(**BITS4), model_fingerprint=1)
    data = path.read_bytes()
    for wrong in (b"", data[:20], data[:-1], b"\xff" * 100, data.replace(b"nac-tables-1", b"nac-tables-2")):
        path.write_bytes(wrong)
        with pytest.raises(WeightsError, match=r"some\.tables"):
            load_tables(path)
    flipped = bytearray(data)
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(WeightsError, match=r"do not match their fingerprint|are damaged"):
        load_tables(path)


def test_the_bytes_are_the_same_for_ever():
    """A promise of the format: these codes with these tables give these bytes, on every machine and release."""
    codes = likely_codes(TABLES, 12, 10).T[None]
    assert f"{TABLES.fingerprint:08x}" == "84702cb9"
    assert entropy_payload(WHOLE).encode(codes, [0])[0].hex() == GOLDEN_MONO
    stereo = entropy_payload(replace(WHOLE, channels=2))
    assert stereo.encode(codes, [3])[0].hex() == GOLDEN_STEREO
    assert np.array_equal(stereo.decode([bytes.fromhex(GOLDEN_STEREO)], 10, [3]), codes)
    # In sections, the first one of which is what the first half is alone.
    payload = entropy_payload(CODED).encode(codes, [0])[0]
    assert payload.hex() == GOLDEN_SECTIONS
    assert entropy_payload(replace(WHOLE, codebooks=6)).encode(codes[:, :, :6], [0])[0] == payload[2 : 2 + payload[1]]


def test_a_golden_file_gives_its_codes():
    meta, items, samples = read(bytes.fromhex(GOLDEN_FILE))
    assert (meta.coding, meta.codebooks, samples) == (1, 3, 2400)
    assert [item.codes[0].shape for item in items] == [(3, 4), (3, 2)]
    assert np.array_equal(np.concatenate([item.codes[0] for item in items], 1), likely_codes(TABLES, 3, 6))


GOLDEN_MONO = (
    "d9dfb4a800f66984be93004021d927f3a12ad9dbfd9876f8becab6f65a36482201837f8e04b4ac4aa75c83542d700cb8c2b3"
    "9dfe3a5e277f7501595eef2ff71cf469eb2426d7fd39e44d1a9d2832a26343ec596dee20d89f2ccd4adaec0f27a10f0d31fc"
    "b656b3ed94ab85"
)
GOLDEN_STEREO = (
    "d9dfb4a800f66984be93004021d927f3a12ad9dbfd9876f8becab6f65a36482201837f8e04b4ac4aa75c83542d700cb8c2b3"
    "9dfe3a5e277f7501595eef2ff71cf469eb2426d7fcf310385a3c7857ff3c6e4e34a1f8766c10c77ba30b65deb99524da9d57"
    "948ddd4a2675a84b32da69b945589608bf11d55da0893478"
)
GOLDEN_SECTIONS = (
    "0036d9dfb4a800f66984be93004021d927f3a12ad9dbfd9876f8becab6f65a36482201837f8e04b4ac4aa75c83542d700cb8"
    "c2b39dfe3a2da08f854a9f1f15e6afd28eb0ca0cdcdf87d78fe4081082c99738b3d3d6fa877309c6ebe58c700fc0ce96e91b"
    "9cb4ad6cba20f7d652"
)
GOLDEN_FILE = (
    "4e4143010000002201005dc001000000096032030a040101020304047465737402000484702cb97f8d829904000bd9dfb4aa"
    "4a0e6dd3c7660f43e233ce0200064b3f93aa640c9843918c"
)
