"""What is left of codes when codebooks are dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nac.format.bits import Codes
from nac.format.layout import split_codebooks


def first_codebooks(codes: Codes, lags: Sequence[int], channels: int, codebooks: int) -> Codes:
    """Of codes `[blocks, frames, codebooks]`, those that are left when the bit rate is lowered to `codebooks`.

    lags: the side lag of each block.

    >>> codes = np.array([[[0, 1, 2, 3, 4, 5]]], np.uint16)
    >>> first_codebooks(codes, [0], 1, 4).tolist(), first_codebooks(codes, [2], 2, 4).tolist()
    ([[[0, 1, 2, 3]]], [[[0, 1, 2, 4]]])
    """
    total = codes.shape[2]
    if channels == 1 or codebooks == total:
        return codes[:, :, :codebooks]
    mid, kept_mid = (
        np.array([split_codebooks(count, channels, lag)[0] for lag in lags])[:, None] for count in (total, codebooks)
    )
    columns = np.arange(codebooks)[None]
    columns = columns + np.where(columns < kept_mid, 0, mid - kept_mid)
    return np.take_along_axis(codes, columns[:, None], axis=2)
