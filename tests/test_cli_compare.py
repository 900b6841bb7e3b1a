"""`nac compare`: scores, what had to be fitted, pictures, and what cannot be compared."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from nac.cli import main
from nac.codec import Codec
from nac.synthetic import formant_voice

RATE = 16_000


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def write(path, sound, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return path


@pytest.fixture
def sounds(tmp_path):
    """A sound, and the same a tenth louder: the error is 20 dB below it."""
    sound = formant_voice(0.5, RATE)
    return write(tmp_path / "a.wav", sound), write(tmp_path / "b.wav", sound * np.float32(1.1))


def table(result):
    """The scores of a pair by label, as shown."""
    rows = result.stdout.splitlines()[2:]
    return {row.split()[0]: row.split()[1] for row in rows if row}


def test_table(sounds):
    result = run(*sounds, "--metric", "snr", "--metric", "si_sdr", "--metric", "mse")
    assert result.exit_code == 0 and result.stderr == ""
    shown = table(result)
    assert list(shown) == ["SI-SDR", "SNR", "MSE"]
    assert shown["SNR"] == "20.00" and float(shown["SI-SDR"]) > 60


def test_json_and_csv_hold_what_the_table_shows(sounds):
    data = json.loads(run(*sounds, "--metric", "snr", "--json").stdout)
    assert data["metrics"]["snr"]["unit"] == "dB"
    (row,) = csv.DictReader(io.StringIO(run(*sounds, "--metric", "snr", "--csv").stdout))
    assert float(row["snr"]) == data["pairs"][0]["scores"]["snr"] == pytest.approx(20, abs=0.01)
    assert (row["sample_rate"], row["channels"], row["seconds"]) == (str(RATE), "1", "0.5")


@pytest.mark.slow
def test_kind_chooses_the_scores(sounds):
    assert "STOI" in table(run(*sounds, "--kind", "speech"))
    assert "STOI" not in table(run(*sounds, "--kind", "music"))


def test_silence_is_undefined(tmp_path):
    silence = write(tmp_path / "a.wav", np.zeros(RATE, np.float32))
    result = run(silence, silence)
    assert result.exit_code == 0
    shown = table(result)
    assert shown["SNR"] == shown["SI-SDR"] == shown["SDR"] == "undefined"
    assert float(shown["MSE"]) == 0
    assert json.loads(run(silence, silence, "--json").stdout)["pairs"][0]["scores"]["snr"] is None


def test_too_short_for_pesq_stoi_and_visqol_is_undefined(tmp_path):
    for package in ("pesq", "pystoi", "visqol", "ai_edge_litert"):
        pytest.importorskip(package)
    sound = write(tmp_path / "a.wav", formant_voice(0.1, RATE))
    shown = table(run(sound, sound, "--kind", "speech"))
    assert {shown[name] for name in ("PESQ-WB", "STOI", "ESTOI", "ViSQOL-speech")} == {"undefined"}
    assert shown["SNR"] == "inf" and float(shown["Mel"]) == 0


def test_other_length_rate_channels_and_delay_are_said(tmp_path):
    sound = formant_voice(0.5, RATE)
    reference = write(tmp_path / "a.wav", sound)
    late = write(tmp_path / "b.wav", np.concatenate([np.zeros(160, np.float32), sound[:-800]]))
    result = run(reference, late, "--metric", "snr")
    assert result.exit_code == 0
    assert "decoded comes 160 samples (10.0 ms) later: moved" in result.stdout
    assert "decoded is 640 samples (0.040 s) shorter" in result.stdout
    assert "compared the common part, 0.000 s to 0.450 s of the reference" in result.stdout
    assert table(result)["SNR"] == "inf"
    other = write(tmp_path / "c.wav", np.stack([sound[::2], sound[::2]], 1), RATE // 2)
    text = run(reference, other, "--metric", "snr").stdout
    assert "decoded resampled from 8000 to 16000 Hz" in text
    assert "reference has 1 channels, decoded has 2: compared as mono" in text


def test_folders_are_paired(tmp_path, sounds):
    for name in ("speech/x.wav", "y.wav"):
        write(tmp_path / "ref" / name, formant_voice(0.1, RATE))
        write(tmp_path / "out" / name, formant_voice(0.1, RATE) * np.float32(0.9))
    write(tmp_path / "ref" / "alone.wav", formant_voice(0.1, RATE))
    result = run(tmp_path / "ref", tmp_path / "out", "--metric", "snr")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[2:5]] == [
        ["speech/x", "20.00"], ["y", "20.00"], ["mean", "20.00"],
    ]  # fmt: skip
    assert f"no partner: {tmp_path / 'ref' / 'alone.wav'}" in result.stdout


def test_picture(tmp_path, sounds):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "c.png"
    arguments = [*sounds, "--metric", "snr", "--plot", picture]
    assert run(*arguments).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.write_bytes(b"mine")
    again = run(*arguments)
    assert again.exit_code == 1 and "c.png exists; use --force" in again.stderr
    assert picture.read_bytes() == b"mine"
    assert run(*arguments, "--force").exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nac_files_are_decoded_and_damage_is_said(tmp_path, small_weights):
    sound = formant_voice(2.5, 24_000)
    reference, coded = write(tmp_path / "a.wav", sound, 24_000), tmp_path / "a.nac"
    data = Codec.load(small_weights).encode(sound, 24_000, 1)
    coded.write_bytes(data)
    chosen = ["--metric", "mse", "--model", small_weights]
    intact = run(reference, coded, *chosen)
    assert intact.exit_code == 0 and intact.stderr == ""
    assert np.isfinite(float(table(intact)["MSE"]))
    coded.write_bytes(data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])
    broken = run(reference, coded, *chosen)
    assert broken.exit_code == 3
    assert f"nac: {coded}: lost from" in broken.stderr
    assert "MSE" in table(broken)


def test_a_missing_package_is_a_hint(sounds, monkeypatch):
    from nac.evaluation.metrics import registry

    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    result = run(*sounds, "--kind", "speech")
    assert result.exit_code == 0
    assert "nac: PESQ-WB is left out: its package is missing (pip install 'nac[eval]')" in result.stderr.splitlines()
    assert "ViSQOL-speech is left out" in result.stderr and "ViSQOL-audio" not in result.stderr
    assert "SNR" in table(result) and "PESQ-WB" not in result.stdout
    named = run(*sounds, "--metric", "visqol_audio", "--json")
    assert named.exit_code == 1 and "pip install 'nac[eval]'" in named.stderr
    assert json.loads(named.stdout)["pairs"][0]["scores"] == {}


def test_what_cannot_be_compared(tmp_path, sounds):
    empty = write(tmp_path / "empty.wav", np.zeros(0, np.float32))
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    bad = tmp_path / "bad.nac"
    bad.write_bytes(b"RIFF")
    for code, message, arguments in (
        (1, "gone.wav", [sounds[0], tmp_path / "gone.wav"]),
        (1, "gone.nac", [sounds[0], tmp_path / "gone.nac"]),
        (1, "there is no file or folder", [tmp_path, tmp_path / "gone"]),
        (1, "a file with a folder", [tmp_path, sounds[0]]),
        (1, "empty.wav holds no samples", [sounds[0], empty]),
        (1, "text.wav", [sounds[0], text]),
        (1, "bad.nac", [sounds[0], bad]),
        (2, "no such kind of sound: noise", [*sounds, "--kind", "noise"]),
        (2, "no such metric: loudness", [*sounds, "--metric", "loudness"]),
        (2, "--json or --csv", [*sounds, "--json", "--csv"]),
        (2, "end it with .png", [*sounds, "--plot", tmp_path / "x.bmp"]),
    ):
        result = run(*arguments)
        assert result.exit_code == code, (arguments, result.output)
        lines = result.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("nac: ") and message in lines[0], result.stderr
        assert result.stdout == ""


@pytest.mark.slow
def test_audio_files_are_compared_without_torch(sounds):
    code = (
        "import sys\n"
        "from nac.cli import main\n"
        "assert 'nac.evaluation' not in sys.modules\n"
        "try: main(['compare', *sys.argv[1:], '--metric', 'snr'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, *map(str, sounds)], check=True, stdout=subprocess.DEVNULL)
