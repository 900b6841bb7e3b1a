"""Train nac on a folder of audio.

    python scripts/train.py AUDIO --out runs/first --minutes 120
    python scripts/train.py AUDIO --out runs/first --minutes 60 --resume
    python scripts/train.py MY_RECORDINGS --out runs/mine --init weights/nac-24k.safetensors --minutes 30

A run is a folder: config.json, metrics.csv, checkpoint.pt, page/index.html with curves and decoded clips, and
model.safetensors, which `nac --model` takes. On several GPUs or machines: `torchrun --nproc-per-node 4 scripts/train.py
AUDIO --device cuda ...`.
"""

import dataclasses
import json
import logging
import sys
from pathlib import Path

import click
import torch

from nac.errors import NacError, OptionError
from nac.models.config import ModelConfig, to_tuples
from nac.models.model import NacModel
from nac.models.weights import load_model
from nac.training.codebooks.initialise import FitConfig, initialise
from nac.training.config import TrainingConfig
from nac.training.data.corpus import Crops, load_corpus
from nac.training.distributed import rank, start, stop
from nac.training.grow import grow
from nac.training.trainer import CHECKPOINT, Budget, Trainer, model_of, read_checkpoint


@click.command()
@click.argument("audio", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option(
    "--minutes",
    type=float,
    default=60.0,
    show_default=True,
    help="Time budget of this call, in which a new model's codebooks are fitted first; that is not cut short.",
)
@click.option("--steps", type=int, default=1 << 60, help="Stop at this step even if time is left.")
@click.option("--resume", is_flag=True, help="Go on from the run's checkpoint.")
@click.option("--init", type=click.Path(path_type=Path), help="Start from a weights file or another run's checkpoint.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that prepare batches; 0: the training process."
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
    type=int,
    default=FitConfig.frames,
    show_default=True,
    help="Frames of audio that the codebooks are fitted on before the first step.",
)
@click.option(
    "--refine",
    "refine_frames",
    type=int,
    default=0,
    help="Before training, refine all codebooks together "
    "on this many frames. This changes the codes; follow it with --set decoder_only=true or joint training.",
)
@click.option("--generation", type=int, default=0, help="Decoder generation written into the exported weights.")
@click.option("--save-minutes", type=float, default=5.0, show_default=True, help="Minutes between checkpoints.")
@click.option(
    "--page-minutes",
    type=float,
    default=15.0,
    show_default=True,
    help="Minutes between pages with curves, decoded clips and their spectrograms; 0 for none.",
)
def main(
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
    fit_frames: int,
    refine_frames: int,
    generation: int,
    save_minutes: float,
    page_minutes: float,
) -> None:
    """Train on the folder AUDIO (AUDIO/<kind>/<source>/..., or any folder of audio files).

    Started by torchrun, all its processes train one model together.
    """
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
        config = _override(base, overrides)
        if shapes and state is not None:
            raise OptionError(
                "--model-set is for new models and for --init with a weights file; a checkpoint goes on "
                "in its own shape"
            )
        shape = model_of(state) if state is not None else _override(ModelConfig(), shapes)
        corpus = load_corpus(audio, shape.sample_rate)
        logging.info("%.1f hours of audio, %d files skipped", corpus.seconds / 3600, len(corpus.skipped))
        seed = config.seed + 1000 * rank()
        crops = Crops(
            corpus,
            int(config.seconds * shape.sample_rate),
            config.balance,
            config.source_power,
            seed,
            config.augmentation,
        )
        usage = None
        if init and state is None:
            model = load_model(init)[0]
            if shapes:
                model = grow(model, _override(model.config, shapes))
        else:
            model = NacModel(shape)
            if state is None:
                usage = initialise(model, corpus, FitConfig(frames=fit_frames, late_frames=max(fit_frames // 4, 1)))
        (out / "config.json").write_text(config.to_json())
        trainer = Trainer(model, config, crops, out, place, usage, workers)
        if state is not None:
            trainer.restore(out / CHECKPOINT if resume else Path(init or ""), weights_only=not resume)
        if refine_frames and not resume:
            trainer.refine(refine_frames)
        trainer.save()
        budget.listen()
        trainer.run(budget, save_minutes, page_minutes=page_minutes)
        if rank() == 0:
            trainer.export(out / "model.safetensors", generation)
        logging.info(
            "%d steps, %.2f hours in all; weights in %s", trainer.step, trainer.spent / 3600, out / "model.safetensors"
        )
    except (NacError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        stop()


def _override(config, pairs):  # type: ignore[no-untyped-def]
    values = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        try:
            value = json.loads(text)
        except ValueError as error:
            raise OptionError(f"--set {pair}: give KEY=JSON, such as batch=8") from error
        if key not in {field.name for field in dataclasses.fields(config)}:
            raise OptionError(f"{key} is no setting of {type(config).__name__}")
        values[key] = to_tuples(value)
    return dataclasses.replace(config, **values)


if __name__ == "__main__":
    main()
