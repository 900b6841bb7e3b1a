import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.errors import AudioError
from nac.evaluation import clips as clips_module
from nac.evaluation.clips import Clip, choose, find_clips, load_audio, mono, same_rate
from nac.synthetic import noise


def test_clips_have_kinds_and_names(tmp_path: Path) -> None:
    for name in ("speech/a.wav", "set/music/b.flac", "other/c.ogg", "d.nac", ".hidden/e.wav", "speech/.f.wav", "g.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = [(clip.name, clip.kind) for clip in find_clips(tmp_path)]
    assert found == [("d", None), ("other/c", "other"), ("set/music/b", "music"), ("speech/a", "speech")]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(AudioError, match="same name"):
        find_clips(tmp_path)
    with pytest.raises(AudioError, match="no folder"):
        find_clips(tmp_path / "none")


def test_loading_keeps_samples_channels_and_rate(tmp_path: Path) -> None:
    stereo = np.stack([noise(100_000, 1), noise(100_000, 2)])
    soundfile.write(tmp_path / "a.wav", stereo.T, 22050, subtype="FLOAT")
    audio, rate = load_audio(tmp_path / "a.wav")
    assert rate == 22050
    np.testing.assert_array_equal(audio, stereo)
    with pytest.raises(AudioError, match="no file"):
        load_audio(tmp_path / "b.wav")


def test_nac_files_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str | None] = []

    class Codec:
        @classmethod
        def load(cls, weights: str | None) -> "Codec":
            loaded.append(weights)
            return cls()

        def decode(self, data: bytes) -> tuple[np.ndarray, int]:
            return np.full((1, len(data)), 0.5), 24000

    clips_module._codec.cache_clear()
    module = types.ModuleType("nac.codec")
    module.Codec = Codec
    monkeypatch.setitem(sys.modules, "nac.codec", module)
    (tmp_path / "a.nac").write_bytes(b"12345")
    audio, rate = load_audio(tmp_path / "a.nac")
    assert (audio.shape, audio.dtype, rate) == ((1, 5), np.float32, 24000)
    load_audio(tmp_path / "a.nac")
    load_audio(tmp_path / "a.nac", "other.safetensors")
    assert loaded == [None, "other.safetensors"]  # once for all files
    with pytest.raises(AudioError, match=r"b\.nac"):
        load_audio(tmp_path / "b.nac")
    clips_module._codec.cache_clear()


def test_shapes() -> None:
    stereo = np.stack([np.ones(10, np.float32), np.zeros(10, np.float32)])
    np.testing.assert_array_equal(mono(stereo), np.full((1, 10), 0.5, np.float32))
    assert same_rate(np.zeros((2, 0), np.float32), 8000, 24000).shape == (2, 0)
    assert same_rate(np.zeros((2, 80), np.float32), 8000, 24000).shape == (2, 240)


def test_chosen_clips_are_spread_over_the_names(tmp_path: Path) -> None:
    found = [Clip(tmp_path, name, kind) for kind in ("speech", "music") for name in "abcdef"]
    assert [clip.name for clip in choose(found, 2)] == ["a", "d", "a", "d"]
    assert len(choose(found, 99)) == 12 and choose(found, 0) == []
