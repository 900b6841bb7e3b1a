"""Systems small enough to be made in every test."""

import numpy as np

from nac.study.config import SystemConfig
from nac.study.system import System, make_system

SMALL = {
    "sample_rate": 8000, "seconds": 0.25, "n_fft": 256, "hop": 64, "mel_bands": 20, "coefficients": 12,
    "channels": (4, 6, 8), "latent": 32, "code_dim": 4, "codebook": 16, "stages": (1, 3), "bits": (4, 8), "batch": 2,
    "loss": (("l1", 1.0),),
}  # fmt: skip


def small(**changes: object) -> SystemConfig:
    """A small system's description."""
    return SystemConfig(**{**SMALL, **changes})  # type: ignore[arg-type]


def prepared(config: SystemConfig) -> System:
    """The system with its scales, codes and ranges taken from noise."""
    import torch

    system = make_system(config)
    batch = 0.1 * torch.randn(4, system.crop, generator=torch.Generator().manual_seed(1))
    system.prepare(batch)
    system.calibrate([batch])
    return system


def sound(samples: int, seed: int = 0, rate: int = 8000) -> np.ndarray:
    """A tone in noise, `[samples]`."""
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (0.3 * np.sin(2 * np.pi * 440 / rate * np.arange(samples)) + 0.05 * noise).astype(np.float32)
