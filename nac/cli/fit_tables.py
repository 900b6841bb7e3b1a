"""`nac fit-tables`: the tables of the entropy coding, learned for a weights file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click


@click.command()
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("audio", type=click.Path(path_type=Path))
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Audio to learn from; it is drawn at random, and repeats count.",
)
@click.option("--effort", default="default", show_default=True, metavar="NAME", help="Search effort to code with.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def fit_tables(weights: Path, audio: Path, hours: float, effort: str, threads: int, seed: int) -> None:
    """Learn the tables of the entropy coding for the file WEIGHTS from the folder AUDIO, and write them beside it.

    \b
    Example:
      nac fit-tables runs/first/model.safetensors AUDIO
    """
    import torch

    from nac.format.entropy.tables import save_tables, tables_path
    from nac.models.weights import load_model
    from nac.settings import beam_width
    from nac.training import tables
    from nac.training.config import TrainingConfig
    from nac.training.data.corpus import Crops, load_corpus

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    beam = beam_width(effort)
    torch.set_num_threads(threads)
    model, notes = load_model(weights)
    config = TrainingConfig()
    corpus = load_corpus(audio, model.config.sample_rate)
    crops = Crops(corpus, tables.crop_samples(model), config.balance, config.source_power, seed)
    codes = tables.gather_codes(model, crops, hours, beam)
    arrays = tables.fit_tables(tables.code_symbols(model, codes), codes)
    path = tables_path(weights)
    number = save_tables(path, arrays, int(notes["fingerprint"], 16))
    logging.info("%s: fingerprint %08x, %d bytes", path, number, path.stat().st_size)
