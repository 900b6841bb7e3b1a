"""Entropy coding from samples to samples: the same sound from fewer bytes."""

import io
import subprocess
import sys

import numpy as np
import pytest

from nac.codec import Codec
from nac.errors import WeightsError
from nac.format.edit import reduce
from nac.format.entropy.tables import TableLibrary, has_tables, save_tables, tables_path
from nac.format.header import read_header
from nac.format.layout import ENTROPY, PACKED
from nac.models.weights import save_model
from nac.synthetic import speech_like
from tests.conftest import small_model
from tests.format.tables import make_arrays


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    """A small model with tables of its own beside it."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    number = save_model(small_model(codebook_size=1024), path, generation=0)
    save_tables(tables_path(path), make_arrays(codebooks=48), number)
    return Codec.load(path)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_sound_is_the_same(codec, channels):
    sound = np.stack([speech_like(40_000, seed=seed) for seed in range(channels)])
    packed, coded = (codec.encode(sound, 24_000, kbps=6, effort="fast", entropy=entropy) for entropy in (False, True))
    assert np.array_equal(codec.decode(packed)[0], codec.decode(coded)[0])
    assert coded == codec.encode(sound, 24_000, kbps=6, effort="fast", entropy=True)
    for rate in (1, 3):
        direct, cut = codec.encode(sound, 24_000, kbps=rate, effort="fast", entropy=True), io.BytesIO()
        reduce(io.BytesIO(coded), cut, rate, tables=TableLibrary(weights=[codec.path]))
        # A mono file of 1 kbps has other blocks; reducing knows that.
        assert cut.getvalue() == direct or (channels, rate) == (1, 1)


def test_a_file_is_written_and_read(codec, tmp_path):
    sound = speech_like(30_000)[None]
    data = codec.encode(sound, 24_000, kbps=3, entropy=True)
    whole, rate = codec.decode(data)
    (tmp_path / "a.nac").write_bytes(data)
    codec.decode_file(tmp_path / "a.nac", tmp_path / "a.wav", subtype="float", start=0.5, duration=0.5)
    codec.encode_file(tmp_path / "a.wav", tmp_path / "b.nac", kbps=3, entropy=True)
    again, _ = codec.decode((tmp_path / "b.nac").read_bytes())
    assert whole.shape == (1, 30_000) and again.shape == (1, 12_000) and rate == 24_000


def test_tables_that_are_missing_or_for_other_weights_are_an_error(codec, tmp_path):
    path = tmp_path / "other.safetensors"
    number = save_model(small_model(seed=1, codebook_size=1024), path, generation=0)
    other, sound = Codec.load(path), speech_like(2_000)
    with pytest.raises(WeightsError, match="are missing: make them"):
        other.encode(sound, 24_000, entropy=True)
    assert not has_tables(path, number)
    save_tables(tables_path(path), make_arrays(codebooks=48), number + 1)
    assert not has_tables(path, number) and has_tables(path, number + 1)
    with pytest.raises(WeightsError, match="for other weights"):
        other.encode(sound, 24_000, entropy=True)


def test_the_default_is_to_code_where_the_weights_have_tables(codec, tmp_path):
    def coding(data):
        return read_header(io.BytesIO(data)).coding

    path, sound = tmp_path / "other.safetensors", speech_like(24_000)
    number = save_model(small_model(seed=1, codebook_size=1024), path, generation=0)
    other = Codec.load(path)
    usual, packed = codec.encode(sound, 24_000), codec.encode(sound, 24_000, entropy=False)
    assert coding(usual) == ENTROPY and usual == codec.encode(sound, 24_000, entropy=True)
    assert coding(packed) == PACKED
    assert coding(other.encode(sound, 24_000)) == PACKED  # no tables
    save_tables(tables_path(path), make_arrays(codebooks=48), number + 1)
    assert coding(other.encode(sound, 24_000)) == PACKED  # tables for other weights
    save_tables(tables_path(path), make_arrays(codebooks=48), number)
    assert coding(other.encode(sound, 24_000)) == ENTROPY


def test_reading_and_editing_need_no_torch(codec, tmp_path):
    data = codec.encode(speech_like(30_000), 24_000, kbps=6, entropy=True)
    library = TableLibrary(weights=[codec.path])
    (tmp_path / "a.nac").write_bytes(data)
    program = (
        "import sys\n"
        "from nac.format.edit import reduce\n"
        "from nac.format.entropy.tables import TableLibrary\n"
        "reduce(sys.argv[2], sys.argv[3], 2, tables=TableLibrary(weights=[sys.argv[1]]))\n"
        "assert 'torch' not in sys.modules\n"
    )
    paths = [str(path) for path in (codec.path, tmp_path / "a.nac", tmp_path / "b.nac")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True)
    cut = io.BytesIO()
    reduce(io.BytesIO(data), cut, 2, tables=library)
    assert (tmp_path / "b.nac").read_bytes() == cut.getvalue()
