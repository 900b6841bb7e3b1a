"""Dropping codebooks from codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nac.arrays import Codes
from nac.format.layout import split_codebooks


def first_codebooks(codes: Codes, lags: Sequence[int], channels: int, codebooks: int) -> Codes:
    """Keep the codes of a lower bit rate.

    Args:
        codes: `[blocks, frames, codebooks]`, mid before side.
        lags: side lag of each block.
        channels: 1 or 2.
        codebooks: how many to keep, over all channels.

    Returns:
        Codes `[blocks, frames, codebooks]`.

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
