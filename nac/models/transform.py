"""The linear start of the network: a lapped transform, its companding, its bands.

The main path of encoder and decoder starts as this codec, which codes audio before any training; the weights then
move on from there.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

#: Below this magnitude companding is about linear.
KNEE = 1e-3
#: Band level, of full scale 1, at which the logarithmic scale of the energies begins.
ENERGY_FLOOR = 1e-4
#: Rows of the noise table, after which the noise repeats; a prime, so that no rhythm comes of it.
NOISE_PERIOD = 1021


def mdct_basis(hop: int) -> Tensor:
    """Modified discrete cosine transform with a sine window, orthonormal over the overlap.

    Source: Princen and Bradley 1986.

    Args:
        hop: samples between frames, which is also the number of coefficients.

    Returns:
        `[2 · hop, hop]`: a windowed frame times it gives the coefficients.
    """
    n = torch.arange(2 * hop, dtype=torch.float64)[:, None]
    k = torch.arange(hop, dtype=torch.float64)[None]
    basis = torch.cos(math.pi / hop * (n + 0.5 + hop / 2) * (k + 0.5)) * math.sqrt(2 / hop)
    return (basis * torch.sin(math.pi * (n + 0.5) / (2 * hop))).float()


def compress(x: Tensor, power: float) -> Tensor:
    """Companding, sign(x)·((|x| + knee)^power − knee^power): errors grow with the level, where they are masked."""
    out: Tensor = x.sign() * ((x.abs() + KNEE).pow(power) - KNEE**power)
    return out


def expand(x: Tensor, power: float) -> Tensor:
    """The inverse of `compress`."""
    out: Tensor = x.sign() * ((x.abs() + KNEE**power).pow(1 / power) - KNEE)
    return out


def level_to_log(rms: Tensor, scale: float) -> Tensor:
    """Band level (root mean square of its coefficients) to the scale it is coded on."""
    return scale * (1 + rms / ENERGY_FLOOR).log()


def log_to_level(value: Tensor, scale: float) -> Tensor:
    """The inverse of `level_to_log`; below zero it is silence."""
    # The bound, 100 times full scale, keeps a damaged or untrained latent from overflowing.
    return ENERGY_FLOOR * (value.clamp(0.0, scale * math.log(1e6)) / scale).exp().sub(1.0)


def band_matrix(edges: tuple[int, ...], bins: int) -> Tensor:
    """`[bins, bands]`: averages the bins of each band."""
    out = torch.zeros(bins, len(edges) - 1)
    for i, (start, stop) in enumerate(pairwise(edges)):
        out[start:stop, i] = 1.0 / (stop - start)
    return out


def noise_table(bins: int) -> Tensor:
    """Fixed pseudo-random noise of +1 and −1, `[1021, bins]`: frame f of a file uses row f mod 1021.

    All of one magnitude, so that a band has exactly the power that its energy states. Made by integer arithmetic alone,
    so that it is the same on every machine.
    """
    x = np.arange(NOISE_PERIOD * bins, dtype=np.uint32)
    for _ in range(3):
        x = (x ^ (x >> 16)) * np.uint32(0x45D9F3B) + np.uint32(12_345)  # modulo 2^32, on purpose
    sign = np.where((x ^ (x >> 16)) & 0x8000, np.float32(1), np.float32(-1))
    return torch.from_numpy(sign).reshape(NOISE_PERIOD, bins)
