"""What do short blocks cost? True kbps over the length of a block, packed and entropy coded.

\b
    python -m scripts.block_report
    python -m scripts.block_report --kbps 12 speech.wav

Without AUDIO a made voice is coded. Packed figures are the same for every sound and all weights, but for the header
(left out here: the rate is that of a long stream).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from nac.cli.options import parse_block, snap_kbps
from nac.codec import Codec
from nac.errors import NacError
from nac.format.blocks import BlockWriter
from nac.format.entropy.tables import TableLibrary, tables_beside, tables_field
from nac.format.header import Metadata
from nac.format.layout import ENTROPY, ENTROPY_WHOLE, PACKED
from scripts.concealment_report import recording

BLOCKS = ("20ms", "40ms", "60ms", "100ms", "200ms", "1s")


def true_kbps(meta: Metadata, codes: np.ndarray[tuple[int, ...], np.dtype[np.int16]], library: TableLibrary) -> float:
    """Kilobits a second of the whole blocks that mono codes `[codebooks, frames]` fill."""
    size = meta.block_frames
    whole = codes.shape[1] // size * size
    writer = BlockWriter(meta, library)
    total = sum(len(writer.block([codes[:, first : first + size]])) for first in range(0, whole, size))
    return total * 8 / 1000 * meta.frame_rate / whole


@click.command(help=__doc__)
@click.argument("audio", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--kbps", default=6.0, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="Use so much of the recording.")
@click.option("--model", help="Weights file to use instead of the one in the package.")
def main(audio: Path | None, kbps: float, seconds: float, model: str | None) -> None:
    try:
        rate = snap_kbps(kbps)
        codec = Codec.load(model)
        codes = codec.encode_codes(recording(audio, codec.sample_rate, seconds), codec.sample_rate, rate)[0]
        tables = tables_beside(codec.path, codec.fingerprint)
    except NacError as error:
        raise click.ClickException(str(error)) from error
    base = Metadata(codec.sample_rate, 1, None, rate, 2 * rate, codec.fingerprint, codec.model_name)
    coded = replace(base, extra=(tables_field(tables),))
    click.echo("| block | packed | entropy coded in sections | entropy coded as a whole |")
    click.echo("| --- | ---: | ---: | ---: |")
    for block in BLOCKS:
        metas = (replace(base, coding=PACKED), replace(coded, coding=ENTROPY), replace(coded, coding=ENTROPY_WHOLE))
        rates = [
            true_kbps(replace(meta, block_frames=parse_block(block)), codes, TableLibrary(tables)) for meta in metas
        ]
        click.echo(f"| {block} | {' | '.join(f'{value:.2f}' for value in rates)} |")


if __name__ == "__main__":
    main()
