import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from nac.errors import AudioError, OptionError
from nac.evaluation.clips import same_rate
from nac.evaluation.codecs import Nac, known_codecs, neural, parse_codecs, parse_rates
from nac.evaluation.codecs.tools import TOOLS, Tool
from nac.evaluation.metrics.align import align
from nac.evaluation.metrics.waveform import snr
from nac.synthetic import buzz_speech

RATE = 24000
BEST_RATE = {"opus": 24, "mp3": 32, "aac": 32, "vorbis": 32, "speex": 16.8, "codec2": 3.2, "flac": 0}
LEAST_SNR = {"opus": 10, "mp3": 10, "aac": 10, "vorbis": 10, "speex": 0, "codec2": -10, "flac": 65}


@pytest.mark.parametrize("name", list(TOOLS))
def test_tool_codes_and_decodes(name: str, tmp_path: Path) -> None:
    tool = TOOLS[name]
    if tool.missing():
        pytest.skip(tool.missing())
    sound = buzz_speech(2, RATE)[None]
    data = tool.encode(sound, RATE, BEST_RATE[name], tmp_path)
    decoded, rate = tool.decode(data, RATE, tmp_path)
    assert 0.8 < decoded.shape[1] / rate / 2 < 1.3
    moved, _ = align(sound, same_rate(decoded, rate, RATE), RATE)
    assert snr(sound[0], moved[0]) > LEAST_SNR[name]
    assert len(tool.identity()) > len(" ".join(tool.encoder + tool.decoder))
    if not tool.lossless:
        kbps = len(data) * 8 / 2000
        assert 0.5 * BEST_RATE[name] < kbps < 2 * BEST_RATE[name] + 8


def test_stereo_stays_stereo_or_becomes_mono(tmp_path: Path) -> None:
    sound = np.stack([buzz_speech(1, RATE, 1), buzz_speech(1, RATE, 2)])
    for name, channels in (("opus", 2), ("speex", 1)):
        if TOOLS[name].missing():
            pytest.skip(TOOLS[name].missing())
        decoded, _ = TOOLS[name].decode(TOOLS[name].encode(sound, RATE, 16, tmp_path), RATE, tmp_path)
        assert len(decoded) == channels


def test_missing_tool_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert TOOLS["opus"].missing() == "opusdec and opusenc not found (Debian package opus-tools)"


def test_failing_tool_is_one_clear_line(tmp_path: Path) -> None:
    script = "import sys; sys.exit('bad\\n  rate')"
    tool = Tool("fake", (sys.executable, "-c", script), (sys.executable, "-c", ""), "x", (1,), "none", ("true",))
    with pytest.raises(AudioError, match="fake at 5 kbps failed: bad rate"):
        tool.encode(buzz_speech(1, 8000)[None], 8000, 5, tmp_path)
    with pytest.raises(AudioError, match="exit code 0"):
        tool.decode(b"", 8000, tmp_path)


def test_raw_samples_are_rounded_and_clipped(tmp_path: Path) -> None:
    copy = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
    command = (sys.executable, "-c", copy, "{source}", "{target}")
    tool = Tool("copy", command, command, "x", (1,), "none", ("true",), input_rate=8000, mono=True, raw=True)
    data = tool.encode(np.array([[0.5, 2.0, -2.0]], np.float32), 8000, 1, tmp_path)
    assert np.frombuffer(data, "<i2").tolist() == [16384, 32767, -32768]
    decoded, rate = tool.decode(data, 48000, tmp_path)
    assert rate == 8000
    np.testing.assert_allclose(decoded, [[0.5, 1, -1]], atol=1e-4)


def test_specs() -> None:
    (opus, rates), (nac, usual) = parse_codecs(["opus:6,12.5", "nac"])
    assert (opus.name, rates) == ("opus", (6.0, 12.5))
    assert usual == nac.rates and nac.name == "nac"
    with pytest.raises(OptionError, match="no such codec: opuss"):
        parse_codecs(["opuss"])
    for wrong in ("", "a", "6,", "0", "-1", "nan"):
        with pytest.raises(OptionError, match="list of bit rates"):
            parse_rates(wrong)


def test_names_tell_versions_apart(tmp_path: Path) -> None:
    assert Nac("runs/new.safetensors").name == "nac (new)"
    assert Nac(effort="best").name == "nac (best)"
    assert "no weights file" in (Nac(str(tmp_path / "none.safetensors")).missing() or "")
    names = [codec.name for codec in known_codecs().values()]
    assert names == list(known_codecs()) and len(set(names)) == len(names)


def test_nac_refuses_parts_of_kbps(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"not at 1\.5"):
        Nac().encode(buzz_speech(1, RATE)[None], RATE, 1.5, tmp_path)


def test_neural_codecs_never_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(neural, "find_spec", lambda name: object())
    for codec, variable in ((neural.Encodec(), "NAC_ENCODEC_WEIGHTS"), (neural.Dac(), "NAC_DAC_WEIGHTS")):
        assert variable in (codec.missing() or "")
        weights = tmp_path / "weights.th"
        weights.write_bytes(b"x")
        monkeypatch.setenv(variable, str(weights))
        assert codec.missing() is None and codec.weights() == weights
    monkeypatch.setattr(neural, "find_spec", lambda name: None)
    assert "not installed" in (neural.Dac().missing() or "")
