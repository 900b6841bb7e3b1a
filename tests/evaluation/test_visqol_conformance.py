"""ViSQOL's scores are those its authors publish for version 3.3.3 (conformance number 333).

The numbers are those of `src/include/conformance.h` in github.com/google/visqol, copyright 2019 Google LLC and Andrew
Hines, licensed under the Apache License 2.0. The sounds they belong to (TCDAudio14 and others) are not ours to pass on.
To check them, name a copy of that project's folder `testdata` in NAC_VISQOL_TESTDATA:

    NAC_VISQOL_TESTDATA=visqol/testdata python -m pytest tests/evaluation/test_visqol_conformance.py

One number needs no sound of theirs: of equal sounds, audio mode gives the same score whatever they are.
"""

import os
from pathlib import Path

import pytest

from nac.evaluation.clips import load_audio, mono
from nac.evaluation.metrics import score
from nac.synthetic import buzz_speech, noise

pytest.importorskip("visqol")
pytest.importorskip("ai_edge_litert")

FOLDER = os.environ.get("NAC_VISQOL_TESTDATA")
SUBSET = "conformance_testdata_subset"
EQUAL_SOUNDS = 4.732101253042348  # castanets48_stereo.wav, of itself
AUDIO = {
    ("strauss48_stereo", "strauss48_stereo_lp35"): 1.3888791489130758,
    ("steely48_stereo", "steely48_stereo_lp7"): 2.2501683734385183,
    ("sopr48_stereo", "sopr48_stereo_256kbps_aac"): 4.68228969737946,
    ("ravel48_stereo", "ravel48_stereo_128kbps_opus"): 4.465141897255348,
    ("moonlight48_stereo", "moonlight48_stereo_128kbps_aac"): 4.684292801646114,
    ("harpsichord48_stereo", "harpsichord48_stereo_96kbps_mp3"): 4.22374532766003,
    ("guitar48_stereo", "guitar48_stereo_64kbps_aac"): 4.349722308064298,
    ("glock48_stereo", "glock48_stereo_48kbps_aac"): 4.332452943882108,
    ("contrabassoon48_stereo", "contrabassoon48_stereo_24kbps_aac"): 2.346868205375293,
    ("castanets48_stereo", "castanets48_stereo"): EQUAL_SOUNDS,
}
SPEECH = ("CA01_01", "transcoded_CA01_01", 3.3129234313964844)  # with the lattice

with_sounds = pytest.mark.skipif(FOLDER is None, reason="NAC_VISQOL_TESTDATA names no folder (see the file's head)")


def published(name: str, reference: str, decoded: str) -> float | None:
    """Our score of a published pair: stereo as the mean of the channels, as in the authors' program."""
    (x, rate), (y, other) = (load_audio(Path(str(FOLDER), f"{path}.wav")) for path in (reference, decoded))
    assert rate == other
    length = min(x.shape[1], y.shape[1])
    return score(mono(x)[:, :length], mono(y)[:, :length], rate, metrics=[name])[name]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["voice", "noise"])
def test_equal_sounds_have_the_published_score(kind: str) -> None:
    sound = buzz_speech(1.5, 48000) if kind == "voice" else noise(72000)
    found = score(sound, sound, 48000, metrics=["visqol_audio"])["visqol_audio"]
    assert found == pytest.approx(EQUAL_SOUNDS, abs=1e-4)


@with_sounds
@pytest.mark.parametrize("pair", AUDIO)
def test_audio_mode(pair: tuple[str, str]) -> None:
    # the port differs by 1.2e-4 for the contrabassoon
    assert published("visqol_audio", *(f"{SUBSET}/{name}" for name in pair)) == pytest.approx(AUDIO[pair], abs=1e-3)


@with_sounds
def test_speech_mode() -> None:
    reference, decoded, expected = SPEECH
    found = published("visqol_speech", f"clean_speech/{reference}", f"clean_speech/{decoded}")
    assert found == pytest.approx(expected, abs=5e-3)  # the port differs by 2.3e-3
