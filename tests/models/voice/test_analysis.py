"""The analysis of the voice model finds what a synthetic voice was made of, in pieces as at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz, lfilter

from nac.models.layers import State
from nac.models.voice.analysis import VoiceAnalysis, VoiceParameters
from nac.models.voice.envelope import BANDS, band_weights
from tests.models.voice.signals import HOP, RATE, Signal, centres, glide, noise, pulses

ANALYSIS = VoiceAnalysis()


def analyse(samples: Signal, cuts: tuple[int, ...] = ()) -> VoiceParameters:
    """Parameters of the samples' whole hops, `[1, hops, …]`, analysed in pieces that end at hops `cuts`."""
    hops = len(samples) // HOP
    padded = torch.from_numpy(np.concatenate([samples[: hops * HOP], np.zeros(HOP, np.float32)]))[None]
    state: State = {}
    parts = [ANALYSIS(piece, state) for piece in padded.tensor_split([c * HOP for c in cuts], 1) if piece.shape[1]]
    return join(parts)


def join(parts: list[VoiceParameters], first: int = 1) -> VoiceParameters:
    return VoiceParameters(*(torch.cat([getattr(p, name) for p in parts], 1)[:, first:] for name in FIELDS))


FIELDS = ("f0", "bands", "aperiodicity")


def same(a: VoiceParameters, b: VoiceParameters) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def mixed(seconds: float = 1.2) -> Signal:
    """A glide that starts and stops in noise."""
    sound, _ = glide(90, 330, seconds)
    gate = np.sin(np.arange(len(sound)) / RATE * 2 * np.pi * 3) > -0.3
    return np.asarray(sound * gate + noise(seconds, 0.003), np.float32)


@pytest.mark.parametrize(
    ("start", "stop"), [(60, 75), (75, 60), (100, 200), (200, 100), (180, 350), (450, 250), (400, 450), (120, 120)]
)
@pytest.mark.parametrize("level", [0.3, 0.01])
def test_pitch_of_a_glide(start: float, stop: float, level: float) -> None:
    sound, f0 = glide(start, stop, 1.0, level)
    found = analyse(sound).f0.flatten().numpy()
    inner = slice(10, -10)
    cents = 1200 * np.log2(found[inner] / f0[centres(50).astype(int)][inner])
    assert np.abs(cents).max() < 10


@pytest.mark.parametrize(("start", "stop"), [(60, 75), (110, 220), (450, 250)])
def test_pitch_of_a_glide_in_noise_has_no_octave_errors(start: float, stop: float) -> None:
    sound, f0 = glide(start, stop, 1.0)
    sound += noise(1.0, float(sound.std()) / 3)
    found = analyse(sound).f0.flatten().numpy()
    inner = slice(10, -10)
    cents = 1200 * np.log2(np.maximum(found[inner], 1) / f0[centres(50).astype(int)][inner])
    assert (found[inner] > 0).mean() > 0.98
    assert np.abs(cents[found[inner] > 0]).max() < 100


@pytest.mark.parametrize("level", [0.1, 0.001])
def test_noise_is_unvoiced(level: float) -> None:
    found = analyse(noise(4.0, level))
    assert (found.f0 > 0).float().mean() < 0.05
    assert (found.aperiodicity[found.f0 == 0] == 1).all()


def test_voice_starts_and_stops_within_two_frames() -> None:
    sound, _ = glide(140, 150, 1.0)
    sound[:12_000] = 0
    sound += noise(1.0, 0.001)
    voiced = analyse(sound).f0.flatten().numpy() > 0
    assert np.abs(np.flatnonzero(voiced)[0] - 100) <= 3


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=8, unique=True).map(sorted))
def test_any_cut_gives_the_same_bits(cuts: list[int]) -> None:
    assert same(analyse(mixed(), tuple(cuts)), analyse(mixed()))


def test_hop_by_hop_gives_the_same_bits() -> None:
    assert same(analyse(mixed(), tuple(range(1, 61))), analyse(mixed()))


def test_nothing_depends_on_samples_beyond_one_hop_ahead() -> None:
    """Results for hop f − 1 are final once the samples before (f + 1) · hop are in."""
    sound = mixed()
    for f in (7, 21, 38):
        changed = sound.copy()
        changed[(f + 1) * HOP :] = noise(2.0, 0.5, f)[: len(sound) - (f + 1) * HOP]
        a, b = analyse(sound), analyse(changed)
        assert all(torch.equal(getattr(a, name)[:, :f], getattr(b, name)[:, :f]) for name in FIELDS)
        assert not torch.equal(a.bands[:, : f + 2], b.bands[:, : f + 2])


def test_channels_do_not_know_each_other() -> None:
    sounds = [mixed(), noise(1.2), glide(200, 100, 1.2)[0], np.zeros(28_800, np.float32)]
    together = join([ANALYSIS(torch.from_numpy(np.stack(sounds)), {})])
    for i, sound in enumerate(sounds):
        alone = join([ANALYSIS(torch.from_numpy(sound[None]), {})])
        assert same(alone, VoiceParameters(*(getattr(together, name)[i : i + 1] for name in FIELDS)))


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(24_000, np.float32),
        np.ones(24_000, np.float32),
        np.sign(glide(150, 200, 1.0)[0]),
        np.full(24_000, 1e-30, np.float32),
        1000 * noise(1.0, 1.0),
        np.eye(1, 24_000, 12_000, dtype=np.float32)[0],
    ],
    ids=["silence", "offset", "clipped", "denormal", "loud", "click"],
)
def test_extreme_sound_gives_numbers_in_range(sound: Signal) -> None:
    found = analyse(sound)
    assert all(torch.isfinite(getattr(found, name)).all() for name in FIELDS)
    assert ((found.f0 == 0) | ((found.f0 >= 52) & (found.f0 <= 540))).all()
    assert ((found.aperiodicity >= 0) & (found.aperiodicity <= 1)).all()


def test_silence_and_a_constant_offset_are_unvoiced() -> None:
    for level in (0.0, 0.5):
        assert (analyse(np.full(48_000, level, np.float32)).f0[:, 25:-1] == 0).all()


def test_an_offset_changes_nothing_after_a_while() -> None:
    sound = mixed(2.4)
    a, b = analyse(sound), analyse(sound + np.float32(0.1))
    assert ((a.f0 > 0) == (b.f0 > 0))[:, 25:].float().mean() > 0.99


def test_state_does_not_grow() -> None:
    state: State = {}
    sizes = []
    for i in range(0, 28_800, 4800):
        ANALYSIS(torch.from_numpy(mixed()[None, i : i + 4800]), state)
        sizes.append(sum(v.numel() for v in state.values()))
    assert len(set(sizes)) == 1


@pytest.mark.parametrize(("f0", "scale"), [(70.0, 1.0), (90.0, 1.0), (120.0, 1.0), (210.0, 2.0)])
def test_envelope_of_a_known_filter(f0: float, scale: float) -> None:
    """Formants of a vowel within 1.5 dB; those narrower than the harmonics are apart cannot be known."""
    formants, widths = np.array([700.0, 1300, 2600, 3600]), np.array([110.0, 130, 160, 200]) * scale
    poles = np.exp(-np.pi * widths / RATE + 2j * np.pi * formants / RATE)
    a = np.poly(np.concatenate([poles, poles.conj()])).real
    sound = lfilter([0.02], a, pulses(f0, 2.0)).astype(np.float32)
    found = 10 / np.log(10) * analyse(sound).bands[0, 20:80].mean((0, 1)).numpy()
    power = np.abs(freqz([0.02], a, np.arange(513) / 1024, fs=1)[1]) ** 2
    truth = 10 * np.log10(power @ band_weights().numpy())
    peaks = np.flatnonzero((truth[1:-1] > truth[:-2]) & (truth[1:-1] > truth[2:])) + 1
    assert len(peaks) >= 2
    assert np.abs(found - truth)[peaks].max() < 1.5


def test_bands_of_white_noise_are_its_variance() -> None:
    bands = analyse(noise(4.0, 0.1)).bands[0, 10:190].mean((0, 1)).numpy()
    # The mean of a logarithm lies below the logarithm of the mean.
    assert np.ptp(bands[1:-1]) < 0.5
    assert np.log(0.01) - 1 < bands.mean() < np.log(0.01) + 0.1


def test_band_weights_are_means() -> None:
    weights = band_weights()
    assert weights.shape == (513, BANDS)
    torch.testing.assert_close(weights.sum(0), torch.ones(BANDS))
    assert (weights.argmax(0).diff() >= 1).all()


def test_aperiodicity_follows_the_share_of_noise() -> None:
    tone = pulses(150, 2.0)
    values = []
    for share in (0.0, 0.1, 0.3, 0.5, 0.7):
        sound = 0.05 * (np.sqrt(1 - share) * tone + np.sqrt(share) * noise(2.0, 1.0))
        found = analyse(sound.astype(np.float32))
        voiced = found.f0[0, 10:-10] > 0
        values.append(found.aperiodicity[0, 10:-10][voiced].mean(0).numpy())
    assert (np.diff(values, axis=0) > 0.02).all()
    assert (values[0] < 0.02).all()
    assert (np.abs(values[2] - 0.3) < 0.12).all()


def test_aperiodicity_of_one_band_stays_in_it() -> None:
    sound = 0.05 * pulses(150, 2.0)
    spectrum = np.fft.rfft(noise(2.0, 0.2))
    spectrum[:13_200] = 0
    found = analyse((sound + np.fft.irfft(spectrum)).astype(np.float32))
    voiced = found.aperiodicity[0, 10:-10][found.f0[0, 10:-10] > 0].mean(0)
    assert (voiced[:4] < 0.03).all()
    assert (voiced[5:] > 0.5).all()
