"""A few seconds of made voices, and the smallest settings that do everything."""

import dataclasses
from pathlib import Path

import soundfile

from nac.models.voice.decoder import VoiceDecoder
from nac.synthetic import formant_voice, noise
from nac.training.voice.coding import CodedRecordings, encode
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.fit import fit
from nac.training.voice.parts import FILE, save_parts
from nac.training.voice.prepare import prepare
from tests.models.voice.small import SIZE, SMALL

CONFIG = VoiceTrainingConfig(
    fit_sequences=24,
    fit_hops=60,
    fit_steps=2000,
    kmeans_rounds=2,
    fit_rounds=1,
    beam=2,
    control_steps=12,
    control_batch=3,
    control_hops=30,
    batch=2,
    hops=8,
    run_in=2,
    warmup=2,
    low_band_counts=(0, 3, 7),
    discriminator_windows=(256, 128),
    discriminator_channels=8,
    discriminator_periods=(2, 3),
    period_channels=12,
    discriminator_seconds=0.1,
    discriminator_warmup=2,
    bfloat16=False,
    mode_steps=40,
    mode_batch=8,
    mode_hops=50,
)
#: Without silence, so that no pause of the made voices is trained on.
AUDIBLE = dataclasses.replace(CONFIG, silence=0.02)


def write_voices(folder: Path) -> Path:
    """Three voices in two sources, at two rates, and a file that is no audio."""
    for source, name, pitch, rate in (
        ("a", "x.wav", 110.0, 24_000),
        ("a", "y.flac", 150.0, 16_000),
        ("b", "x.wav", 190.0, 24_000),
    ):
        (folder / source).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / source / name, formant_voice(4.0, rate, pitch), rate)
    (folder / "a" / "broken.wav").write_bytes(b"RIFF and no more")
    return folder


def write_noises(folder: Path) -> Path:
    """Sounds that are not voices."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(2):
        soundfile.write(folder / f"{seed}.wav", noise(72_000, seed), 24_000)
    return folder


def fitted(folder: Path, config: VoiceTrainingConfig = CONFIG) -> CodedRecordings:
    """Fit a decoder on the voices; returns their codes."""
    recordings = prepare(write_voices(folder / "audio"), folder / "data")
    decoder = VoiceDecoder(SMALL, SIZE).eval()
    fit(decoder, recordings, config)
    save_parts(decoder, folder / FILE, ("fit",))
    return encode(recordings, folder / FILE, folder / "codes", config)
