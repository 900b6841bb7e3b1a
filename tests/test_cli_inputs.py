"""What people feed the command line: names, folders, pipes, channels, tags. With a small model, as a user sees it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from mutagen import id3

import nac.cli.paths
from nac.audio import open_audio
from nac.audio.mix import mix_matrix
from nac.audio.tags import read_tags
from nac.cli import main
from nac.format.header import read_header
from nac.synthetic import formant_voice, speech_like
from tests.cli_tools import nac_bytes

FAST = ["--kbps", "1", "--effort", "fast"]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.fixture
def here(tmp_path, monkeypatch, small_weights):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(small_weights):
    def call(verb, *arguments, data=None):
        model = ["--model", str(small_weights)] if verb in ("encode", "decode") else []
        fast = FAST if verb == "encode" else []
        return CliRunner().invoke(main, [verb, *map(str, arguments), *fast, *model], input=data)

    return call


def header(path):
    with open(path, "rb") as file:
        return read_header(file)


def tone(path, samples=2400, rate=24_000, channels=1, **options):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.repeat(formant_voice(samples / rate + 0.01, rate)[:samples, None], channels, 1)
    soundfile.write(path, x, rate, **options)
    return path


class TestNames:
    """All output of all verbs in any locale."""

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are Unicode")
    @pytest.mark.parametrize("encoding", ["utf-8:strict", "cp1252", "ascii:strict"])
    @pytest.mark.parametrize("arguments", [["info"], ["info", "--json"], ["test"], ["tag"]])
    def test_a_name_and_a_title_that_the_terminal_does_not_know(self, here, encoding, arguments):
        names = [b"bad\xff.nac", "音楽.nac".encode()]
        for name in names:
            (Path(os.fsdecode(name))).write_bytes(nac_bytes(tags=(("TITLE", "雨とé"),)))
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        command = [sys.executable, "-m", "nac", *arguments, *names, b"missing\xff\xe9.nac"]
        result = subprocess.run(command, env=environment, capture_output=True)
        assert result.returncode == 1 and b"Traceback" not in result.stderr
        assert result.stderr.count(b"\n") == 1 and b"No such file" in result.stderr
        if "--json" in arguments:
            facts = [json.loads(line) for line in result.stdout.decode("utf-8").splitlines()]
            assert [item["tags"] for item in facts] == [[["TITLE", "雨とé"]]] * 2
        elif arguments == ["test"]:
            assert result.stdout.count(b"intact") == 2

    def test_a_name_that_begins_with_a_dash(self, here, run):
        tone("-x.wav")
        result = run("encode", "-x.wav")
        assert result.exit_code == 2 and "goes behind two of them: -- -x.wav" in result.stderr
        assert CliRunner().invoke(main, ["info", "-nothing"]).exit_code == 2


class TestParts:
    @pytest.mark.slow
    @pytest.mark.parametrize("unknown", [False, True])
    def test_beyond_the_end_is_the_same_error_from_a_pipe_as_from_a_file(self, here, small_weights, unknown):
        tone("a.wav", 24_000)
        command = [sys.executable, "-m", "nac"]
        model = ["--model", str(small_weights)]
        subprocess.run([*command, "encode", "a.wav", "a.nac", *FAST, *model], check=True)
        if unknown:
            wav = Path("a.wav").read_bytes()
            with open("a.nac", "wb") as out:
                subprocess.run([*command, "encode", "-", "-", *FAST, *model], input=wav, stdout=out, check=True)
            assert header("a.nac").samples is None
        decode = [*command, "decode"]
        with open("a.nac", "rb") as source:
            piped = subprocess.run(
                [*decode, "-", "o.wav", "--start", "100", *model], stdin=source, capture_output=True, text=True
            )
        filed = subprocess.run([*decode, "a.nac", "o.wav", "--start", "100", *model], capture_output=True, text=True)
        assert piped.returncode == filed.returncode == 2
        assert filed.stderr == "nac: a.nac ends at 0:01.000, before --start\n"
        assert piped.stderr == "nac: standard input ends at 0:01.000, before --start\n"
        assert not os.path.exists("o.wav")

    def test_an_end(self, here, run):
        tone("a.wav", 24_000)
        run("encode", "a.wav")
        assert run("decode", "a.nac", "b.wav", "--start", "0.25", "--end", "0.75").exit_code == 0
        assert soundfile.info("b.wav").frames == 12_000
        for wrong in (["--end", "1", "--duration", "1"], ["--start", "1", "--end", "0.5"]):
            assert run("decode", "a.nac", "c.wav", *wrong).exit_code == 2


class TestSeveral:
    def test_results_lie_beside_their_sources(self, here, run):
        for name in ("a.wav", "b.flac", "deep/c.ogg"):
            tone(name)
        result = run("encode", "a.wav", "b.flac", "deep/c.ogg")
        assert (result.exit_code, result.stderr) == (0, "nac: 3 done, 0 skipped, 0 failed\n")
        assert all(map(os.path.exists, ("a.nac", "b.nac", "deep/c.nac")))
        assert run("decode", "a.nac", "b.nac", "--force").exit_code == 0
        assert os.path.exists("b.wav")

    def test_what_would_collide_is_named_and_the_rest_is_done(self, here, run):
        for name in ("a.wav", "a.flac", "b.wav"):
            tone(name)
        result = run("encode", "a.wav", "a.flac", "b.wav", "./b.wav")
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            "nac: a.flac would become a.nac too, like a.wav",
            "nac: ./b.wav is given twice; it is done once",
            "nac: 2 done, 0 skipped, 2 failed",
        ]
        assert os.path.exists("a.nac") and os.path.exists("b.nac")

    def test_folders_whose_contents_would_collide_keep_their_names(self, here, run):
        for name in ("cd1/01.wav", "cd2/01.wav", "cd2/02.wav"):
            tone(name)
        assert run("encode", "cd1", "cd2", "-o", "out").exit_code == 0
        assert [str(path) for path in sorted(Path("out").rglob("*.nac"))] == [
            "out/cd1/01.nac", "out/cd2/01.nac", "out/cd2/02.nac"
        ]  # fmt: skip
        tone("x/cd1/01.wav")
        assert run("encode", "cd1", "x/cd1", "-o", "more").exit_code == 0
        assert sorted(map(str, Path("more").rglob("*.nac"))) == ["more/cd1/01.nac", "more/x/cd1/01.nac"]
        tone("y/other.wav")
        assert run("encode", "cd1", "y", "-o", "flat").exit_code == 0
        assert sorted(os.listdir("flat")) == ["01.nac", "other.nac"]

    def test_names_that_differ_only_by_case(self, here, run, monkeypatch):
        tone("in/A.wav")
        tone("in/a.wav")
        if len(os.listdir("in")) < 2:
            pytest.skip("this file system folds case already")
        assert run("encode", "in", "-o", "out").exit_code == 0
        assert sorted(os.listdir("out")) == ["A.nac", "a.nac"]
        monkeypatch.setattr(nac.cli.paths, "folds_case", lambda folder: True)
        result = run("encode", "in", "-o", "folded", "--force")
        assert result.exit_code == 1
        assert "nac: in/a.wav would become folded/a.nac too, like in/A.wav" in result.stderr
        assert os.listdir("folded") == ["A.nac"]

    def test_a_file_system_that_keeps_case_is_known(self, here):
        Path("Probe").mkdir()
        assert nac.cli.paths.folds_case("Probe/deep") == os.path.exists("pROBE")
        Path("123").mkdir()
        assert nac.cli.paths.folds_case("Probe/123") == os.path.exists("pROBE")


class TestFolders:
    def test_what_is_not_taken_is_told(self, here, run, monkeypatch):
        monkeypatch.setattr(shutil, "which", lambda name: None)
        tone("in/a.wav")
        for name in ("x.m4a", "deep/y.M4A", "z.webm", "film.mp4", "notes.txt", "cover.jpg"):
            Path("in", name).parent.mkdir(exist_ok=True)
            Path("in", name).write_bytes(b"something")
        result = run("encode", "in", "-o", "out")
        assert result.exit_code == 0
        assert result.stderr.splitlines() == [
            "nac: in: 2 .m4a, 1 .mp4, 1 .webm are left out; install ffmpeg to code them, and name films one by one"
        ]

    def test_audio_by_content_and_rarer_endings(self, here, run):
        tone("in/a.sph", format="NIST")
        tone("in/noname", format="FLAC")
        tone("in/b.data", format="WAV")
        tone("in/c.snd2", format="AU")
        Path("in/text").write_text("RIFF is a word")
        assert run("encode", "in", "-o", "out", "-q").exit_code == 0
        assert sorted(os.listdir("out")) == ["a.nac", "b.nac", "c.nac", "noname.nac"]

    def test_links_to_folders_are_followed_once(self, here, run):
        tone("elsewhere/a.wav")
        tone("in/b.wav")
        Path("in/link").symlink_to("../elsewhere")
        Path("elsewhere/back").symlink_to("../in")
        Path("in/self").symlink_to(".")
        result = run("encode", "in", "-o", "out")
        assert (result.exit_code, result.stderr) == (0, "nac: 2 done, 0 skipped, 0 failed\n")
        assert sorted(map(str, Path("out").rglob("*.nac"))) == ["out/b.nac", "out/link/a.nac"]

    def test_info_and_test_take_folders(self, here):
        Path("in/deep").mkdir(parents=True)
        for name in ("in/b.nac", "in/deep/a.nac"):
            Path(name).write_bytes(nac_bytes())
        result = CliRunner().invoke(main, ["test", "in"])
        assert result.exit_code == 0 and result.stdout.count("intact") == 2
        lines = CliRunner().invoke(main, ["info", "--json", "in"]).stdout.splitlines()
        assert [json.loads(line)["file"] for line in lines] == ["in/b.nac", "in/deep/a.nac"]
        Path("empty").mkdir()
        result = CliRunner().invoke(main, ["info", "empty"])
        assert result.exit_code == 2 and result.stderr == "nac: there are no .nac files in empty\n"


class TestRaw:
    @pytest.mark.parametrize(
        ("kind", "subtype"), [("s16le", "PCM_16"), ("u8", "PCM_U8"), ("s24le", "PCM_24"), ("f32le", "FLOAT")]
    )
    @pytest.mark.parametrize("channels", [1, 2])
    def test_samples_without_a_header(self, here, run, kind, subtype, channels):
        tone("a.wav", 8000, 16_000, channels, subtype=subtype)
        raw = tone("a.raw", 8000, 16_000, channels, format="RAW", subtype=subtype)
        options = ["--raw", "--rate", 16_000, "--channels", channels, "--format", kind]
        assert run("encode", "a.raw", "b.nac", *options).exit_code == 0
        assert run("encode", "-", "c.nac", *options, data=raw.read_bytes()).exit_code == 0
        assert run("encode", "a.wav", "a.nac").exit_code == 0
        assert Path("a.nac").read_bytes() == Path("b.nac").read_bytes() == Path("c.nac").read_bytes()

    def test_wrong_combinations(self, here, run):
        tone("a.raw", format="RAW", subtype="PCM_16")
        for wrong in (["--raw"], ["--rate", "8000"], ["--format", "u8"], ["--raw", "--rate", "0"]):
            assert run("encode", "a.raw", "b.nac", *wrong).exit_code == 2

    def test_what_arecord_writes_into_a_pipe(self, here, run):
        """A header for two gibibytes, as large as that program may write, in front of a few samples."""
        data = bytearray(tone("a.wav", 4000, 8000).read_bytes())
        data[4:8], data[40:44] = (0x80000024).to_bytes(4, "little"), (0x80000000).to_bytes(4, "little")
        result = run("encode", "-", "a.nac", data=bytes(data))
        assert (result.exit_code, result.output) == (0, "")
        assert header("a.nac").samples == 4000


class TestChannels:
    def test_six_channels(self, here, run):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((4000, 6)) * 0.1
        soundfile.write("a.wav", x, 24_000, "FLOAT")
        result = run("encode", "a.wav")
        assert result.exit_code == 1 and "--mono and --downmix" in result.stderr
        assert run("encode", "a.wav", "stereo.nac", "--downmix").exit_code == 0
        assert run("encode", "a.wav", "mono.nac", "--mono").exit_code == 0
        assert (header("stereo.nac").channels, header("mono.nac").channels) == (2, 1)
        half = 0.5**0.5
        left = (x[:, 0] + half * x[:, 2] + half * x[:, 4]) / (1 + 2 * half)
        with open_audio("a.wav", channels=2) as reader:
            np.testing.assert_allclose(np.concatenate(list(reader.blocks()), 1)[0], left, atol=1e-6)

    @pytest.mark.parametrize("channels", range(1, 12))
    @pytest.mark.parametrize("wanted", [1, 2])
    def test_folding_never_passes_full_scale(self, channels, wanted):
        matrix = mix_matrix(channels, wanted)
        assert matrix.shape == (wanted, channels) and (matrix >= 0).all()
        assert (matrix.sum(1) <= 1 + 1e-6).all() and (matrix.sum(1) > 0.5).all()
        np.testing.assert_allclose(matrix.sum(1), matrix.sum(1)[0])

    def test_mono_of_stereo_and_downmix_of_what_needs_none(self, here, run):
        tone("a.wav", channels=2)
        assert run("encode", "a.wav", "m.nac", "--mono").exit_code == 0
        assert run("encode", "a.wav", "d.nac", "--downmix").exit_code == 0
        assert (header("m.nac").channels, header("d.nac").channels) == (1, 2)


class TestDecoding:
    @pytest.mark.parametrize("rate", [44_100, 96_000, 11_025, 8000])
    @pytest.mark.parametrize("kind", ["opus", "mp3"])
    def test_rates_that_the_format_does_not_have_are_converted(self, here, run, rate, kind):
        tone("a.wav", rate, rate)
        run("encode", "a.wav")
        assert run("decode", "a.nac", f"b.{kind}").exit_code == 0
        x, found = soundfile.read(f"b.{kind}")
        assert found in (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 44_100, 48_000)
        assert found >= min(rate, 44_100) and abs(len(x) / found - 1) < 0.12

    def test_bits(self, here, run):
        tone("a.wav")
        run("encode", "a.wav")
        for bits in ("16", "24"):
            assert run("decode", "a.nac", f"{bits}.flac", "--bits", bits).exit_code == 0
            assert soundfile.info(f"{bits}.flac").subtype == f"PCM_{bits}"
        assert run("decode", "a.nac", "x.wav", "--bits", "24", "--float").exit_code == 2

    @pytest.mark.slow
    def test_what_is_beyond_full_scale_is_counted_and_headroom_keeps_it(self, here):
        """With the packaged model: that of the other tests is not loud enough."""
        soundfile.write("a.wav", speech_like(24_000) * 8, 24_000, "FLOAT")

        def run(*arguments):
            return CliRunner().invoke(main, [str(argument) for argument in arguments])

        assert run("encode", "a.wav", "--effort", "fast", "--kbps", "24").exit_code == 0
        assert run("decode", "a.nac", "f.wav", "--float").stderr == ""
        whole = soundfile.read("f.wav")[0]
        over = int((np.abs(whole) > 1).sum())
        peak = 20 * np.log10(np.abs(whole).max())
        assert over > 10
        result = run("decode", "a.nac", "c.wav")
        assert result.exit_code == 0
        assert f"c.wav: {over:,} values beyond full scale, by {peak:.1f} dB at most, were clipped" in result.stderr
        headroom = np.ceil(peak * 10) / 10
        result = run("decode", "a.nac", "h.wav", "--headroom", headroom)
        assert (result.exit_code, result.stderr) == (0, "")
        np.testing.assert_allclose(soundfile.read("h.wav")[0] * 10 ** (headroom / 20), whole, atol=1e-3)


TAGS = {
    "TITLE": "Rain é 雨", "ARTIST": "Nobody", "ALBUM": "Weather", "DATE": "2020", "COMMENT": "wet", "TRACKNUMBER": "3",
}  # fmt: skip
ID3 = {"TIT2": "TITLE", "TPE1": "ARTIST", "TALB": "ALBUM", "TDRC": "DATE", "TRCK": "TRACKNUMBER"}


def tagged(kind: str) -> Path:
    container = {"opus": "OGG", "mp3": "MP3"}.get(kind)
    rate, subtype = (48_000, "OPUS") if kind == "opus" else (24_000, None)
    path = tone(f"t.{kind}", 24_000, rate, format=container, subtype=subtype)
    file = mutagen.File(path)
    if kind in ("flac", "ogg", "opus"):
        for key, value in TAGS.items():
            file[key] = value
    else:
        if file.tags is None:
            file.add_tags()
        for frame, key in ID3.items():
            file.tags.add(getattr(id3, frame)(encoding=3, text=TAGS[key]))
        file.tags.add(id3.COMM(encoding=3, lang="eng", desc="", text=TAGS["COMMENT"]))
        file.tags.add(id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=b"picture" * 20_000))
    file.save()
    return path


class TestTags:
    @pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus", "wav", "aiff"])
    def test_they_reach_the_nac_file(self, here, run, kind):
        path = tagged(kind)
        assert run("encode", path, "a.nac").exit_code == 0
        assert dict(header("a.nac").tags) == TAGS
        assert run("encode", path, "b.nac", "--no-tags").exit_code == 0
        assert header("b.nac").tags == () and os.path.getsize("a.nac") < 3000
        assert run("encode", path, "c.nac", "--tag", "title=Mine").exit_code == 0
        assert dict(header("c.nac").tags) == {**{k: v for k, v in TAGS.items() if k != "TITLE"}, "title": "Mine"}

    def test_those_that_libsndfile_writes(self, here, run):
        with soundfile.SoundFile("a.wav", "w", 24_000, 1) as file:
            file.title, file.artist = "Rain", "Nobody"
            file.write(formant_voice(0.2, 24_000))
        assert run("encode", "a.wav").exit_code == 0
        assert dict(header("a.nac").tags) == {"TITLE": "Rain", "ARTIST": "Nobody"}

    @pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus"])
    def test_they_come_back_on_decoding(self, here, run, kind):
        tone("a.wav", 24_000)
        given = {**TAGS, "MOOD": "blue"}
        assert run("encode", "a.wav", *(f"--tag={key}={value}" for key, value in given.items())).exit_code == 0
        assert run("decode", "a.nac", f"b.{kind}").exit_code == 0
        assert dict(read_tags(f"b.{kind}")) == given
        assert abs(soundfile.info(f"b.{kind}").duration - 1) < 0.1
        assert run("decode", "a.nac", f"c.{kind}", "--no-tags").exit_code == 0
        assert dict(read_tags(f"c.{kind}")) == {}
        with open_audio(f"b.{kind}") as one, open_audio(f"c.{kind}") as other:
            np.testing.assert_array_equal(*(np.concatenate(list(reader.blocks()), 1) for reader in (one, other)))

    def test_huge_and_odd_ones_do_no_harm(self, here, run):
        path = tone("a.flac")
        file = mutagen.File(path)
        file["LYRICS"], file["TITLE"] = "la " * 50_000, "Rain"
        file.save()
        result = run("encode", path)
        assert (result.exit_code, header("a.nac").tags) == (0, (("TITLE", "Rain"),))
        assert result.stderr == "nac: a.flac: the tag LYRICS is too long and left out\n"
        tone("b.wav")
        assert run("encode", "b.wav", "--tag", "Größe=1", "--tag", "A=1", "--tag", "a=2").exit_code == 0
        for kind in ("ogg", "mp3", "flac"):
            assert run("decode", "b.nac", f"b.{kind}").exit_code == 0
            assert [value for key, value in read_tags(f"b.{kind}") if key == "A"] == ["1", "2"]


class TestFfmpeg:
    def test_without_it_there_is_a_hint(self, here, run, monkeypatch):
        monkeypatch.setenv("PATH", "")
        Path("a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
        result = run("encode", "a.m4a")
        assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
        assert "convert it to WAV or FLAC first, or install ffmpeg, which nac then uses" in result.stderr

    @needs_ffmpeg
    @pytest.mark.parametrize("kind", ["m4a", "aac", "mka", "webm"])
    def test_with_it_other_files_are_read(self, here, run, kind):
        tone("a.wav", 48_000, 48_000)
        codec = {"webm": "libopus", "mka": "flac"}.get(kind, "aac")
        command = ["ffmpeg", "-v", "error", "-i", "a.wav", "-c:a", codec, "-metadata", "title=Rain", f"x.{kind}"]
        made = subprocess.run(command)
        if made.returncode:
            pytest.skip(f"this ffmpeg cannot write {codec}")
        data = Path(f"x.{kind}").read_bytes()
        result = run("encode", f"x.{kind}", "x.nac")
        assert (result.exit_code, result.output) == (0, "")
        assert run("encode", "-", "y.nac", data=data).exit_code == 0
        assert run("encode", f"x.{kind}", "z.nac", "--no-tags").exit_code == 0
        assert Path("y.nac").read_bytes() == Path("z.nac").read_bytes()
        assert abs(header("x.nac").samples - 48_000) < 4000
        if kind == "m4a":
            assert dict(header("x.nac").tags)["TITLE"] == "Rain"

    @needs_ffmpeg
    def test_garbage_is_still_refused_in_one_line(self, here, run):
        Path("a.m4a").write_bytes(np.random.default_rng(0).bytes(5000))
        result = run("encode", "a.m4a")
        assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1 and "is not audio" in result.stderr

    @needs_ffmpeg
    def test_a_playlist_opens_no_other_files(self, here, run):
        tone("secret.wav")
        Path("a.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nsecret.wav\n")
        Path("b.m4a").write_text("ffconcat version 1.0\nfile secret.wav\n")
        for name in ("a.m3u8", "b.m4a"):
            assert run("encode", name, "x.nac").exit_code == 1
