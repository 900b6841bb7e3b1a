"""Writing audio: what is written reads back, clips instead of wrapping, and is complete or not there."""

import io
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

import nac.audio.write as write_module
from nac.audio import AudioWriter, format_of, known_formats, open_audio
from nac.errors import AudioError


def signal(samples=5000, channels=2, seed=0):
    return (np.random.default_rng(seed).standard_normal((channels, samples)) * 0.2).astype(np.float32)


def save(path, x, rate=24000, pieces=3, **options):
    with AudioWriter(path, rate, x.shape[0], **options) as writer:
        for piece in np.array_split(x, pieces, axis=1):
            writer.write(piece)


def load(path):
    data, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return data.T, rate


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.AIF", "a.caf", "a.au", "a.w64"])
@pytest.mark.parametrize("channels", [1, 2])
def test_16_bit_formats_hold_the_nearest_step(tmp_path, name, channels):
    x = signal(channels=channels)
    save(tmp_path / name, x)
    y, rate = load(tmp_path / name)
    assert rate == 24000
    assert soundfile.info(tmp_path / name).subtype == "PCM_16"
    np.testing.assert_array_equal(y, np.clip(np.rint(x * 32768), -32768, 32767) / 32768)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
def test_24_bits(tmp_path, name):
    x = np.concatenate([signal(1000), np.full((2, 10), 1.5, np.float32), np.full((2, 10), -1.5, np.float32)], axis=1)
    save(tmp_path / name, x, subtype="pcm24")
    assert soundfile.info(tmp_path / name).subtype == "PCM_24"
    np.testing.assert_array_equal(load(tmp_path / name)[0], np.clip(np.rint(x * 2.0**23), -(2**23), 2**23 - 1) / 2**23)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.caf"])
def test_float_keeps_every_value(tmp_path, name):
    x = signal() * 20
    save(tmp_path / name, x, subtype="float")
    np.testing.assert_array_equal(load(tmp_path / name)[0], x)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.opus"])
def test_lossy_formats_keep_the_length(tmp_path, name):
    t = np.arange(48000) / 24000
    x = np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 880 * t)]).astype(np.float32) * 0.5
    save(tmp_path / name, x)
    y, _ = load(tmp_path / name)
    assert abs(y.shape[1] - 48000) < 2500
    assert 0.2 < np.sqrt(np.mean(y**2)) < 0.5


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
def test_16_bits_clip_and_never_wrap(tmp_path, name):
    x = np.array([[1.0, 1.5, 1e30, np.inf, 0.99999, -1.0, -1.5, -1e30, -np.inf, np.nan]], np.float32)
    save(tmp_path / name, x, pieces=1)
    y, _ = soundfile.read(tmp_path / name, dtype="int16")
    assert y.tolist() == [32767] * 5 + [-32768] * 4 + [0]


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 300),
    channels=st.integers(1, 2),
    pieces=st.integers(1, 5),
    name=st.sampled_from(["a.wav", "a.flac"]),
    known=st.booleans(),
)
@example(samples=0, channels=1, pieces=1, name="a.flac", known=False)
def test_every_length_and_cut_reads_back(tmp_path_factory, samples, channels, pieces, name, known):
    path = tmp_path_factory.mktemp("w") / name
    x = np.rint(signal(samples, channels) * 32768) / 32768
    save(path, x.astype(np.float32), pieces=pieces, frames=samples if known else None)
    unknown = name == "a.flac" and not samples  # which is what FLAC means by 0; libsndfile then refuses to seek
    if not unknown:
        np.testing.assert_array_equal(load(path)[0].reshape(channels, -1), x)
    with open_audio(path) as reader:
        assert reader.frames == (None if unknown else samples)
        assert sum(block.shape[1] for block in reader.blocks()) == samples


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.ogg"])
def test_empty_files_are_valid(tmp_path, name):
    save(tmp_path / name, np.zeros((2, 0), np.float32))
    with open_audio(tmp_path / name) as reader:
        assert (reader.sample_rate, reader.channels) == (24000, 2)
        assert list(reader.blocks()) == []


@pytest.mark.parametrize("name", ["a.mp3", "a.opus"])
def test_formats_without_empty_files_say_so(tmp_path, name):
    with pytest.raises(AudioError, match="nothing to write"):
        save(tmp_path / name, np.zeros((1, 0), np.float32))
    assert os.listdir(tmp_path) == []


def test_plain_wav_has_the_shortest_header(tmp_path):
    save(tmp_path / "a.wav", signal(100, 1), frames=100)
    data = (tmp_path / "a.wav").read_bytes()
    assert len(data) == 44 + 200 and data[36:40] == b"data"
    assert int.from_bytes(data[4:8], "little") == len(data) - 8


@pytest.mark.parametrize("bits", ["pcm16", "pcm24", "float"])
@pytest.mark.parametrize("known", [False, True])
def test_wav_sizes_are_true(tmp_path, bits, known):
    save(tmp_path / "a.wav", signal(101, 1), subtype=bits, frames=101 if known else None)
    data = (tmp_path / "a.wav").read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert len(data) % 2 == 0
    size = 101 * {"pcm16": 2, "pcm24": 3, "float": 4}[bits]
    at = data.index(b"data") + 4
    assert int.from_bytes(data[at : at + 4], "little") == size


class Sparse:
    """A file in which long writes leave holes, so that four gibibytes take no space."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        return self.file.seek(len(data), os.SEEK_CUR) if len(data) >= 1 << 20 else self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.slow
def test_wav_beyond_4_gib_becomes_rf64(tmp_path, monkeypatch):
    class SparseFile(write_module.NewFile):
        def __init__(self, path):
            super().__init__(path)
            self.file = Sparse(self.file)

    monkeypatch.setattr(write_module, "NewFile", SparseFile)
    path, silence, end = tmp_path / "a.wav", np.zeros((1, 1 << 24), np.float32), signal(100, 1)
    with AudioWriter(path, 24000, 1, subtype="float") as writer:
        for _ in range(64):
            writer.write(silence)
        writer.write(end)
    with path.open("rb") as file:
        assert file.read(4) == b"RF64"
    frames = (1 << 30) + 100
    assert soundfile.info(path).frames == frames
    np.testing.assert_array_equal(soundfile.read(path, start=1 << 30, dtype="float32")[0], end[0])
    with open_audio(path) as reader:
        assert reader.frames == frames


def test_what_cannot_become_rf64_stops_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(write_module, "_MAX_WAV", 1000)
    writer = AudioWriter(tmp_path / "a.wav", 24000, 1, frames=400)
    with pytest.raises(AudioError, match="4 GiB"):
        writer.write(signal(600, 1))
    writer = AudioWriter(tmp_path / "a.aiff", 24000, 1)
    with pytest.raises(AudioError, match="4 GiB"):
        writer.write(signal(600, 1))
    assert os.listdir(tmp_path) == []


def test_nothing_is_left_after_an_error(tmp_path):
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    for name in ("a.wav", "a.flac"):
        with pytest.raises(RuntimeError), AudioWriter(tmp_path / name, 24000, 1) as writer:
            writer.write(signal(1000, 1))
            raise RuntimeError
    assert os.listdir(tmp_path) == ["a.wav"]
    assert target.read_bytes() == b"old"


def test_the_target_changes_only_at_the_end(tmp_path):
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    writer = AudioWriter(target, 24000, 1)
    writer.write(signal(1000, 1))
    assert target.read_bytes() == b"old"
    writer.close()
    assert load(target)[0].shape == (1, 1000)
    assert stat.S_IMODE(target.stat().st_mode) & 0o400


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to("real.wav")
    save(tmp_path / "link.wav", signal(10, 1))
    assert (tmp_path / "link.wav").is_symlink()
    assert load(tmp_path / "real.wav")[0].shape == (1, 10)


class FullDisk:
    """A file on a disk with room for `room` bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if self.file.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("room", [0, 20, 5000])
def test_full_disk(tmp_path, monkeypatch, capfd, name, room):
    class Small(write_module.NewFile):
        def __init__(self, path):
            super().__init__(path)
            self.file = FullDisk(self.file, room)

    monkeypatch.setattr(write_module, "NewFile", Small)
    with pytest.raises(AudioError, match=r"cannot write .*a\.\w+: No space left on device"):
        save(tmp_path / name, signal(200_000), 48000)
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr().err == ""  # libsndfile's callbacks would print a traceback here


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_device():
    with pytest.raises(AudioError, match="No space left"):
        save("/dev/full", signal(1000, 1), format="wav")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_devices_are_written_not_replaced():
    save("/dev/null", signal(1000, 1), format="wav")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(AudioError, match="only WAV"):
        save("/dev/null", signal(1000, 1), format="flac")


def test_clear_refusals(tmp_path):
    with pytest.raises(AudioError, match=r"cannot write .*no/a\.wav: No such file"):
        AudioWriter(tmp_path / "no" / "a.wav", 24000, 1)
    (tmp_path / "d.wav").mkdir()
    with pytest.raises(AudioError, match="directory"):
        AudioWriter(tmp_path / "d.wav", 24000, 1)
    with pytest.raises(AudioError, match="does not tell an audio format"):
        AudioWriter(tmp_path / "a.xyz", 24000, 1)
    with pytest.raises(AudioError, match="'xyz' is not an audio format"):
        AudioWriter(tmp_path / "a.wav", 24000, 1, format="xyz")
    with pytest.raises(AudioError, match="cannot hold float"):
        AudioWriter(tmp_path / "a.flac", 24000, 1, subtype="float")
    with pytest.raises(AudioError, match="'pcm12' is not a type of samples"):
        AudioWriter(tmp_path / "a.wav", 24000, 1, subtype="pcm12")
    with pytest.raises(AudioError, match="FLAC cannot be written at 10000000 Hz"):
        AudioWriter(tmp_path / "a.flac", 10_000_000, 1)
    with pytest.raises(AudioError, match=r"shape \[2, n\]"), AudioWriter(tmp_path / "a.wav", 8000, 2) as writer:
        writer.write(signal(5, 1))
    assert os.listdir(tmp_path) == ["d.wav"]


@pytest.mark.parametrize(
    ("name", "rate", "made"),
    [("a.ogg", 1_000_000, 192_000), ("a.ogg", 200_000, 200_000), ("a.opus", 96_000, 48_000), ("a.mp3", 9_000, 11_025)],
)
def test_rates_that_a_format_does_not_have(tmp_path, name, rate, made):
    t = np.arange(rate) / rate
    save(tmp_path / name, np.sin(2 * np.pi * 440 * t).astype(np.float32)[None] * 0.5, rate)
    y, found = load(tmp_path / name)
    assert found == made and abs(y.shape[1] / found - 1) < 0.25
    assert 0.25 < np.sqrt(np.mean(y[:, made // 4 : made // 2] ** 2)) < 0.45


def test_format_is_chosen_by_name_or_option(tmp_path):
    assert format_of("x.Wave") == "wav" and format_of("-") == "wav" and format_of("x.mp3", "FLAC") == "flac"
    assert {"wav", "flac", "ogg"} <= set(known_formats())
    save(tmp_path / "a.bin", signal(), format="flac")
    assert soundfile.info(tmp_path / "a.bin").format == "FLAC"


CODE = """
import numpy as np
from nac.audio import AudioWriter
with AudioWriter("-", 24000, 1, subtype={subtype!r}, frames={frames}) as w:
    for _ in range(3):
        w.write(np.full((1, 1000), 0.25, np.float32))
"""


@pytest.mark.parametrize("subtype", [None, "float"])
@pytest.mark.parametrize("frames", [None, 3000])
def test_standard_output(subtype, frames):
    code = CODE.format(subtype=subtype, frames=frames)
    data = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    at = data.index(b"data")
    size = 3000 * (4 if subtype else 2)
    assert int.from_bytes(data[at + 4 : at + 8], "little") == (size if frames else 0xFFFFFFFF)
    assert len(data) == at + 8 + size
    with open_audio(io.BytesIO(data)) as reader:
        assert np.concatenate(list(reader.blocks()), axis=1).tolist() == [[0.25] * 3000]


def test_a_closed_pipe_is_its_own_error(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe))
        with pytest.raises(BrokenPipeError):
            save("-", signal(1000, 1))
        monkeypatch.undo()
