"""`nac info`: facts, damage, version 0, and what it must not do."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nac.cli import main
from nac.cli.weights import read_weights_header
from tests.cli_tools import damaged, nac_bytes

VERSION_0 = bytes.fromhex("4e41430000000004186e756c6c") + bytes(156_000)


def run(*arguments, data=None):
    return CliRunner().invoke(main, ["info", *map(str, arguments)], input=data)


def weights_file(path, **notes):
    header = json.dumps({"__metadata__": notes}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.nac"
    path.write_bytes(nac_bytes(tags=(("TITLE", "Rain"), ("NOTE", "a\x1b[2Jb"))))
    return path


def test_for_people(file):
    result = run(file)
    assert result.exit_code == 0
    lines = {line[2:13].strip(): line[14:] for line in result.output.splitlines()[1:]}
    assert lines["duration"] == "0:02.268 (100,000 samples)"
    assert lines["original"] == "44100 Hz, mono"
    assert lines["bandwidth"] == "up to 12 kHz"
    assert lines["codes"] == "12 codebooks of 1024 codes, 50 frames a second"
    assert lines["checksums"] == "intact (3 blocks)"
    assert "fingerprint 12345678" in lines["model"]
    assert "TITLE=Rain" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kbps", [1, 6, 24])
@pytest.mark.parametrize("unknown", [False, True])
def test_numbers_are_true(tmp_path, channels, kbps, unknown):
    data = nac_bytes(480_000, 48000, channels, kbps, unknown)
    path = tmp_path / "a.nac"
    path.write_bytes(data)
    facts = json.loads(run("--json", path).output)
    frames = 501
    assert facts["duration"] == 10 and facts["samples"] == 480_000
    assert facts["frames"] == frames and facts["codebooks"] == 2 * kbps
    assert facts["bytes"] == len(data)
    assert facts["file_kbps"] == pytest.approx(len(data) * 8 / 10_000)
    assert facts["payload_bytes"] * 8 == pytest.approx(frames * 2 * kbps * 10, abs=8 * 11)
    assert facts["codes_kbps"] == pytest.approx(facts["payload_bytes"] * 8 / 10_000)
    assert facts["ratio"] == pytest.approx(480_000 * 2 * channels / len(data))
    assert facts["intact"] is True


def test_bandwidth_of_a_slow_original():
    assert json.loads(run("--json", "-", data=nac_bytes(rate=8000)).output)["bandwidth"] == 4000


def test_empty_recording(tmp_path):
    path = tmp_path / "a.nac"
    path.write_bytes(nac_bytes(0))
    result = run(path)
    assert result.exit_code == 0 and "0:00.000 (0 samples)" in result.output
    assert json.loads(run("--json", path).output)["file_kbps"] is None


def test_damage_is_located_and_coded_3(file):
    file.write_bytes(damaged(nac_bytes()))
    result = run(file)
    assert result.exit_code == 3
    assert "DAMAGED: 1 of 3 blocks are lost" in result.output
    assert "lost from 0:00.980 to 0:02.000" in result.output
    (item,) = json.loads(run("--json", file).output)["damage"]
    assert (item["first_frame"], item["frames"]) == (50, 50)


def test_cut_file_of_unknown_length_is_estimated(tmp_path):
    path = tmp_path / "a.nac"
    path.write_bytes(nac_bytes(unknown=True)[:-30])
    result = run(path)
    assert result.exit_code == 3
    assert "about" in result.output


def test_version_0_is_explained(tmp_path):
    path = tmp_path / "old.nac"
    path.write_bytes(VERSION_0)
    result = run(path)
    assert result.exit_code == 0
    assert "about 0:52.000" in result.output and "not decoded" in result.output and "24 kbps" in result.output
    facts = json.loads(run("--json", path).output)
    assert facts["version"] == 0 and facts["estimated_duration"] == 52 and facts["bytes"] == len(VERSION_0)


def test_standard_input_needs_no_seeking():
    result = run("-", data=nac_bytes(unknown=True))
    assert result.exit_code == 0 and "standard input" in result.output and "100,000 samples" in result.output


def test_weights_are_compared(tmp_path, file):
    ours = weights_file(tmp_path / "w.safetensors", fingerprint="12345678", generation="4")
    assert "the weights here decode it, generation 4" in run(file, "--model", ours).output
    others = weights_file(tmp_path / "o.safetensors", fingerprint="0badcafe", generation="1")
    assert "others (0badcafe) and cannot decode it" in run(file, "--model", others).output
    assert "no weights here" in run(file, "--model", tmp_path / "missing").output
    old = tmp_path / "old.nac"
    old.write_bytes(nac_bytes(fingerprint=0xE83A7807))
    told = run(old, "--model", ours).output
    assert "cannot decode it; decode it with nac==0.1.0, which" in told and "(generation 2)" in told
    assert json.loads(run("--json", file, "--model", ours).output)["generation"] == "4"


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x05\0\0\0\0\0\0\0[[[[[", b"\x40\0\0\0\0\0\0\0{"]
)
def test_what_is_no_weights_file(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    assert read_weights_header(path) is None


def test_one_bad_file_does_not_stop_the_others(tmp_path, file):
    bad = tmp_path / "bad.nac"
    bad.write_bytes(b"RIFF")
    result = run(bad, file, tmp_path / "missing.nac", tmp_path)
    assert result.exit_code == 1
    assert "TITLE=Rain" in result.stdout
    errors = result.stderr.splitlines()
    assert len(errors) == 3 and all(line.startswith("nac: ") for line in errors)


def test_light_imports(file):
    code = (
        "import sys\n"
        "from nac.cli import main\n"
        "try: main(['info', sys.argv[1]])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'scipy', 'soundfile', 'soxr', 'tqdm', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, stdout=subprocess.DEVNULL)
