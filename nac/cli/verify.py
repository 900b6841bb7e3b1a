"""Encoding with a second look: the result gets its name only after it was decoded and nothing was missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nac.cli.batch import STDIO, Job
from nac.errors import DamagedError, OptionError
from nac.files import is_special, replacing
from nac.format.header import read_header

if TYPE_CHECKING:
    from nac.codec import Codec


def encode_verified(
    codec: Codec,
    job: Job,
    *,
    kbps: int,
    effort: str,
    tags: tuple[tuple[str, str], ...],
    progress: Callable[[float], None] | None,
    entropy: bool | None = None,
) -> None:
    """Encode, then decode what was written. Raises DamagedError, and leaves no file, unless all of it is there."""
    if job.target == STDIO or is_special(job.target):
        raise OptionError("--verify needs an output file that can be read back")
    with replacing(job.target) as unfinished:
        metadata = codec.encode_file(
            job.source, unfinished, kbps=kbps, effort=effort, tags=tags, progress=progress, entropy=entropy
        )
        trouble = find_trouble(codec, unfinished, metadata.samples)
        if trouble is not None:
            raise DamagedError(f"{job.target} was not kept: {trouble}")


def find_trouble(codec: Codec, path: Path, samples: int | None) -> str | None:
    """What is wrong with a file that should decode to `samples` samples; None if nothing is."""
    from nac.stream import StreamDecoder

    decoded = 0
    with path.open("rb") as stream:
        decoder = StreamDecoder(codec, read_header(stream))
        for block in decoder.read(stream):
            decoded += block.shape[1]
            if not np.isfinite(block).all():
                return "it decodes to values that are no numbers"
    if decoder.report.damage:
        return decoder.report.damage[0].reason
    return None if decoded == samples else f"it decodes to {decoded} samples instead of {samples}"
