"""Files in which a decoder stops early: joined, cut, damaged, or with a wrong length in the header. Nothing is lost."""

import io
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from nac.audio import AudioWarning, IncompleteAudioWarning, open_audio
from nac.audio.mpeg import parse_header
from nac.audio.wav import wav_header
from nac.cli import main
from nac.errors import AudioError
from nac.synthetic import formant_voice
from tests.test_audio_read import Pipe, everything, signal

RATE = 44_100


def coded(
    seconds: float, kind: str, subtype: str | None = None, pitch: float = 130.0, rate: int = RATE, **how
) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, formant_voice(seconds, rate, pitch), rate, format=kind, subtype=subtype, **how)
    return buffer.getvalue()


def mp3(seconds: float, pitch: float = 130.0, *, header: bool = True, rate: int = RATE) -> bytes:
    """A file of variable bit rate, with or without its Xing header."""
    data = coded(seconds, "MP3", pitch=pitch, rate=rate, bitrate_mode="VARIABLE", compression_level=0.4)
    frame = parse_header(data)
    assert frame is not None and data[frame.main_data : frame.main_data + 4] == b"Xing"
    return data if header else data[frame.size :]


def id3v2(size: int) -> bytes:
    return b"ID3\x04\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + b"x" * size


def loud(x: np.ndarray, begin: float, end: float, rate: int = RATE) -> float:
    """Root mean square of a stretch in seconds."""
    return float(np.sqrt(np.mean(x[:, round(begin * rate) : round(end * rate)] ** 2)))


def close(x: np.ndarray, seconds: float, tail: int = 3000) -> bool:
    """Whether so many seconds are there, the decoder's delay and padding not counted."""
    return abs(x.shape[1] - round(seconds * RATE)) <= tail


class TestMp3:
    def test_variable_rate_without_a_header_is_read_to_its_end(self):
        quiet_first = np.concatenate([np.zeros(RATE), formant_voice(4, RATE)]).astype(np.float32)
        buffer = io.BytesIO()
        soundfile.write(buffer, quiet_first, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
        data = buffer.getvalue()
        data = data[parse_header(data).size :]
        assert soundfile.info(io.BytesIO(data)).frames > 6 * RATE  # a guess, here too long
        assert close(everything(io.BytesIO(data)), 5)
        loud_first = coded(0.5, "MP3", bitrate_mode="CONSTANT", compression_level=0)  # 320 kbps
        data = loud_first[parse_header(loud_first).size :] + data
        assert soundfile.info(io.BytesIO(data)).frames < 4 * RATE  # and here too short
        assert close(everything(io.BytesIO(data)), 5.5, 4000)
        assert close(everything(Pipe(data, 10_000)), 5.5, 4000)

    @pytest.mark.parametrize("header", [True, False])
    @pytest.mark.parametrize("tags", [b"", b"TAG" + bytes(125) + id3v2(300)])
    def test_joined_files(self, header, tags, capfd):
        data = mp3(2, header=header) + tags + mp3(1, 200.0, header=header) + tags[:128]
        x = everything(io.BytesIO(data))
        assert close(x, 3, 6000) and loud(x, 2.1, 2.9) > 0.01
        if header:  # each part without the silence that the encoder adds, as if it were alone
            parts = [everything(io.BytesIO(mp3(seconds, pitch))) for seconds, pitch in ((2, 130.0), (1, 200.0))]
            np.testing.assert_array_equal(x, np.concatenate(parts, 1))
        assert capfd.readouterr().err == ""

    def test_a_single_file_is_what_libsndfile_reads(self):
        data = mp3(2)
        np.testing.assert_array_equal(
            everything(io.BytesIO(data))[0], soundfile.read(io.BytesIO(data), dtype="float32")[0]
        )

    def test_parts_of_other_rates_and_channels_are_converted(self):
        stereo = io.BytesIO()
        soundfile.write(stereo, np.stack([formant_voice(1, 48_000)] * 2, 1), 48_000, format="MP3")
        with pytest.warns(AudioWarning, match=r"part 2, with 2 channel\(s\) at 48000 Hz, is converted"):
            x = everything(io.BytesIO(mp3(2) + stereo.getvalue()))
        assert x.shape[0] == 1 and close(x, 3) and loud(x, 2.1, 2.9) > 0.01

    def test_what_lies_before_the_first_frame_is_passed_over(self):
        plain = everything(io.BytesIO(mp3(1)))
        for start in (id3v2(5000), id3v2(10) + id3v2(20), bytes(700), b"some words" * 50):
            np.testing.assert_array_equal(everything(io.BytesIO(start + mp3(1))), plain)

    def test_damage_is_told_and_the_rest_is_read(self, capfd):
        data = mp3(3)
        middle = len(data) // 2
        with pytest.warns(IncompleteAudioWarning, match="are neither MP3 frames nor tags"):
            x = everything(io.BytesIO(data[:middle] + b"?" * 5000 + data[middle:]))
        assert close(x, 3)
        assert capfd.readouterr().err == ""

    def test_a_file_that_was_cut_off_is_told(self):
        with pytest.warns(AudioWarning, match="before the end that its header announces; it may be cut off"):
            x = everything(io.BytesIO(mp3(3)[: len(mp3(3)) // 2]))
        assert 0.5 * RATE < x.shape[1] < 2.5 * RATE

    def test_a_part_of_a_file_without_its_beginning(self, capfd):
        data = mp3(3, header=False)
        x = everything(io.BytesIO(data[len(data) // 3 :]))
        assert x.shape[1] > RATE and capfd.readouterr().err == ""

    @pytest.mark.skipif(shutil.which("lame") is None, reason="lame is not installed")
    @pytest.mark.parametrize("options", [("-V4", "-t"), ("-V4",), ("--abr", "96"), ("-b", "320", "-t", "-p")])
    def test_what_lame_makes(self, tmp_path, options):
        soundfile.write(tmp_path / "a.wav", formant_voice(3, RATE), RATE)
        subprocess.run(["lame", "--quiet", *options, tmp_path / "a.wav", tmp_path / "a.mp3"], check=True)
        data = (tmp_path / "a.mp3").read_bytes()
        assert close(everything(tmp_path / "a.mp3"), 3)
        assert close(everything(io.BytesIO(data + data)), 6, 6000)


class TestOgg:
    @pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", RATE), ("OPUS", 48_000)])
    @pytest.mark.parametrize("make", [io.BytesIO, lambda data: Pipe(data, 5000)], ids=["file", "pipe"])
    def test_links_of_a_chain(self, subtype, rate, make):
        parts = [coded(2, "OGG", subtype, rate=rate), coded(1, "OGG", subtype, 200.0, rate)]
        expected = [soundfile.read(io.BytesIO(part), dtype="float32")[0] for part in parts]
        np.testing.assert_array_equal(everything(make(b"".join(parts)))[0], np.concatenate(expected))

    def test_three_links_of_different_kinds(self):
        data = coded(1, "OGG", "VORBIS") + coded(1, "OGG", "OPUS", rate=48_000) + coded(1, "OGG", "VORBIS", rate=22_050)
        with pytest.warns(AudioWarning, match="is converted to the"):
            assert everything(io.BytesIO(data)).shape == (1, 3 * RATE)

    def test_a_link_that_cannot_be_read_is_told_and_the_others_are_read(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        middle = bytearray(coded(1, "OGG", "VORBIS"))
        middle[28:35] = b"\x01vorbit"
        data = coded(1, "OGG", "VORBIS") + bytes(middle) + coded(1, "OGG", "VORBIS", 200.0)
        with pytest.warns(IncompleteAudioWarning, match="part 2 cannot be read"):
            assert everything(io.BytesIO(data)).shape == (1, 2 * RATE)

    @pytest.mark.parametrize("page", [2, 3])
    def test_a_damaged_page_is_told(self, page):
        data = bytearray(coded(3, "OGG", "VORBIS"))
        at = [index for index in range(len(data)) if data[index : index + 4] == b"OggS"][page]
        data[at + 100] ^= 1
        with pytest.warns(IncompleteAudioWarning, match=r"of 132,300 samples \(\d\.\d s\) are missing"):
            x = everything(io.BytesIO(bytes(data)))
        assert 0 < x.shape[1] < 3 * RATE

    def test_tags_in_front(self):
        data = coded(1, "OGG", "VORBIS")
        assert everything(io.BytesIO(id3v2(3000) + data)).shape == (1, RATE)


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "AIFF", "AU"])
@pytest.mark.parametrize("make", [io.BytesIO, lambda data: Pipe(data, 5000)], ids=["file", "pipe"])
def test_joined_files_of_other_kinds(kind, make):
    x = everything(make(coded(0.5, kind) + coded(0.3, kind, pitch=200.0)))
    np.testing.assert_allclose(
        x[0], np.concatenate([formant_voice(0.5, RATE), formant_voice(0.3, RATE, 200.0)]), atol=1e-4
    )


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "AIFF"])
def test_tags_in_front_of_other_kinds(kind):
    assert everything(io.BytesIO(id3v2(3000) + coded(0.5, kind))).shape == (1, RATE // 2)


class TestWav:
    @pytest.mark.parametrize("make", [io.BytesIO, Pipe])
    def test_bytes_that_nobody_announced_are_told(self, make):
        data = coded(0.1, "WAV")
        with pytest.warns(IncompleteAudioWarning, match="4,000 bytes behind the samples"):
            x = everything(make(data + b"\x01\xff" * 2000))
        assert x.shape == (1, RATE // 10)

    @pytest.mark.parametrize("make", [io.BytesIO, Pipe])
    @pytest.mark.parametrize("tail", [b"LIST\4\0\0\0INFO", b"TAG" + bytes(125), bytes(500), id3v2(30)])
    @pytest.mark.filterwarnings("error")
    def test_chunks_tags_and_zeros_behind_are_no_samples(self, make, tail):
        assert everything(make(coded(0.1, "WAV") + tail)).shape == (1, RATE // 10)

    def test_sizes_that_have_lost_their_33rd_bit(self, tmp_path):
        """A file above 4 GiB whose writer did not know of RF64; a hole in the file instead of samples."""
        frames = (1 << 31) + 50_000
        path = tmp_path / "long.wav"
        head = bytearray(wav_header(RATE, 1, 16, is_float=False, data_bytes=(2 * frames) % (1 << 32)))
        with path.open("wb") as file:
            file.write(head)
            file.seek(len(head) + (1 << 32) - 200_000)
            file.write(b"\1\2" * 250_000)
            file.truncate(len(head) + 2 * frames)
        with open_audio(path) as reader:
            assert reader.frames == frames

    def test_a_true_size_of_two_gib_with_a_chunk_behind(self, tmp_path):
        path = tmp_path / "long.wav"
        head = wav_header(RATE, 1, 16, is_float=False, data_bytes=0x80000000)
        with path.open("wb") as file:
            file.write(head)
            file.seek(len(head) + 0x80000000)
            file.write(b"LIST\4\0\0\0INFO")
        with open_audio(path) as reader:
            assert reader.frames == 1 << 30

    def test_a_second_part_with_a_broken_header_is_told(self):
        with pytest.warns(IncompleteAudioWarning, match="behind its samples"):
            everything(io.BytesIO(coded(0.1, "WAV") + coded(0.1, "WAV")[:30]))


def test_mp3_that_is_nothing_but_a_start_is_an_error():
    with pytest.raises(AudioError):
        everything(io.BytesIO(mp3(1)[:200]))


def test_a_long_random_file_is_refused():
    with pytest.raises(AudioError, match="not audio"):
        everything(io.BytesIO(np.random.default_rng(0).bytes(200_000)))


class TestCommand:
    """What somebody sees who encodes such files."""

    def encode(self, path, data):
        path.write_bytes(data)
        return CliRunner().invoke(main, ["encode", str(path), "--kbps", "1", "--effort", "fast"])

    def test_the_whole_chain_is_coded(self, tmp_path):
        result = self.encode(tmp_path / "a.ogg", coded(1, "OGG", "VORBIS") + coded(0.5, "OGG", "VORBIS"))
        assert (result.exit_code, result.output) == (0, "")
        assert "66,150 samples" in CliRunner().invoke(main, ["info", str(tmp_path / "a.nac")]).output

    def test_joined_mp3_files_write_nothing_to_the_terminal(self, tmp_path, capfd):
        result = self.encode(tmp_path / "a.mp3", mp3(0.5) + mp3(0.5))
        assert (result.exit_code, result.output) == (0, "")
        assert capfd.readouterr().err == ""  # nor do the libraries

    def test_what_was_not_read_is_one_line_and_exit_code_3(self, tmp_path):
        result = self.encode(tmp_path / "a.wav", coded(0.1, "WAV") + signal(500).tobytes())
        assert result.exit_code == 3
        assert (
            result.stderr
            == f"nac: {tmp_path}/a.wav: 4,000 bytes behind the samples that its header announces are not read\n"
        )
        assert (tmp_path / "a.nac").exists()


def test_lengths_in_headers_of_other_kinds_that_nobody_filled_in(tmp_path):
    au = bytearray(coded(0.1, "AU"))
    au[8:12] = b"\xff" * 4
    assert everything(io.BytesIO(bytes(au))).shape == (1, 4410)
    w64 = bytearray(coded(0.1, "W64"))
    for at, last in ((16, 0xFF), (w64.index(b"data\xf3") + 16, 0x7F)):  # as ffmpeg writes into a pipe
        w64[at : at + 8] = b"\xff" * 7 + bytes([last])
    (tmp_path / "a.w64").write_bytes(w64)
    assert everything(tmp_path / "a.w64").shape == (1, 4410)
