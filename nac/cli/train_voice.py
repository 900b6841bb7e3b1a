"""`nac train-voice`: the voice model, from recordings to a weights file."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from nac.errors import OptionError

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("audio", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder of the run.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Time budget of this call, in which the stages before the game come first and are not cut short.",
)
@click.option("--steps", type=click.IntRange(0), default=1 << 60, help="Stop the game at this step.")
@click.option(
    "--stage",
    type=click.Choice(["prepare", "fit", "control", "mode", "game", "all"]),
    default="all",
    show_default=True,
    help="Do this stage alone, which needs those before it.",
)
@click.option("--resume", is_flag=True, help="Go on with what the folder holds.")
@click.option("--general", type=PATH, help="Folder of other sounds, from which the classifier learns to tell voices.")
@click.option(
    "--base", type=PATH, help="Weights file of the general model beside the voice model.  [default: the packaged one]"
)
@click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads; 0 leaves it to torch.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Processes that prepare.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=JSON", help="Override a training setting.")
@click.option("--model-set", "shapes", multiple=True, metavar="KEY=JSON", help="Override a setting of the voice model.")
@click.option("--codebook-size", type=click.IntRange(2, 1024), default=1024, show_default=True, help="Codes of each.")
@click.option("--generation", type=int, default=0, help="Decoder generation written into the exported weights.")
@click.option("--save-minutes", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
def train_voice(
    audio: Path,
    out: Path,
    minutes: float,
    steps: int,
    stage: str,
    resume: bool,
    general: Path | None,
    base: Path | None,
    threads: int,
    processes: int,
    overrides: tuple[str, ...],
    shapes: tuple[str, ...],
    codebook_size: int,
    generation: int,
    save_minutes: float,
) -> None:
    """Train the voice model on the folder AUDIO (AUDIO/<source>/..., or any folder of recordings of voices).

    A run is a folder: config.json, metrics.csv, checkpoint.safetensors, voice.safetensors with the parts of the voice
    model, and model.safetensors, the weights file that has them beside the general model.

    \b
    Examples:
      nac train-voice VOICES --out runs/voice --general MUSIC --minutes 600
      nac train-voice VOICES --out runs/voice --minutes 60 --resume
      nac train-voice VOICES --out runs/voice --stage prepare --processes 8
    """
    import torch

    from nac.config import load, override
    from nac.models.config import VoiceConfig
    from nac.packaged import default_weights
    from nac.training.budget import Budget
    from nac.training.voice.config import VoiceTrainingConfig
    from nac.training.voice.export import export
    from nac.training.voice.parts import FILE, load_parts, stages_of
    from nac.training.voice.run import MODE, VoiceRun

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if threads:
        torch.set_num_threads(threads)
    if general is not None and not general.is_dir():
        raise OptionError(f"{general} is not a folder; give a folder of sounds that are not voices")
    budget = Budget(minutes, steps)
    settings = out / "config.json"
    config = VoiceTrainingConfig()
    if resume and settings.exists():
        try:
            config = load(VoiceTrainingConfig, json.loads(settings.read_text()), str(settings))
        except ValueError as error:
            raise OptionError(f"{settings} is not a training config: {error}") from error
    run = VoiceRun(
        audio,
        out,
        general,
        override(config, overrides),
        override(VoiceConfig(), shapes, "--model-set"),
        codebook_size,
        processes,
        save_minutes,
    )
    run.run(stage, budget, resume)
    if stage in ("game", "all") and "game" in stages_of(out / FILE):
        weights = out / "model.safetensors"
        number = export(load_parts(out / FILE), out / MODE, base or default_weights(), weights, generation)
        logging.info("%s: fingerprint %08x", weights, number)
