"""The verbs that change or check files without the model."""

import io
import os

import pytest
from click.testing import CliRunner

from nac.cli import main
from nac.format.entropy.tables import save_tables
from nac.format.header import read_header
from nac.format.layout import ENTROPY
from tests.cli_tools import FINGERPRINT, damaged, nac_bytes
from tests.format.tables import make_arrays


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.nac").write_bytes(nac_bytes(24000 * 10, 24000, kbps=12, tags=(("TITLE", "Rain"),)))
    return tmp_path


def run(*arguments, code=0, data=None):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=data)
    assert result.exit_code == code, result.output
    if code:
        assert all(line.startswith("nac: ") for line in result.stderr.splitlines())
    return result


def meta(name):
    with open(name, "rb") as file:
        return read_header(file)


def test_reduce(here):
    run("reduce", "a.nac", "b.nac", "--kbps", 6)
    assert (meta("b.nac").kbps, meta("b.nac").samples, meta("b.nac").tags) == (6, 240_000, (("TITLE", "Rain"),))
    assert os.path.getsize("b.nac") < 0.52 * os.path.getsize("a.nac")
    run("reduce", "a.nac", "-o", "small", "-b", 3, "-q")
    assert meta("small/a.nac").kbps == 3
    assert "exists" in run("reduce", "a.nac", "b.nac", "-b", 6, code=1).stderr
    assert "cannot be reduced" in run("reduce", "b.nac", "c.nac", "-b", 12, code=2).stderr
    assert "its own output" in run("reduce", "a.nac", "-b", 6, code=2).stderr
    assert "same file" in run("reduce", "a.nac", "a.nac", "-b", 6, "--force", code=1).stderr
    assert sorted(os.listdir()) == ["a.nac", "b.nac", "small"]


def test_reduce_through_pipes(here):
    data = (here / "a.nac").read_bytes()
    result = run("reduce", "-", "-", "-b", 6, data=data)
    assert read_header(io.BytesIO(result.stdout_bytes)).kbps == 6


def test_trim():
    result = run("trim", "a.nac", "b.nac", "--start", "0:02.005", "--duration", 3)
    assert "begins at 0:02.000" in result.stderr and result.stdout == ""
    assert meta("b.nac").samples == 72120
    assert run("trim", "a.nac", "c.nac", "--start", "2", "--end", "0:05").output == ""
    assert meta("c.nac").samples == 72000
    assert "not both" in run("trim", "a.nac", "d.nac", "--end", 3, "--duration", 3, code=2).stderr
    assert "nothing is left" in run("trim", "a.nac", "d.nac", "--start", 11, code=2).stderr
    assert "exists" in run("trim", "a.nac", "c.nac", code=1).stderr
    assert sorted(os.listdir()) == ["a.nac", "b.nac", "c.nac"]


def test_cat(here):
    run("trim", "a.nac", "1.nac", "--end", 4)
    run("trim", "a.nac", "2.nac", "--start", 4)
    run("cat", "1.nac", "2.nac", "-o", "whole.nac")
    assert (here / "whole.nac").read_bytes() == (here / "a.nac").read_bytes()
    assert "exists" in run("cat", "1.nac", "2.nac", "-o", "whole.nac", code=1).stderr
    assert "same file" in run("cat", "1.nac", "2.nac", "-o", "2.nac", "-f", code=1).stderr
    (here / "other.nac").write_bytes(nac_bytes(rate=8000))
    assert "cannot be joined" in run("cat", "1.nac", "other.nac", "-o", "x.nac", code=2).stderr
    assert "no file 3.nac" in run("cat", "1.nac", "3.nac", "-o", "x.nac", code=1).stderr
    assert not os.path.exists("x.nac")
    result = run("cat", "1.nac", "2.nac", "-o", "-")
    assert result.stdout_bytes == (here / "a.nac").read_bytes()


def test_cat_tells_of_the_silence_it_adds(here):
    (here / "b.nac").write_bytes(nac_bytes(24000 * 10 + 24, 24000, kbps=12))
    result = run("cat", "b.nac", "a.nac", "b.nac", "-o", "both.nac")
    added = meta("both.nac").samples - 2 * 240_024 - 240_000
    assert f"{added / 24:.0f} ms of silence added at 2 of 2 joints" in result.stderr
    run("trim", "a.nac", "1.nac", "--end", 4)
    run("trim", "a.nac", "2.nac", "--start", 4)
    assert run("cat", "1.nac", "2.nac", "-o", "whole.nac").output == ""
    assert "1 of 2 joints" in run("cat", "1.nac", "2.nac", "1.nac", "-o", "three.nac").stderr


def test_files_of_other_weights_are_edited_with_their_tables(here):
    """Entropy tables are found beside the weights that --model names, and only there and in the package."""
    (here / "own.safetensors").write_bytes(b"never read")
    save_tables(here / "own.tables.safetensors", make_arrays(codebooks=24), FINGERPRINT)
    run("reduce", "a.nac", "coded.nac", "-b", 12, "--entropy", "--model", "own.safetensors")
    assert meta("coded.nac").coding == ENTROPY
    edits = (
        ["reduce", "coded.nac", "low.nac", "-b", 5],
        ["reduce", "coded.nac", "packed.nac", "-b", 12, "--no-entropy"],
        ["trim", "coded.nac", "part.nac", "--start", 0.1],
        ["cat", "a.nac", "coded.nac", "-o", "both.nac"],
    )
    for arguments in edits:
        assert "needs the entropy tables" in run(*arguments, code=1).stderr
        run(*arguments, "--model", "own.safetensors")
        assert "not found" in run(*arguments, "-f", "--model", "none.safetensors", code=1).stderr
    assert (here / "packed.nac").read_bytes() == (here / "a.nac").read_bytes()
    assert "no entropy tables for" in run("reduce", "a.nac", "x.nac", "-b", 12, "--entropy", code=1).stderr


def test_tag(here):
    assert run("tag", "a.nac").output == "TITLE=Rain\n"
    run("tag", "a.nac", "-s", "ARTIST=Nobody", "-s", "ARTIST=Somebody")
    assert meta("a.nac").tags == (("TITLE", "Rain"), ("ARTIST", "Nobody"), ("ARTIST", "Somebody"))
    run("tag", "a.nac", "--remove", "artist", "--set", "NOTE=a\x1bb=c")
    assert meta("a.nac").tags == (("TITLE", "Rain"), ("NOTE", "a\x1bb=c"))
    assert "NOTE=a\\x1bb=c" in run("tag", "a.nac").output
    run("tag", "a.nac", "--clear", "-s", "X=1")
    assert meta("a.nac").tags == (("X", "1"),)
    (here / "b.nac").write_bytes(nac_bytes(tags=(("Y", "2"),)))
    result = run("tag", "a.nac", "missing.nac", "b.nac", code=1)
    assert result.stdout == "a.nac: X=1\nb.nac: Y=2\n" and "missing.nac" in result.stderr
    assert "KEY=VALUE" in run("tag", "a.nac", "-s", "X", code=2).stderr
    run("test", "a.nac", "b.nac")


def test_test(here):
    (here / "b.nac").write_bytes(damaged(nac_bytes()))
    (here / "old.nac").write_bytes(bytes.fromhex("4e41430000000004186e756c6c") + bytes(600))
    assert run("test", "a.nac").output == "a.nac: intact, 11 blocks\n"
    assert run("test", "a.nac", "-q").output == ""
    result = run("test", "b.nac", "a.nac", code=3)
    assert result.stdout == "a.nac: intact, 11 blocks\n"
    assert result.stderr.startswith("nac: b.nac: lost from 0:00.980 to 0:02.000")
    assert "version 0" in run("test", "old.nac", code=1).stderr
    assert run("test", "b.nac", "missing.nac", code=1).stderr.count("\n") == 2
    assert run("test", "-", data=(here / "a.nac").read_bytes()).output == "standard input: intact, 11 blocks\n"


def test_damaged_files_are_not_edited(here):
    (here / "b.nac").write_bytes(damaged(nac_bytes()))
    for arguments in (
        ["reduce", "b.nac", "c.nac", "-b", 3],
        ["trim", "b.nac", "c.nac", "--start", 1],
        ["cat", "b.nac", "b.nac", "-o", "c.nac"],
    ):
        assert "damaged" in run(*arguments, code=1).stderr
    assert sorted(os.listdir()) == ["a.nac", "b.nac"]
