"""Systems by name, each to be trained by one command."""

from __future__ import annotations

from nac.study.config import SystemConfig

_COMPLEX = SystemConfig(
    name="complex",
    representation="complex",
    architecture="fully-conv",
    phase="predicted",
    quantizer="max-norm",
    channels=(32, 64, 128, 128),
    latent_channels=32,
    bits=(8, 16),
    loss=(("l1", 1.0), ("phase", 1.0), ("mel", 0.5)),
)

PRESETS: dict[str, SystemConfig] = {
    system.name: system
    for system in (
        SystemConfig(name="spectrogram"),
        SystemConfig(name="unet", architecture="unet"),
        SystemConfig(name="transformer", architecture="transformer"),
        SystemConfig(name="vae", architecture="vae"),
        SystemConfig(name="vqvae", architecture="vqvae", stages=(1, 2, 4)),
        _COMPLEX,
        # The pair of the genre study: one error, the root of the mean square, in frequency and in time.
        SystemConfig(name="frequency", representation="stft", loss=(("rmse", 1.0),)),
        SystemConfig(
            name="time", representation="waveform", channels=(32, 64, 96, 128), latent=512, loss=(("rmse", 1.0),)
        ),
    )
}
