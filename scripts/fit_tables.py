"""Learn the tables of the entropy coding for a weights file, and write them beside it.

python scripts/fit_tables.py weights/nac-24k.safetensors AUDIO_FOLDER
"""

import argparse
import logging
from pathlib import Path

import torch

from nac.format.entropy.tables import save_tables, tables_path
from nac.models.weights import load_model
from nac.settings import beam_width
from nac.training.config import TrainingConfig
from nac.training.data.corpus import Crops, load_corpus
from nac.training.tables import crop_samples, fit_tables, gather_codes


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the tables of the entropy coding for a weights file.")
    parser.add_argument("weights", type=Path, help="weights file; the tables are written beside it")
    parser.add_argument("audio", type=Path, help="folder of training audio")
    parser.add_argument("--hours", type=float, default=5.0, help="audio to learn from (drawn at random, repeats count)")
    parser.add_argument("--effort", default="default", help="search effort to code with")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    model, notes = load_model(options.weights)
    config = TrainingConfig()
    corpus = load_corpus(options.audio, model.config.sample_rate)
    crops = Crops(corpus, crop_samples(model), config.balance, config.source_power, options.seed)
    codes = gather_codes(model, crops, options.hours, beam_width(options.effort))
    arrays = fit_tables(model.quantizer.codebooks.numpy(), codes)
    path = tables_path(options.weights)
    number = save_tables(path, arrays, int(notes["fingerprint"], 16))
    logging.info("%s: fingerprint %08x, %d bytes", path, number, path.stat().st_size)


if __name__ == "__main__":
    main()
