"""Recordings and codes lie in arrays as they were made, and an interrupted preparation goes on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from nac.errors import AudioError, OptionError
from nac.models.voice.analysis import VoiceAnalysis
from nac.models.voice.envelope import BANDS, WARP
from nac.models.voice.spectrum import EnvelopeSpectrum
from nac.models.voice.timing import HOP
from nac.training.voice import prepare as preparation
from nac.training.voice.coding import CODED, CODES, CodedRecordings, encode
from nac.training.voice.examples import Sampler, parameters, samples
from nac.training.voice.parts import FILE, load_parts
from nac.training.voice.prepare import prepare
from nac.training.voice.recordings import COLUMNS, FINISHED, Recordings
from tests.models.voice.small import SMALL
from tests.training.voice.made import CONFIG, write_voices

Start = tuple[Path, CodedRecordings]


def test_arrays_hold_the_samples_and_what_the_analysis_finds(start: Start) -> None:
    folder, recordings = start[0], start[1].recordings
    assert [item.name for item in recordings.items] == ["a/x.wav", "a/y.flac", "b/x.wav"]
    assert [item.source for item in recordings.items] == ["a", "a", "b"]
    last = recordings.items[2]
    sound = soundfile.read(folder / "audio" / "b" / "x.wav", dtype="float32")[0][: last.hops * HOP]
    stored = recordings.samples(last.first, last.hops)
    assert np.abs(stored - sound).max() < 1e-4
    # The hop that a row describes is the hop at the same place.
    found = VoiceAnalysis()(torch.from_numpy(np.append(stored, np.zeros(HOP, np.float32)))[None])
    rows = recordings.steps(last.first, last.hops)
    assert np.allclose(rows[..., 0], found.f0[0, 1:], rtol=1e-3)
    assert np.allclose(rows[..., 1 : 1 + BANDS], found.bands[0, 1:], atol=0.02)
    assert (rows[..., 0] > 0).mean() > 0.5


def test_an_interrupted_preparation_goes_on_where_it_was(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, whole = start[0] / "audio", start[1].recordings
    asked: list[int] = []
    analyse = preparation.analyse

    def interrupted(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return analyse(x)

    monkeypatch.setattr(preparation, "analyse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(audio, tmp_path / "data")
    with (tmp_path / "data" / FINISHED).open("a") as file:
        file.write("1")  # cut short
    again = prepare(audio, tmp_path / "data")
    assert len(asked) == 4  # the first is not analysed again
    assert np.array_equal(again.audio, whole.audio) and np.array_equal(again.parameters, whole.parameters)


@pytest.mark.slow
def test_several_processes_do_what_one_does(tmp_path: Path) -> None:
    audio = write_voices(tmp_path / "audio")
    one, two = prepare(audio, tmp_path / "one"), prepare(audio, tmp_path / "two", processes=2)
    assert np.array_equal(one.audio, two.audio) and np.array_equal(one.parameters, two.parameters)


def test_other_audio_and_no_audio_are_refused(start: Start, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="other recordings"):
        prepare(start[0] / "audio" / "a", start[0] / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no audio file"):
        prepare(tmp_path / "empty", tmp_path / "none")
    with pytest.raises(AudioError, match="not hold prepared"):
        Recordings(tmp_path / "nowhere")


def test_sources_are_drawn_by_their_length_to_a_power(start: Start) -> None:
    pieces = start[1].pieces
    for power, share in ((0.0, 1 / 2), (1.0, 2 / 3)):
        weights = Sampler(pieces, [0.0] * len(pieces), 20, power).weights
        assert weights[:2].sum() == pytest.approx(share, abs=0.01)
    with pytest.raises(AudioError, match="longer"):
        Sampler(pieces, [0.0] * len(pieces), 10_000, 0.5)


def test_codes_describe_the_recordings(start: Start) -> None:
    decoder, coded = load_parts(start[0] / FILE), start[1]
    whole = [coded.stretch(2)]
    codes = coded.codes(whole)
    assert codes.shape[1] == SMALL.n_codebooks and int(codes[:, 0].min()) >= 1
    found = parameters(coded.recordings, whole)
    latent = decoder.quantizer.to_latent(found.bands, found.aperiodicity)
    decoded, core = decoder.quantizer.decode(codes[:, 1 : 1 + SMALL.envelope_codebooks])
    spread = (latent - latent.mean(1, keepdim=True)).square().sum()
    assert (decoded - latent).square().sum() < (core - latent).square().sum() < 0.2 * spread
    # From within a piece the stored state gives the same as from its start.
    inner = [type(whole[0])(2, whole[0].first + 40, 30, whole[0].gain)]
    state = {decoder.quantizer: coded.core_before(inner)}
    later, _ = decoder.quantizer.decode(coded.codes(inner)[:, 1 : 1 + SMALL.envelope_codebooks], state)
    assert torch.allclose(later[0], decoded[0, 40:70], atol=0.02)
    assert torch.equal(samples(coded.recordings, inner)[0], samples(coded.recordings, whole)[0, 40 * HOP : 70 * HOP])


def test_codes_left_over_are_done_later(start: Start, tmp_path: Path) -> None:
    coded = start[1]
    before = coded.codes([coded.stretch(1)])
    shutil.copytree(start[0] / "codes", tmp_path / "codes")
    codes = np.load(tmp_path / "codes" / CODES, mmap_mode="r+")
    codes[:] = 0
    (tmp_path / "codes" / CODED).write_text("0 ok\n2 ok\n1")  # cut short
    again = encode(coded.recordings, start[0] / FILE, tmp_path / "codes", CONFIG)
    assert not again.codes([again.stretch(0)]).any()
    assert torch.equal(again.codes([again.stretch(1)]), before)
    assert len((tmp_path / "codes" / CODED).read_text().split()) == 6


def test_the_fitted_spectrum_is_better_than_the_start(start: Start) -> None:
    decoder, coded = load_parts(start[0] / FILE), start[1]
    rows = coded.recordings.steps(20, 100).reshape(-1, COLUMNS)
    bands = torch.from_numpy(rows[:, 1 : 1 + BANDS])
    # Where the bands are centred the spectrum is near them.
    frequencies = torch.tensor([500.0, 1500.0, 4000.0]) / 24_000
    errors = []
    for spectrum in (EnvelopeSpectrum(SMALL), decoder.spectrum):
        logs = 2 * spectrum.log_amplitude(bands, frequencies)
        centres = torch.tensor([_band_at(f * 24_000) for f in frequencies.tolist()])
        errors.append(float((logs - bands[:, centres]).abs().mean()))
    assert errors[1] < 0.3 * errors[0]
    decoder.validate()


def _band_at(hertz: float) -> int:
    return round(float(np.log1p(hertz / WARP) / np.log1p(12_000 / WARP)) * (BANDS - 1))
