"""The command line with a real, small model: from audio to audio."""

import dataclasses
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from nac.cli import main
from nac.format.header import HEADER_BYTES, read_header
from nac.synthetic import speech_like
from tests.conftest import small_model


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ok(*arguments, code=0):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return result


def speech(name, seconds=2.0, rate=24000, channels=1):
    samples = round(seconds * rate)
    audio = np.stack([speech_like(samples, rate, seed) for seed in range(channels)], axis=1)
    soundfile.write(name, audio, rate)
    return samples


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (11025, 2), (24000, 1), (44100, 2), (96000, 1)])
def test_there_and_back(small_weights, rate, channels):
    samples = speech("in.wav", 1.37, rate, channels)
    ok("encode", "in.wav", "--effort", "fast", "--model", small_weights)
    ok("decode", "in.nac", "out.flac", "--model", small_weights)
    found = soundfile.info("out.flac")
    assert (found.samplerate, found.channels, found.frames) == (rate, channels, samples)
    result = ok("info", "in.nac", "--model", small_weights)
    assert "the weights here decode it, generation 3" in result.output and "intact" in result.output


@pytest.mark.parametrize("samples", [0, 1, 480])
def test_shortest_recordings(small_weights, samples):
    soundfile.write("in.wav", np.full(samples, 0.5), 24000)
    ok("encode", "in.wav", "--effort", "fast", "--model", small_weights, "--verify")
    ok("decode", "in.nac", "out.wav", "--model", small_weights)
    assert soundfile.info("out.wav").frames == samples


def test_a_part_is_what_the_whole_has_there(small_weights):
    speech("in.wav", 4, 44100)
    ok("encode", "in.wav", "-e", "fast", "--model", small_weights)
    ok("decode", "in.nac", "whole.wav", "--float", "--model", small_weights)
    ok("decode", "in.nac", "part.wav", "--float", "--start", "2.5", "--duration", "0:01", "--model", small_weights)
    whole, _ = soundfile.read("whole.wav")
    part, _ = soundfile.read("part.wav")
    assert len(part) == 44100
    np.testing.assert_allclose(part, whole[110250 : 110250 + 44100], atol=1e-3)


def test_damage(small_weights, here):
    speech("in.wav", 4)
    ok("encode", "in.wav", "-e", "fast", "--model", small_weights)
    data = bytearray((here / "in.nac").read_bytes())
    data[len(data) // 2] ^= 0x55
    (here / "in.nac").write_bytes(data)
    result = ok("decode", "in.nac", "out.wav", "--model", small_weights, code=3)
    assert "lost from" in result.stderr
    assert soundfile.info("out.wav").frames == 96000


def refused(small_weights, here, *options):
    """Encode over a file that must survive; what is said on standard error."""
    (here / "in.nac").write_text("precious")
    result = ok("encode", "in.wav", "-f", "-q", "--verify", "-e", "fast", "--model", small_weights, *options, code=1)
    assert result.stderr.count("\n") == 1 and "in.nac was not kept" in result.stderr, result.stderr
    assert (here / "in.nac").read_text() == "precious"
    assert sorted(os.listdir()) == ["in.nac", "in.wav"]
    return result.stderr


class FaultyDisk(io.FileIO):
    """Flips one bit of what is written at a place in the file."""

    def __init__(self, descriptor, place):
        super().__init__(descriptor, "w+b")
        self.place = place

    def write(self, data):
        start, data = self.tell(), bytearray(data)
        if start <= self.place < start + len(data):
            data[self.place - start] ^= 4
        return super().write(data)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
def test_verify_catches_a_bit_written_wrong(small_weights, here, monkeypatch, channels, part):
    speech("in.wav", 3.3, 16000, channels)
    ok("encode", "in.wav", "--verify", "-e", "fast", "--model", small_weights)
    good = (here / "in.nac").read_bytes()
    ok("encode", "in.wav", "-f", "-e", "fast", "--model", small_weights)
    assert (here / "in.nac").read_bytes() == good
    place = round(part * (len(good) - 1))
    monkeypatch.setattr("nac.files.os.fdopen", lambda descriptor, mode: FaultyDisk(descriptor, place))
    refused(small_weights, here)


@pytest.mark.parametrize("late", [False, True])
def test_verify_reads_the_file_again_at_the_end(small_weights, here, monkeypatch, late):
    """Damage behind the back of the encoder, to blocks that were read back already."""
    import nac.codec

    speech("in.wav", 3)
    patch = nac.codec.patch_samples

    def spoilt(file, metadata, samples):
        done = patch(file, metadata, samples)
        file.seek(200)
        file.write(b"?")
        return done

    def lying(file, metadata, samples):
        return dataclasses.replace(patch(file, metadata, samples), samples=samples - 1)

    monkeypatch.setattr(nac.codec, "patch_samples", spoilt if late else lying)
    assert ("checksum" if late else "header") in refused(small_weights, here)


def test_verify_compares_codes_not_only_checksums(small_weights, here, monkeypatch):
    from nac.format.blocks import BlockWriter

    speech("in.wav", 3)
    block = BlockWriter.block

    def other(self, codes, side_lag=0):
        codes = [channel.copy() for channel in codes]
        codes[0][-1, -1] ^= 1
        return block(self, codes, side_lag)

    monkeypatch.setattr(BlockWriter, "block", other)
    assert "block 0 holds other codes" in refused(small_weights, here)


def test_verify_refuses_sound_that_is_no_number_or_too_short(small_weights, here, monkeypatch):
    from nac.models.streaming import FrameDecoder

    speech("in.wav", 3)
    push = FrameDecoder.push
    monkeypatch.setattr(FrameDecoder, "push", lambda self, codes: push(self, codes) * np.float32(np.nan))
    assert "not finite" in refused(small_weights, here)
    monkeypatch.setattr(FrameDecoder, "push", lambda self, codes: push(self, codes)[:, :-480])
    assert "samples instead of 72000" in refused(small_weights, here)


def test_verify_needs_a_file(small_weights):
    speech("in.wav", 1)
    assert "can be read back" in ok("encode", "in.wav", "-", "--verify", "--model", small_weights, code=2).stderr


def test_weights_that_are_missing_broken_or_others(small_weights, here):
    from nac.models.weights import save_model

    speech("in.wav", 1)
    ok("encode", "in.wav", "-e", "fast", "--model", small_weights)
    save_model(small_model(1, codebook_size=1024), here / "others.safetensors", generation=1)
    (here / "broken.safetensors").write_bytes(b"no weights")
    for weights, message in [("others", "other weights"), ("broken", "weights"), ("missing", "not found")]:
        result = ok("decode", "in.nac", "out.wav", "--model", f"{weights}.safetensors", code=1)
        assert message in result.stderr and result.stderr.count("\n") == 1
    assert not os.path.exists("out.wav")


def test_options_that_the_codec_refuses(small_weights):
    speech("in.wav", 1)
    for option in (["--effort", "huge"], ["--effort", "0"], ["--device", "abacus"], ["--device", "cuda:99"]):
        result = ok("encode", "in.wav", *option, "--model", small_weights, code=2)
        assert result.stderr.count("\n") == 1
    os.mkdir("in")
    speech("in/a.wav", 1)
    speech("in/b.wav", 1)
    result = ok("encode", "in", "-o", "out", "--effort", "huge", "--model", small_weights, code=2)
    assert result.stderr.count("\n") == 1
    assert sorted(os.listdir()) == ["in", "in.wav"]


def test_bad_tags_and_bit_rates_of_the_format(small_weights):
    speech("in.wav", 0.5)
    result = ok("encode", "in.wav", "-t", "A=" + "x" * 70_000, "--model", small_weights, code=2)
    assert "65535" in result.stderr


@pytest.mark.slow
def test_pipes_from_wav_to_wav(small_weights):
    speech("in.wav", 1.5, 16000)
    nac = [sys.executable, "-m", "nac.cli"]
    with open("in.wav", "rb") as file:
        encoder = subprocess.Popen(
            [*nac, "encode", "-", "-", "-e", "fast", "--model", small_weights], stdin=file, stdout=subprocess.PIPE
        )
        decoder = subprocess.run(
            [*nac, "decode", "-", "-", "--model", small_weights],
            stdin=encoder.stdout,
            capture_output=True,
            check=False,
        )
    assert encoder.wait() == 0 and decoder.returncode == 0 and decoder.stderr == b""
    assert len(decoder.stdout) - decoder.stdout.index(b"data") - 8 == 2 * 24000


def test_a_file_tells_its_length_in_the_header(small_weights):
    samples = speech("in.wav", 0.7, 22050)
    ok("encode", "in.wav", "-e", "fast", "-b", 1, "--model", small_weights)
    with open("in.nac", "rb") as file:
        assert read_header(file).samples == samples
        assert file.tell() > HEADER_BYTES
