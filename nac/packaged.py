"""Where the weights and entropy tables are that came with the package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nac.errors import WeightsError

if TYPE_CHECKING:
    from nac.format.entropy.tables import TableLibrary

NAME = "nac-24k.safetensors"
EARLIER = {0xE83A7807: ("0.1.0", 2)}
"""Weights that came with earlier versions, by fingerprint: the last of these versions, and the weights' generation."""


def default_weights() -> Path:
    """Find the packaged weights: inside the installed package, or beside it in a checkout.

    Raises:
        WeightsError: there are none.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "weights", here.parent / "weights"):
        if (folder / NAME).is_file():
            return folder / NAME
    raise WeightsError(f"the weights {NAME} are not installed; install nac again, or give a file with --model")


def advice(fingerprint: int) -> str:
    """What to do with a file of weights that are not those here.

    >>> advice(0xE83A7807)
    'decode it with nac==0.1.0, which came with those weights (generation 2), or give them with --model'
    >>> advice(7)
    'give those weights with --model'
    """
    if fingerprint not in EARLIER:
        return "give those weights with --model"
    version, generation = EARLIER[fingerprint]
    return (
        f"decode it with nac=={version}, which came with those weights (generation {generation}), "
        "or give them with --model"
    )


def table_library(*weights: str | os.PathLike[str]) -> TableLibrary:
    """Entropy tables beside some weights files and beside the packaged weights, read when first needed.

    Args:
        weights: paths of weights files, whose tables are preferred to the packaged ones.
    """
    from nac.format.entropy.tables import TableLibrary  # needs numpy, which `nac info` does without

    try:
        return TableLibrary(weights=(*weights, default_weights()))
    except WeightsError:
        return TableLibrary(weights=weights)
