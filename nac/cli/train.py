"""`nac train`, and what shows and measures its runs: `nac plot-training` and `nac training-losses`."""

from __future__ import annotations

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
    help="Time budget of this call, in which a new model's codebooks are fitted first; that is not cut short.",
)
@click.option("--steps", type=click.IntRange(0), default=1 << 60, help="Stop at this step even if time is left.")
@click.option("--resume", is_flag=True, help="Go on from the run's checkpoint.")
@click.option("--init", type=PATH, help="Start from a weights file or another run's checkpoint.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--threads", type=click.IntRange(0), default=0, help="CPU threads; 0 leaves it to torch.")
@click.option(
    "--workers", type=click.IntRange(0), default=0, help="Processes that prepare batches; 0: the training process."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=JSON", help="Override a training setting.")
@click.option(
    "--model-set",
    "shapes",
    multiple=True,
    metavar="KEY=JSON",
    help="Override a model setting; with --init, only to more encoder_blocks or decoder_blocks.",
)
@click.option(
    "--fit-frames",
    type=click.IntRange(1),
    help="Frames of audio that the codebooks of a new model are fitted on.  [default: 2.4 million]",
)
@click.option(
    "--refine",
    "refine_frames",
    type=click.IntRange(0),
    default=0,
    help="Before training, refine all codebooks together on this many frames. This changes the codes; follow it with "
    "--set decoder_only=true or joint training.",
)
@click.option("--generation", type=int, default=0, help="Decoder generation written into the exported weights.")
@click.option("--save-minutes", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@click.option(
    "--page-minutes",
    type=click.FloatRange(0),
    default=15.0,
    show_default=True,
    help="Minutes between pages with curves, decoded clips and their spectrograms; 0 for none. They need matplotlib: "
    "pip install 'nac[train]'.",
)
def train(
    audio: Path,
    out: Path,
    minutes: float,
    steps: int,
    resume: bool,
    init: Path | None,
    device: str,
    threads: int,
    workers: int,
    overrides: tuple[str, ...],
    shapes: tuple[str, ...],
    fit_frames: int | None,
    refine_frames: int,
    generation: int,
    save_minutes: float,
    page_minutes: float,
) -> None:
    """Train a model on the folder AUDIO (AUDIO/<kind>/<source>/..., or any folder of audio files).

    A run is a folder: config.json, metrics.csv, checkpoint.pt, page/index.html with curves and decoded clips, and
    model.safetensors, which --model of the other verbs takes.

    \b
    Examples:
      nac train AUDIO --out runs/first --minutes 120
      nac train AUDIO --out runs/first --minutes 60 --resume
      nac train MINE --out runs/mine --init nac-24k.safetensors --minutes 30 --set decoder_only=true
      torchrun --nproc-per-node 4 -m nac train AUDIO --out runs/first --device cuda   # all processes train one model
    """
    import torch

    from nac.config import override
    from nac.models.config import ModelConfig
    from nac.models.model import NacModel
    from nac.models.weights import load_model
    from nac.training.budget import Budget
    from nac.training.checkpoint import CHECKPOINT, read_checkpoint
    from nac.training.codebooks.initialise import FitConfig, initialise
    from nac.training.config import TrainingConfig
    from nac.training.data.corpus import Crops, load_corpus
    from nac.training.distributed import rank, start, stop
    from nac.training.grow import grow
    from nac.training.trainer import Trainer, model_of

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    budget = Budget(minutes, steps)
    try:
        place = start(device)
        if threads:
            torch.set_num_threads(threads)
        out.mkdir(parents=True, exist_ok=True)
        state = None
        if resume or (init and init.suffix == ".pt"):
            state = read_checkpoint(out / CHECKPOINT if resume else Path(init or ""))
        elif (out / CHECKPOINT).exists():
            raise OptionError(f"{out} holds a run already; give --resume to go on with it, or another --out")
        base = TrainingConfig.from_json(state["config"]) if state is not None and resume else TrainingConfig()
        config = override(base, overrides)
        if shapes and state is not None:
            raise OptionError(
                "--model-set is for new models and for --init with a weights file; a checkpoint keeps its shape"
            )
        shape = model_of(state) if state is not None else override(ModelConfig(), shapes, "--model-set")
        corpus = load_corpus(audio, shape.sample_rate)
        logging.info("%.1f hours of audio, %d files skipped", corpus.seconds / 3600, len(corpus.skipped))
        crops = Crops(
            corpus,
            int(config.seconds * shape.sample_rate),
            config.balance,
            config.source_power,
            config.seed + 1000 * rank(),
            config.augmentation,
        )
        usage = None
        if init and state is None:
            model = load_model(init)[0]
            if shapes:
                model = grow(model, override(model.config, shapes, "--model-set"))
        else:
            model = NacModel(shape)
            if state is None:
                frames = fit_frames or FitConfig.frames
                usage = initialise(model, corpus, FitConfig(frames=frames, late_frames=max(frames // 4, 1)))
        (out / "config.json").write_text(config.to_json())
        trainer = Trainer(model, config, crops, out, place, usage, workers)
        if state is not None:
            trainer.restore(out / CHECKPOINT if resume else Path(init or ""), weights_only=not resume)
        if refine_frames and not resume:
            trainer.refine(refine_frames)
        trainer.save()
        with budget.listening():
            trainer.run(budget, save_minutes, page_minutes=page_minutes)
        if rank() == 0:
            trainer.export(out / "model.safetensors", generation)
        logging.info(
            "%d steps, %.2f hours in all; weights in %s", trainer.step, trainer.spent / 3600, out / "model.safetensors"
        )
    finally:
        stop()


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default=Path("curves.png"), show_default=True, help="Picture (.png, .svg, .pdf).")
def plot_training(runs: tuple[Path, ...], out: Path) -> None:
    """Draw the curves of the folders RUNS, stages of one training in the order in which they followed each other.

    \b
    Example:
      nac plot-training runs/1 runs/2 --out curves.png
    """
    from nac.training.plots import plot_run

    plot_run(list(runs), out)


@click.command()
@click.argument("clips", type=PATH)
@click.argument("weights", nargs=-1, required=True, type=PATH)
@click.option(
    "--codebooks",
    multiple=True,
    type=click.IntRange(1),
    default=(12, 48),
    show_default=True,
    help="Numbers of codebooks, 0.5 kbps each.",
)
@click.option("--seconds", type=click.FloatRange(0.1), default=4.0, show_default=True, help="How much of each clip.")
def training_losses(clips: Path, weights: tuple[Path, ...], codebooks: tuple[int, ...], seconds: float) -> None:
    """Compare the files WEIGHTS by the training loss: its mean terms on the first seconds of every clip.

    CLIPS is a folder that training never saw, laid out like training audio. One row for each weights file, kind of
    audio and number of codebooks.

    \b
    Example:
      nac training-losses CLIPS runs/1/model.safetensors runs/2/model.safetensors
    """
    from nac.models.weights import load_model
    from nac.training.config import TrainingConfig
    from nac.training.data.corpus import load_corpus
    from nac.training.measure import measure

    terms = ("loss", "mel", "si_sdr", "commitment")
    click.echo("| weights | kind | codebooks | " + " | ".join(terms) + " |")
    click.echo("| --- | --- |" + " ---: |" * (1 + len(terms)))
    for path in weights:
        model = load_model(path)[0]
        corpus = load_corpus(clips, model.config.sample_rate)
        for count in codebooks:
            if count > model.config.codebooks:
                raise OptionError(f"{path} has {model.config.codebooks} codebooks, not {count}")
            for kind, found in measure(model, corpus, count, TrainingConfig(), seconds).items():
                click.echo(f"| {path.name} | {kind} | {count} | " + " | ".join(f"{found[t]:.4f}" for t in terms) + " |")
