"""Compare weights by the training objective: mean terms of the loss on the first seconds of every clip.

    python scripts/training_losses.py CLIPS weights/nac-24k.safetensors runs/second/model.safetensors

CLIPS is a folder that training never saw, laid out like training audio. One row for each weights file, kind of audio
and number of codebooks.
"""

import sys
from pathlib import Path

import click

from nac.errors import NacError
from nac.models.weights import load_model
from nac.training.config import TrainingConfig
from nac.training.data.corpus import load_corpus
from nac.training.measure import measure

TERMS = ("loss", "mel", "si_sdr", "commitment")


@click.command()
@click.argument("clips", type=click.Path(path_type=Path))
@click.argument("weights", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--codebooks",
    multiple=True,
    type=click.IntRange(min=1),
    default=(12, 48),
    show_default=True,
    help="Numbers of codebooks, 0.5 kbps each.",
)
@click.option("--seconds", default=4.0, show_default=True, help="How much of each clip.")
def main(clips: Path, weights: tuple[Path, ...], codebooks: tuple[int, ...], seconds: float) -> None:
    """Print the terms of the training loss of WEIGHTS on the folder CLIPS."""
    try:
        print("| weights | kind | codebooks | " + " | ".join(TERMS) + " |")
        print("| --- | --- |" + " ---: |" * (1 + len(TERMS)))
        for path in weights:
            model = load_model(path)[0]
            corpus = load_corpus(clips, model.config.sample_rate)
            for count in codebooks:
                if count > model.config.codebooks:
                    raise click.UsageError(f"{path} has {model.config.codebooks} codebooks, not {count}")
                for kind, terms in measure(model, corpus, count, TrainingConfig(), seconds).items():
                    print(
                        f"| {path.name} | {kind} | {count} | " + " | ".join(f"{terms[t]:.4f}" for t in TERMS) + " |",
                        flush=True,
                    )
    except (NacError, OSError) as error:
        print(f"training_losses: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
