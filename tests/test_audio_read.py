"""Reading audio: every format and pipe gives the same samples; broken input gives one clear line."""

import io
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nac.audio import AudioWarning, open_audio
from nac.audio.wav import wav_header
from nac.errors import AudioError


class Pipe(io.RawIOBase):
    """A stream that cannot seek and hands out at most `most` bytes at a time."""

    def __init__(self, data, most=1000):
        self.data, self.most = io.BytesIO(data), most

    def read(self, size=-1):
        return self.data.read(self.most if size < 0 else min(size, self.most))

    def seekable(self):
        return False


def signal(samples=5000, channels=2, seed=0):
    return (np.random.default_rng(seed).standard_normal((channels, samples)) * 0.2).astype(np.float32)


def everything(source, block=777):
    with open_audio(source) as reader:
        blocks = list(reader.blocks(block))
        assert all(b.dtype == np.float32 and b.shape == (reader.channels, block) for b in blocks[:-1])
        assert all(0 < b.shape[1] <= block for b in blocks)
        return np.concatenate([np.zeros((reader.channels, 0), np.float32), *blocks], axis=1)


def encoded(x, rate=44100, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, x.T, rate, **options)
    return buffer.getvalue()


FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
    ("WAVEX", "PCM_16"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"),
    ("W64", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_16"), ("CAF", "PCM_16"), ("AU", "PCM_16"),
    ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
def test_file_and_pipe_give_what_libsndfile_gives(tmp_path, kind, subtype):
    data = encoded(signal(), format=kind, subtype=subtype)
    path = tmp_path / "sound.bin"
    path.write_bytes(data)
    expected = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T
    np.testing.assert_array_equal(everything(path), expected)
    np.testing.assert_array_equal(everything(io.BytesIO(data)), expected)
    np.testing.assert_array_equal(everything(Pipe(data)), expected)
    with open_audio(path) as reader:
        assert (reader.sample_rate, reader.channels) == (44100, 2)
        assert reader.frames == (None if kind in ("MP3", "OGG") else expected.shape[1])
        assert reader.expected is not None


def test_opus_is_read_in_blocks_without_clicks():
    # Reading Opus in short blocks with a seek after each, as soundfile does, goes wrong in the last page.
    x = np.stack([signal(50000, 1)[0], np.sin(np.arange(50000) * 0.05)])
    data = encoded(x, 48000, format="OGG", subtype="OPUS")
    np.testing.assert_array_equal(everything(io.BytesIO(data), 777), everything(io.BytesIO(data), 50000))


def test_flac_of_unknown_length():
    data = bytearray(encoded(signal(), format="FLAC"))
    # The number of samples is the last 36 bits in front of the checksum of STREAMINFO; zero means unknown.
    data[8 + 13] &= 0xF0
    data[8 + 14 : 8 + 18] = bytes(4)
    with open_audio(io.BytesIO(bytes(data))) as reader:
        assert reader.frames is None
        assert sum(b.shape[1] for b in reader.blocks(600)) == 5000


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 300),
    channels=st.integers(1, 2),
    block=st.integers(1, 400),
    most=st.integers(1, 100),
    subtype=st.sampled_from(["PCM_16", "PCM_24", "FLOAT"]),
)
def test_every_length_block_and_pipe_cut(samples, channels, block, most, subtype):
    x = signal(samples, channels)
    data = encoded(x, format="WAV", subtype=subtype)
    expected = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T
    np.testing.assert_array_equal(everything(Pipe(data, most), block), expected)
    np.testing.assert_array_equal(everything(io.BytesIO(data), block), expected)


@pytest.mark.parametrize("samples", [0, 1])
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "W64"])
def test_shortest_files(samples, kind):
    data = encoded(signal(samples, 1), format=kind)
    assert everything(io.BytesIO(data)).shape == (1, samples)
    assert everything(Pipe(data)).shape == (1, samples)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
@pytest.mark.parametrize("outer", [0, 36, 0xFFFFFFFF, 0x7FFFF024])
def test_wav_of_unknown_length(tmp_path, size, outer):
    x = np.round(signal() * 32768) / 32768
    body = (x.T * 32768).astype("<i2").tobytes()
    head = bytearray(wav_header(48000, 2, 16, is_float=False, data_bytes=None))
    head[4:8], head[40:44] = struct.pack("<I", outer), struct.pack("<I", size)
    path = tmp_path / "piped.wav"
    path.write_bytes(bytes(head) + body)
    with open_audio(Pipe(path.read_bytes())) as reader:
        assert reader.frames is None and reader.expected is None
    np.testing.assert_array_equal(everything(Pipe(path.read_bytes())), x)
    np.testing.assert_array_equal(everything(path), x)
    with open_audio(path) as reader:
        assert reader.frames == 5000


def test_rf64_from_a_pipe_with_open_sizes():
    data = bytearray(encoded(signal(), format="RF64", subtype="PCM_16"))
    at = data.index(b"ds64") + 8
    data[at : at + 24] = bytes(24)
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert everything(Pipe(bytes(data))).shape == (2, 5000)


def test_an_empty_data_chunk_with_others_behind_it_is_empty():
    head = wav_header(8000, 1, 16, is_float=False, data_bytes=0)
    tail = b"LIST" + struct.pack("<I", 4) + b"INFO"
    data = head[:4] + struct.pack("<I", 36 + len(tail)) + head[8:] + tail
    assert everything(Pipe(data)).shape == (1, 0)


def test_chunks_around_the_samples_are_no_samples():
    data = encoded(signal(100, 1), format="WAV")
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    at = data.index(b"fmt ")
    assert everything(Pipe(data[:at] + odd + data[at:] + odd)).shape == (1, 100)


def test_values_beyond_full_scale_and_constants_pass():
    x = np.array([[3.5, -7.25, 1.0, -1.0, 0.3, 0.3]], np.float32)
    np.testing.assert_array_equal(everything(io.BytesIO(encoded(x, format="WAV", subtype="FLOAT"))), x)
    full = np.array([[-1.0, 32767 / 32768]], np.float32)
    np.testing.assert_array_equal(everything(io.BytesIO(encoded(full, format="WAV"))), full)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_become_silence_with_a_warning(bad):
    x = signal(3000)
    x[1, 2000] = bad
    with pytest.warns(AudioWarning, match=r"1 samples from 0\.250 s on"):
        y = everything(io.BytesIO(encoded(x, 8000, format="WAV", subtype="FLOAT")))
    x[1, 2000] = 0
    np.testing.assert_array_equal(y, x)


def test_double_beyond_float_is_infinite_and_cleaned():
    x = np.array([[1e300, 0.5]])
    with pytest.warns(AudioWarning):
        y = everything(io.BytesIO(encoded(x, format="WAV", subtype="DOUBLE")))
    np.testing.assert_array_equal(y, [[0, 0.5]])


@pytest.mark.parametrize("make", [io.BytesIO, Pipe], ids=["file", "pipe"])
def test_truncated_wav_warns_and_gives_what_is_there(make):
    data = encoded(signal(1000), format="WAV")[:-1001]
    with pytest.warns(AudioWarning, match="1000 samples"):
        y = everything(make(data))
    assert y.shape == (2, 749)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize("keep", [0.003, 0.5, 0.99])
@pytest.mark.filterwarnings("ignore::nac.audio.AudioWarning")
def test_truncated_files_end_in_fewer_samples_or_one_line(kind, keep):
    data = encoded(signal(20000), format=kind)
    try:
        y = everything(io.BytesIO(data[: int(len(data) * keep)]))
    except AudioError as error:
        assert "\n" not in str(error)
    else:
        assert y.shape[1] < 20000 or kind == "MP3"


def test_truncated_flac_is_an_error_not_a_shorter_file():
    data = encoded(signal(20000), format="FLAC")
    with pytest.raises(AudioError, match="damaged or cut off"):
        everything(io.BytesIO(data[: len(data) // 2]))


@pytest.mark.parametrize("cut", range(0, 44))
def test_wav_header_cut_anywhere(cut):
    data = encoded(signal(100, 1), format="WAV")
    assert data[36:40] == b"data"
    for make in (io.BytesIO, Pipe):
        with pytest.raises(AudioError) as caught:
            everything(make(data[:cut]))
        assert "\n" not in str(caught.value)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 60), value=st.integers(0, 255), pipe=st.booleans())
@pytest.mark.filterwarnings("ignore::nac.audio.AudioWarning")
def test_a_wrong_byte_in_a_header_never_surprises(position, value, pipe):
    data = bytearray(encoded(signal(100, 1), format="WAV", subtype="FLOAT"))
    data[position] = value
    try:
        y = everything(Pipe(bytes(data)) if pipe else io.BytesIO(bytes(data)))
    except AudioError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(y).all()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), pipe=st.booleans())
@pytest.mark.filterwarnings("ignore::nac.audio.AudioWarning")
def test_any_bytes_are_audio_or_refused(data, pipe):
    try:
        everything(Pipe(data) if pipe else io.BytesIO(data))
    except AudioError as error:
        assert "\n" not in str(error)


def test_bad_paths(tmp_path):
    with pytest.raises(AudioError, match="no file"):
        open_audio(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="folder"):
        open_audio(tmp_path)
    text = tmp_path / "text.wav"
    text.write_text("this is no audio at all, whatever its name says\n" * 10)
    with pytest.raises(AudioError, match=r"text\.wav is not audio"):
        open_audio(text)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match="empty"):
        open_audio(tmp_path / "empty.wav")
    with pytest.raises(AudioError, match="empty"):
        open_audio(Pipe(b""))
    with pytest.raises(AudioError, match="not audio"):
        open_audio(Pipe(b"some text" * 100))
    with pytest.raises(AudioError, match="cannot read"):
        open_audio("a\0b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the super-user may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "locked.wav"
    path.write_bytes(encoded(signal(10), format="WAV"))
    path.chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        open_audio(path)


@pytest.mark.parametrize("make", [io.BytesIO, Pipe], ids=["file", "pipe"])
def test_a_nac_file_is_not_audio(make):
    with pytest.raises(AudioError, match="decode it first"):
        open_audio(make(b"NAC\1" + bytes(100)))


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_three_channels_are_refused(kind):
    with pytest.raises(AudioError, match="3 channels"):
        open_audio(io.BytesIO(encoded(signal(100, 3), format=kind)))


def test_a_rate_beyond_the_format_is_refused():
    with pytest.raises(AudioError, match="sample rate"):
        open_audio(io.BytesIO(wav_header(0x1000000, 1, 16, is_float=False, data_bytes=0)))
    with pytest.raises(AudioError, match="sample rate"):
        open_audio(io.BytesIO(wav_header(0, 1, 16, is_float=False, data_bytes=0)))


def test_a_file_object_of_the_caller_stays_open():
    stream = io.BytesIO(encoded(signal(), format="FLAC"))
    everything(stream)
    assert not stream.closed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_named_pipe(tmp_path, kind):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = encoded(signal(), format=kind)
    writer = threading.Thread(target=lambda: path.open("wb").write(data))
    writer.start()
    assert everything(path).shape == (2, 5000)
    writer.join()


@pytest.mark.parametrize("redirect", [False, True], ids=["pipe", "redirected file"])
@pytest.mark.parametrize("kind", ["WAV", "OGG"])
def test_standard_input(tmp_path, kind, redirect):
    data = encoded(signal(), format=kind)
    path = tmp_path / "in"
    path.write_bytes(data)
    code = "from nac.audio import open_audio; print(sum(b.shape[1] for b in open_audio('-').blocks(999)))"
    with path.open("rb") as file:
        how = {"stdin": file} if redirect else {"input": data}
        run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, **how)
    assert int(run.stdout) == 5000
