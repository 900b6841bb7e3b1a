"""The verbs `encode` and `decode` as users call them, with a stand-in for the model."""

import errno
import os
import signal
import struct
import subprocess
import sys
import time

import pytest
import soundfile
from click.testing import CliRunner

import nac
import nac.audio.write as write_module
import nac.files as files_module
from nac.audio import known_formats
from nac.cli import main, options
from nac.cli.decode import FORMATS
from nac.format.header import read_header
from tests.cli_tools import FakeCodec, damaged, nac_bytes, write_audio


@pytest.fixture
def codec(monkeypatch):
    fake = FakeCodec()
    monkeypatch.setattr(options, "load_codec", lambda how, effort=None, live=None: fake)
    return fake


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, **more):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **more)


def fails(code, message, *arguments):
    """The command fails with one line on standard error that holds `message`, and leaves no unfinished file."""
    before = sorted(os.listdir())
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert message in result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nac: "), result.stderr
    assert sorted(os.listdir()) == before


class TestEncode:
    def test_with_options(self, here, codec):
        write_audio(here / "in.wav")
        result = run("encode", "in.wav", "out.nac", "--kbps", 12, "--effort", "best", "-t", "TITLE=Rain", "-t", "A=b=c")
        assert result.exit_code == 0 and result.output == ""
        with open("out.nac", "rb") as file:
            meta = read_header(file)
        assert (meta.kbps, meta.sample_rate, meta.samples) == (12, 44100, 5000)
        assert meta.tags == (("TITLE", "Rain"), ("A", "b=c"))
        assert codec.calls[0][4] == "best"

    def test_beside_the_input_and_into_folders(self, here, codec):
        write_audio(here / "in.wav")
        write_audio(here / "music" / "deep" / "x.flac")
        assert run("encode", "in.wav").exit_code == 0
        assert run("encode", "music", "in.wav", "-o", "coded", "-q").exit_code == 0
        assert os.path.exists("in.nac")
        assert sorted(os.listdir("coded")) == ["deep", "in.nac"]
        assert os.listdir("coded/deep") == ["x.nac"]

    def test_snapped_bit_rate_is_said_on_stderr(self, here, codec):
        write_audio(here / "in.wav")
        result = run("encode", "in.wav", "-b", "6.2")
        assert result.exit_code == 0 and result.stdout == ""
        assert "6 kbps" in result.stderr
        assert codec.calls[0][3] == 6

    def test_existing_output(self, here, codec):
        write_audio(here / "in.wav")
        (here / "in.nac").write_text("precious")
        fails(1, "in.nac exists; use --force", "encode", "in.wav")
        assert run("encode", "in.wav", "--skip-existing").exit_code == 0
        assert (here / "in.nac").read_text() == "precious"
        assert run("encode", "in.wav", "--force").exit_code == 0
        assert (here / "in.nac").read_bytes()[:3] == b"NAC"

    def test_input_as_output(self, here, codec):
        write_audio(here / "in.wav")
        before = (here / "in.wav").read_bytes()
        os.link("in.wav", "same")
        fails(1, "same file", "encode", "in.wav", "same", "--force")
        assert (here / "in.wav").read_bytes() == before

    def test_batch_goes_on_after_a_bad_file(self, here, codec):
        for name in ("a.wav", "c.wav"):
            write_audio(here / "in" / name)
        (here / "in" / "b.wav").write_text("no audio")
        result = run("encode", "in", "-o", "out")
        assert result.exit_code == 1
        assert sorted(os.listdir("out")) == ["a.nac", "c.nac"]
        assert result.stderr.splitlines() == [
            "nac: in/b.wav is not audio that can be read (format not recognised); convert it to WAV or FLAC first",
            "nac: 2 done, 0 skipped, 1 failed",
        ]

    def test_repeating_a_batch_skips_what_is_done(self, here, codec):
        write_audio(here / "in" / "a.wav")
        write_audio(here / "in" / "b.wav")
        run("encode", "in", "-o", "out", "-q")
        write_audio(here / "in" / "c.wav")
        codec.calls.clear()
        result = run("encode", "in", "-o", "out", "--skip-existing")
        assert result.stderr == "nac: 1 done, 2 skipped, 0 failed\n"
        assert len(codec.calls) == 1

    def test_a_warning_about_the_audio_is_one_line(self, here, codec):
        path = write_audio(here / "in.wav")
        path.write_bytes(path.read_bytes()[:-100])
        result = run("encode", "in.wav")
        assert result.exit_code == 0
        assert result.stderr.splitlines() == [
            "nac: in.wav ends before the 5000 samples that its header announces; it may be cut off"
        ]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "no file in.wav"),
            (b"", "empty"),
            (b"Dear diary, this is not audio.\n" * 9, "not audio"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "cut off"),
            (nac_bytes(), "decode it first"),
        ],
        ids=["missing", "zero bytes", "text", "truncated header", "nac file"],
    )
    def test_bad_inputs(self, here, codec, content, message):
        if content is not None:
            (here / "in.wav").write_bytes(content)
        fails(1, message, "encode", "in.wav", "out.nac")

    def test_three_channels(self, here, codec):
        write_audio(here / "in.wav", channels=3)
        fails(1, "3 channels", "encode", "in.wav")

    def test_a_folder_alone(self, here, codec):
        (here / "dir").mkdir()
        fails(2, "say with -o FOLDER", "encode", "dir")
        fails(2, "there are no", "encode", "dir", "-o", "out")

    def test_wrong_options(self, here, codec):
        write_audio(here / "in.wav")
        fails(2, "not a bit rate", "encode", "in.wav", "-b", "0")
        fails(2, "not a bit rate", "encode", "in.wav", "-b", "nan")
        fails(2, "KEY=VALUE", "encode", "in.wav", "-t", "Rain")
        assert run("encode", "in.wav", "-b", "lots").exit_code == 2
        assert run("encode").exit_code == 2
        assert run("encode", "in.wav", "--nonsense").exit_code == 2

    def test_missing_folder_for_the_output(self, here, codec):
        write_audio(here / "in.wav")
        fails(1, "no/out.nac: No such file or directory", "encode", "in.wav", "no/out.nac")

    def test_output_is_a_folder_in_the_way(self, here, codec):
        write_audio(here / "in.wav")
        (here / "in.nac").mkdir()
        fails(1, "in.nac is a folder", "encode", "in.wav", "--force")

    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
    def test_a_disk_that_takes_nothing(self, here, codec, monkeypatch, error):
        class Full(files_module.NewFile):
            def __init__(self, path):
                raise OSError(error, os.strerror(error), path)

        write_audio(here / "in.wav")
        monkeypatch.setattr("tests.cli_tools.NewFile", Full)
        fails(1, f"out.nac: {os.strerror(error)}", "encode", "in.wav", "out.nac")

    def test_a_disk_that_fills_up(self, here, codec, monkeypatch):
        class Full(files_module.NewFile):
            def __init__(self, path):
                super().__init__(path)
                self.file.close()
                self.file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115

        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full here")
        write_audio(here / "in.wav")
        monkeypatch.setattr("tests.cli_tools.NewFile", Full)
        fails(1, "nac: out.nac: No space left on device", "encode", "in.wav", "out.nac")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
    def test_full_device(self, here, codec):
        write_audio(here / "in.wav")
        fails(1, "No space left on device", "encode", "in.wav", "/dev/full")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the super-user may write everywhere")
    def test_read_only_folder(self, here, codec):
        write_audio(here / "in.wav")
        (here / "locked").mkdir(mode=0o500)
        fails(1, "Permission denied", "encode", "in.wav", "locked/out.nac")

    def test_out_of_memory(self, here, codec, monkeypatch):
        def greedy(*arguments, **options):
            raise MemoryError

        write_audio(here / "in.wav")
        monkeypatch.setattr(codec, "encode_file", greedy)
        fails(1, "not enough memory", "encode", "in.wav")

    def test_ctrl_c(self, here, codec, monkeypatch):
        def interrupted(*arguments, **options):
            raise KeyboardInterrupt

        write_audio(here / "in.wav")
        monkeypatch.setattr(codec, "encode_file", interrupted)
        fails(130, "interrupted", "encode", "in.wav")


class TestDecode:
    def test_formats(self, here, codec):
        (here / "a.nac").write_bytes(nac_bytes(44100))
        assert run("decode", "a.nac").exit_code == 0
        assert run("decode", "a.nac", "b.flac").exit_code == 0
        assert run("decode", "a.nac", "c.wav", "--float").exit_code == 0
        assert run("decode", "a.nac", "--format", "aiff").exit_code == 0
        assert run("decode", "a.nac", "x.bin", "--format", "flac").exit_code == 0
        kinds = [
            (soundfile.info(f).format, soundfile.info(f).subtype)
            for f in ("a.wav", "b.flac", "c.wav", "a.aiff", "x.bin")
        ]
        plain = "PCM_16"
        assert kinds == [("WAV", plain), ("FLAC", plain), ("WAV", "FLOAT"), ("AIFF", plain), ("FLAC", plain)]
        assert soundfile.info("a.wav").frames == 44100

    def test_a_part(self, here, codec):
        (here / "a.nac").write_bytes(nac_bytes(44100 * 100))
        assert run("decode", "a.nac", "--start", "1:30", "--duration", "5.5").exit_code == 0
        assert codec.calls[-1][-2:] == (90, 5.5)
        os.remove("a.wav")
        fails(2, "ends at 1:40.000, before --start", "decode", "a.nac", "--start", "1:40")
        result = run("decode", "a.nac", "--start", "soon")
        assert result.exit_code == 2 and "'soon' is not a time" in result.stderr

    def test_a_folder(self, here, codec):
        (here / "in" / "deep").mkdir(parents=True)
        (here / "in" / "deep" / "a.nac").write_bytes(nac_bytes())
        assert run("decode", "in", "-o", "out", "-q", "--format", "flac").exit_code == 0
        assert os.listdir("out/deep") == ["a.flac"]

    def test_damage_is_reported_with_its_time_and_code_3(self, here, codec):
        (here / "a.nac").write_bytes(damaged(nac_bytes()))
        result = run("decode", "a.nac")
        assert result.exit_code == 3
        assert result.stderr.startswith("nac: a.nac: lost from 0:00.980 to 0:02.000: ")
        assert soundfile.info("a.wav").frames == 100_000

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "no file a.nac"),
            (b"", "empty"),
            (b"RIFF" + bytes(100), "not a .nac file"),
            (b"NAC\x01\0\0", "ends inside its header"),
            (b"NAC\x02" + bytes(100), "format version 2"),
            (b"NAC\x01\xff\xff\xff\xff\x06" + bytes(100), "4294967295 bytes of metadata"),
            (b"NAC\0\0\0\0\4\x18null" + bytes(600), "version 0"),
            (nac_bytes()[:30], "ends inside its metadata"),
            (nac_bytes(fingerprint=1), "other weights"),
            (nac_bytes()[:20] + b"?" + nac_bytes()[21:], "metadata is damaged"),
        ],
        ids=["missing", "zero bytes", "magic", "header", "version", "4 GiB", "old", "cut", "weights", "checksum"],
    )
    def test_bad_inputs(self, here, codec, content, message):
        if content is not None:
            (here / "a.nac").write_bytes(content)
        fails(1, message, "decode", "a.nac", "b.wav")

    def test_truncated_payload_is_decoded_as_far_as_possible(self, here, codec):
        (here / "a.nac").write_bytes(nac_bytes()[:-200])
        result = run("decode", "a.nac")
        assert result.exit_code == 3 and "lost from" in result.stderr

    def test_a_folder_as_input(self, here, codec):
        (here / "a.nac").mkdir()
        fails(2, "is a folder", "decode", "a.nac")

    def test_unknown_format(self, here, codec):
        (here / "a.nac").write_bytes(nac_bytes())
        fails(1, "does not tell an audio format", "decode", "a.nac", "b.xyz")
        result = run("decode", "a.nac", "--format", "xyz")
        assert result.exit_code == 2 and "'xyz' is not one of 'wav', 'flac'" in result.stderr
        assert known_formats() == FORMATS
        fails(1, "cannot hold float", "decode", "a.nac", "b.flac", "--float")

    def test_full_disk_while_writing(self, here, codec, monkeypatch):
        class Full(files_module.NewFile):
            def __init__(self, path):
                super().__init__(path)
                self.file.close()
                self.file = open("/dev/full", "wb")  # noqa: SIM115

        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full here")
        (here / "a.nac").write_bytes(nac_bytes())
        (here / "a.wav").write_text("precious")
        monkeypatch.setattr(write_module, "NewFile", Full)
        fails(1, "a.wav: ", "decode", "a.nac", "--force")
        assert (here / "a.wav").read_text() == "precious"


def test_help_shows_examples_and_codes():
    result = run("--help")
    assert result.exit_code == 0 and "Exit codes:" in result.output and "nac encode in.wav" in result.output
    for verb in main.commands:
        result = run(verb, "--help")
        assert result.exit_code == 0 and "Example" in result.output and f"nac {verb}" in result.output


def test_version():
    assert run("--version").output == f"nac {nac.__version__}\n"


SCRIPT = """
import sys, time
from tests.cli_tools import FakeCodec
from nac.audio import known_formats
from nac.cli import main, options
from nac.cli.decode import FORMATS
from nac.files import NewFile
class Slow(FakeCodec):
    def encode_file(self, source, target, **rest):
        if {slow}:
            with NewFile(target) as new:
                new.file.write(b"half")
                print("writing", file=sys.stderr, flush=True)
                time.sleep(60)
        super().encode_file(source, target, **rest)
options.load_codec = lambda how, effort=None, live=None: Slow()
main(prog_name="nac")
"""


def process(*arguments, slow=False, **more):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    root = os.path.dirname(os.path.dirname(__file__))
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(slow=slow), *arguments], env={**os.environ, "PYTHONPATH": root}, **pipes
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_signals_leave_nothing_behind(here, number, code):
    write_audio(here / "in.wav")
    (here / "out.nac").write_text("precious")
    child = process("encode", "in.wav", "out.nac", "--force", slow=True)
    assert b"writing" in child.stderr.readline()
    assert len(os.listdir()) == 3
    child.send_signal(number)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == code
    assert b"Traceback" not in errors
    assert sorted(os.listdir()) == ["in.wav", "out.nac"]
    assert (here / "out.nac").read_text() == "precious"


@pytest.mark.slow
def test_from_pipe_to_pipe(here):
    path = write_audio(here / "in.wav")
    data, errors = process("encode", "-", "-").communicate(path.read_bytes(), timeout=60)
    assert data[:3] == b"NAC" and errors == b""
    audio, errors = process("decode", "-").communicate(data, timeout=60)
    assert audio[:4] == b"RIFF" and errors == b""
    assert len(audio) == 44 + 2 * 5000


def test_a_wav_of_open_length_from_a_pipe(here):
    path = write_audio(here / "in.wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    coded, _ = process("encode", "-", "-").communicate(bytes(data), timeout=60)
    (here / "a.nac").write_bytes(coded)
    with open("a.nac", "rb") as file:
        assert read_header(file).samples == 5000


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error_message(here, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    (here / "a.nac").write_bytes(nac_bytes(44100 * 60))
    child = process("decode", "a.nac", "-")
    child.stdout.read(100)
    child.stdout.close()
    errors = child.stderr.read()
    assert child.wait(timeout=60) == 1
    assert errors == b""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
def test_terminals_are_no_place_for_data(here):
    write_audio(here / "in.wav")
    (here / "a.nac").write_bytes(nac_bytes())
    terminal, end = os.openpty()
    try:
        for arguments in (["encode", "-", "x.nac"], ["encode", "in.wav", "-"], ["decode", "a.nac", "-"]):
            child = process(*arguments, stdin=end, stdout=end)
            errors = child.stderr.read()
            assert child.wait(timeout=60) == 1
            assert b"is a terminal" in errors and errors.count(b"\n") == 1
    finally:
        os.close(terminal)
        os.close(end)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
@pytest.mark.parametrize("quiet", [False, True])
def test_progress_on_a_terminal_only_and_not_if_quiet(here, quiet):
    code = (
        "import time, nac.cli.progress as p\n"
        "p.DELAY = 0\n"
        f"with p.progress('in.wav', lambda: 10.0, quiet={quiet}) as report:\n"
        "    for second in range(1, 11):\n"
        "        time.sleep(0.03)\n"
        "        if report: report(float(second))\n"
    )
    terminal, end = os.openpty()
    fcntl = pytest.importorskip("fcntl")
    termios = pytest.importorskip("termios")
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    child = subprocess.Popen([sys.executable, "-c", code], stderr=end)
    assert child.wait(timeout=60) == 0
    time.sleep(0.1)
    os.set_blocking(terminal, False)
    try:
        shown = os.read(terminal, 100_000)
    except BlockingIOError:
        shown = b""
    os.close(terminal)
    os.close(end)
    assert (b"x real time" in shown) is not quiet
    plain = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=True)
    assert plain.stderr == b""
