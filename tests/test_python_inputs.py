"""What people pass to the Python interface: it is taken for what it is, or refused in one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import nac
from nac.errors import AudioError, NacError, OptionError
from nac.synthetic import speech_like


@pytest.fixture(scope="module")
def codec(small_weights: Path) -> nac.Codec:
    return nac.Codec.load(small_weights)


SPEECH = speech_like(24_000)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint8", "float16", "float64", "longdouble", ">i2", ">f4"])
def test_every_type_of_sample_is_taken_at_its_full_scale(codec, kind):
    scale = {"int8": 2**7, "int16": 2**15, ">i2": 2**15, "int32": 2**31, "uint8": 2**7}.get(kind, 1)
    values = np.clip(SPEECH, -0.99, 0.99).astype(np.float64) * scale
    given = (np.rint(values) + (128 if kind == "uint8" else 0) if scale > 1 else values).astype(kind)
    meant = ((given.astype(np.float64) - (128 if kind == "uint8" else 0)) / scale).astype(np.float32)
    assert np.abs(meant).max() > 0.1
    data = codec.encode(meant, 24_000)
    assert codec.encode(given, 24_000) == data
    stream = nac.StreamEncoder(codec, 24_000, 1, samples=24_000)
    assert stream.push(given[None]) + stream.flush() == data
    np.testing.assert_array_equal(codec.encode_codes(given, 24_000), codec.encode_codes(meant, 24_000))


@pytest.mark.parametrize("kind", ["int64", "uint16", "uint32", "bool", "complex64", "object", "U4", "datetime64[s]"])
def test_types_without_a_full_scale_are_refused(codec, kind):
    bad = np.zeros(100, kind)
    for call in (codec.encode, codec.encode_codes):
        with pytest.raises(AudioError, match="have no full scale that is known"):
            call(bad, 24_000)
    with pytest.raises(AudioError, match="have no full scale"):
        nac.StreamEncoder(codec, 24_000, 1).push(bad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_everywhere(codec, bad):
    x = np.zeros(100)
    x[5] = bad
    for call in (codec.encode, codec.encode_codes):
        with pytest.raises(AudioError, match="not finite"):
            call(x, 24_000)
    with pytest.raises(AudioError, match="not finite"):
        nac.StreamEncoder(codec, 24_000, 1).push(x)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 100), "give"),
        ((100, 2), "transpose"),
        ((1, 1, 100), "one recording at a time"),
        ((4, 2, 100), "one recording"),
    ],
)
def test_other_shapes_are_refused_with_advice(codec, shape, message):
    with pytest.raises(AudioError, match=message):
        codec.encode(np.zeros(shape, np.float32), 24_000)
    with pytest.raises(AudioError, match=r"cannot be coded; give \[2, samples\]"):
        nac.StreamEncoder(codec, 24_000, 2).push(np.zeros((1, 100), np.float32))


@pytest.mark.parametrize("bad", ["a.wav", None, {"a": 1}, [[1.0], [1.0, 2.0]]])
def test_what_is_not_an_array_is_refused(codec, bad):
    with pytest.raises(AudioError):
        codec.encode(bad, 24_000)


def test_lists_and_tensors_are_taken(codec):
    data = codec.encode(SPEECH, 24_000)
    tensor = torch.from_numpy(SPEECH.copy())
    learning = tensor.clone().requires_grad_() * 1.0
    for given in (SPEECH.tolist(), tensor, tensor[None], learning):
        assert codec.encode(given, 24_000) == data
    half = tensor.to(torch.bfloat16)
    assert codec.encode(half, 24_000) == codec.encode(half.float().numpy(), 24_000)
    codes = codec.encode_codes(learning, 24_000)
    np.testing.assert_array_equal(codec.decode_codes(torch.from_numpy(codes)), codec.decode_codes(codes))
    with pytest.raises(OptionError, match="codes are integers"):
        codec.decode_codes(codes.astype(np.float32))


def test_autocast_around_the_codec_changes_nothing(codec):
    data = codec.encode(SPEECH, 24_000)
    samples = codec.decode(data)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert codec.encode(SPEECH, 24_000) == data
        np.testing.assert_array_equal(codec.decode(data)[0], samples)
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_integers_of_numpy_are_integers(codec):
    data = codec.encode(SPEECH, 24_000, kbps=3, effort=5)
    for kbps in (np.int64(3), np.uint8(3), 3.0, np.float64(3)):
        assert codec.encode(SPEECH, np.int64(24_000), kbps=kbps, effort=np.int32(5)) == data
    stream = nac.StreamEncoder(codec, np.int32(24_000), np.int64(1), np.int64(3), 5, samples=np.int64(24_000))
    assert stream.push(SPEECH) + stream.flush() == data


@pytest.mark.parametrize("kbps", [0, 25, -3, 2.5, np.nan, np.inf, -np.inf, "6", None, 10**30, np.float32(2.5)])
def test_bit_rates_that_do_not_exist_are_told_with_one_range(codec, kbps):
    for call in (codec.encode, codec.encode_codes):
        with pytest.raises(OptionError, match="give a whole number from 1 to 24"):
            call(SPEECH, 24_000, kbps=kbps)


@pytest.mark.parametrize("effort", [2.7, 0, 65, np.nan, np.inf, None, "slow", "2.7", "", [1]])
def test_efforts_that_do_not_exist(codec, effort):
    for call in (codec.encode, codec.encode_codes):
        with pytest.raises(OptionError, match="give fast, default, best or a number from 1 to 64"):
            call(SPEECH, 24_000, effort=effort)


@pytest.mark.parametrize("rate", [0, -1, 1 << 24, 44_100.5, np.nan, np.inf, "24000", None])
def test_sample_rates_that_do_not_exist(codec, rate):
    for call in (codec.encode, codec.encode_codes):
        with pytest.raises(OptionError, match=r"sample_rate must be a whole number from 1 to 16,?777,?215"):
            call(SPEECH, rate)


def test_tags_as_people_have_them(codec, tmp_path):
    (tmp_path / "a.nac").write_bytes(codec.encode(SPEECH, 24_000, tags={"TITLE": "Rain", "ARTIST": ["A", "B"]}))
    with open(tmp_path / "a.nac", "rb") as file:
        assert nac.read_header(file).tags == (("TITLE", "Rain"), ("ARTIST", "A"), ("ARTIST", "B"))
    for bad in ({"YEAR": 2020}, {1: "a"}, "TITLE=Rain", ["TITLE"], 5, {"A=B": "c"}, {"": "c"}):
        with pytest.raises(OptionError):
            codec.encode(SPEECH, 24_000, tags=bad)


def test_wrong_options_are_values_in_the_eyes_of_python(codec):
    assert issubclass(OptionError, ValueError) and issubclass(OptionError, NacError)
    with pytest.raises(ValueError):
        codec.encode(SPEECH, 24_000, kbps=99)


FORK = """
import os, sys, numpy as np, torch
torch.set_num_threads(2)
import nac
codec = nac.Codec.load(sys.argv[1])
x = np.random.default_rng(0).standard_normal(24_000).astype(np.float32) * 0.1
data = codec.encode(x, 24_000)
child = os.fork()
if child == 0:
    os._exit(0 if codec.encode(x, 24_000)[:3] == b"NAC" and codec.decode(data)[0].shape == (1, 24_000) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_can_use_a_codec_that_was_loaded_before(small_weights):
    """As multiprocessing, gunicorn and loaders of data make them. The threads of torch's pool stay behind."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    process = subprocess.Popen(
        [sys.executable, "-c", FORK, str(small_weights)],
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.poll() == 0, "the child waits for threads that it does not have"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
