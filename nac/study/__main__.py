"""The research bench: train autoencoders of many kinds, and judge them beside nac at their true bit rates.

    python -m nac.study --quick --out runs/quick
    python -m nac.study run scripts/studies/latent.toml --train AUDIO --clips CLIPS --out runs/latent
    python -m nac.study compare runs/latent runs/architecture --out runs/both
    python -m nac.study document STUDY.md runs/latent runs/representation
    python -m nac.study classify AUDIO --features log-mel --features nac:6 --out runs/classify
    python -m nac.study train AUDIO --preset complex --epochs 5 --max-files 50 --out runs/complex
    python -m nac.study compress runs/complex in.wav out.nst
    python -m nac.study decompress runs/complex out.nst back.wav

`run` and `train` go on where they were stopped. Pictures need matplotlib: pip install 'nac[eval]'.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

from nac.audio import AudioWriter
from nac.cli.guard import describe
from nac.config import load
from nac.errors import NacError, OptionError
from nac.evaluation.clips import load_audio
from nac.evaluation.report.plots import new_figure
from nac.evaluation.report.tables import aligned, cell, heading
from nac.files import NewFile
from nac.study.classify import judge, read_clips, write_verdicts
from nac.study.coder import load_coder
from nac.study.config import StudyConfig, SystemConfig, read_study, safe
from nac.study.document import fill
from nac.study.features import parse_features
from nac.study.presets import PRESETS
from nac.study.results import Results, compare_results
from nac.study.runner import run_study
from nac.study.single import SHOWN, report, train_single
from nac.study.sounds import write_sounds

STUDIES = Path(__file__).parents[2] / "scripts" / "studies"
PATH = click.Path(path_type=Path)


threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="CPU threads; with 1 as many studies can run side by side as there are cores.",
)


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """So many threads of torch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_line() -> Iterator[None]:
    """Failures that lie in what was given become one line and exit code 1."""
    try:
        yield
    except (NacError, OSError) as error:
        click.echo(f"study: {describe(error)}", err=True)
        raise SystemExit(1) from None


@click.group(help=__doc__, invoke_without_command=True)
@click.option("--quick", is_flag=True, help="Everything once, small, on sounds made here: a smoke test.")
@click.option("--out", type=PATH, help="Folder of the results of --quick.")
@click.pass_context
def main(context: click.Context, quick: bool, out: Path | None) -> None:
    """Set up the log, or run the quick study."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if context.invoked_subcommand is not None:
        if quick:
            raise click.UsageError("--quick goes without a command")
        return
    if not quick or out is None:
        raise click.UsageError(
            "give a command (run, compare, document, classify, train, compress, decompress), or --quick --out DIR"
        )
    with one_line():
        run_quick(out)


def run_quick(out: Path) -> None:
    """The quick study, a comparison with part of it done again, and the classifiers, on made sounds."""
    start = time.monotonic()
    new_figure(1, 1)  # a missing matplotlib shall not show at the end
    train, clips = write_sounds(out / "sounds")
    study = read_study(STUDIES / "quick.toml")
    results = _run(study, train, clips, out)
    again = dataclasses.replace(study, name="quick again", systems=study.systems[:2], codecs=(), examples=0)
    run_study(again, train, clips, out / "again")
    compare_results([out, out / "again"], out / "compared")
    heard = read_clips(train, study.sample_rate, seconds=1.0)
    folders = [str(out / "systems" / safe(system.name)) for system in study.systems[-2:]]
    verdicts = [judge(heard, parse_features(spec, study.sample_rate), 3) for spec in ("log-mel", "nac:3", *folders)]
    click.echo(aligned(write_verdicts(verdicts, heard, out / "classify")))
    for row in results.rows:
        if row.kind == "tone" and row.codec in ("near-lossless", "degraded"):
            click.echo(f"tone of 440 Hz, {row.codec}: SNR {row.scores['snr']:.1f} dB at {row.kbps:.1f} kbps")
    click.echo(f"{time.monotonic() - start:.0f} s; results in {out}")


@main.command()
@click.argument("study", type=PATH)
@click.option("--train", type=PATH, required=True, help="Folder of audio to learn from.")
@click.option("--clips", type=PATH, required=True, help="Folder of clips to judge, in folders by kind.")
@click.option("--out", type=PATH, required=True, help="Folder of the results; one begun before is gone on with.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Training time of each system, instead of the study's."
)
@click.option(
    "--known",
    type=PATH,
    multiple=True,
    help="Results of another study: a system trained there in the same way is not trained again.",
)
@threads_option
def run(
    study: Path, train: Path, clips: Path, out: Path, minutes: float | None, known: tuple[Path, ...], threads: int
) -> None:
    """Train and judge the systems of the file STUDY."""
    with one_line(), computing_with(threads):
        new_figure(1, 1)
        config = read_study(study)
        if minutes is not None:
            config = dataclasses.replace(config, minutes=minutes)
        _run(config, train, clips, out, known)


@main.command()
@click.argument("folders", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder of the common table and chart.")
def compare(folders: tuple[Path, ...], out: Path) -> None:
    """Put the results in FOLDERS into one table and chart."""
    with one_line():
        _show(compare_results(folders, out), out)


@main.command()
@click.argument("page", type=PATH)
@click.argument("folders", nargs=-1, required=True, type=PATH)
@click.option("--pictures", type=PATH, help="Folder for the charts over bit rate, which the page then shows.")
def document(page: Path, folders: tuple[Path, ...], pictures: Path | None) -> None:
    """Put the results in FOLDERS into the Markdown file PAGE, each at the place that bears its folder's name."""
    with one_line():
        fill(page, folders, pictures)


@main.command()
@click.argument("audio", type=PATH)
@click.option(
    "--features",
    multiple=True,
    metavar="log-mel|nac:KBPS|FOLDER",
    default=["log-mel"],
    show_default=True,
    help="What the classifier sees: FOLDER is that of a trained system.",
)
@click.option("--seconds", type=float, default=3.0, show_default=True, help="Length of a clip.")
@click.option("--per-recording", type=click.IntRange(1), default=30, show_default=True, help="Clips, at most.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--sample-rate", type=click.IntRange(1000, 192_000), default=16_000, show_default=True)
@click.option("--out", type=PATH, required=True, help="Folder of the table and the confusion matrices.")
def classify(
    audio: Path, features: tuple[str, ...], seconds: float, per_recording: int, folds: int, sample_rate: int, out: Path
) -> None:
    """Tell the labels of AUDIO apart: AUDIO/<label>/<recording>.wav or AUDIO/<label>/<recording>/… are its files."""
    with one_line():
        new_figure(1, 1)
        chosen = [parse_features(spec, sample_rate) for spec in features]
        clips = read_clips(audio, sample_rate, seconds, per_recording)
        click.echo(aligned(write_verdicts([judge(clips, each, folds) for each in chosen], clips, out)))


@main.command()
@click.argument("audio", type=PATH)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="spectrogram", show_default=True)
@click.option("--out", type=PATH, required=True, help="Folder of the system; one begun before is gone on with.")
@click.option("--clips", type=PATH, help="Folder of clips for the report; without it, AUDIO.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Training time."
)
@click.option(
    "--epochs", type=click.FloatRange(0), default=0.0, help="Instead of minutes: times the length of the audio."
)
@click.option("--max-files", type=click.IntRange(0), default=0, help="Files to learn from, at most; 0 is all.")
@click.option("--max-seconds", type=click.FloatRange(0), default=0.0, help="Seconds of each, at most; 0 is all.")
@click.option("--channels", help="Widths of the encoder's steps, such as 32,64,128.")
@click.option("--mel-weight", type=float, help="Weight of the mel loss.")
@click.option("--store-phase", is_flag=True, help="Transmit the phase instead of predicting it.")
@click.option("--set", "changes", multiple=True, metavar="KEY=JSON", help="Any other setting of the system.")
@threads_option
def train(
    audio: Path,
    preset: str,
    out: Path,
    clips: Path | None,
    minutes: float,
    epochs: float,
    max_files: int,
    max_seconds: float,
    channels: str | None,
    mel_weight: float | None,
    store_phase: bool,
    changes: tuple[str, ...],
    threads: int,
) -> None:
    """Train one system on the folder AUDIO, and say what it does to some clips."""
    with one_line(), computing_with(threads):
        system = PRESETS[preset]
        values: dict[str, Any] = {}
        if channels is not None:
            values["channels"] = _numbers(channels)
        if mel_weight is not None:
            values["loss"] = {**dict(system.loss), "mel": mel_weight}
        if store_phase:
            values["phase"] = "transmitted"
            values["loss"] = {
                term: weight for term, weight in values.get("loss", dict(system.loss)).items() if term != "phase"
            }  # what is stored need not be learned
        for change in changes:
            key, _, text = change.partition("=")
            try:
                values[key] = json.loads(text)
            except ValueError:
                raise OptionError(
                    f"--set {change}: give KEY=JSON, such as latent=256 or phase='\"griffin-lim\"'"
                ) from None
        whole = {**dataclasses.asdict(system), "loss": dict(system.loss), **values}
        coder, facts = train_single(
            load(SystemConfig, whole, preset),
            audio,
            out,
            minutes=minutes,
            epochs=epochs,
            max_files=max_files,
            max_seconds=max_seconds,
            progress=True,
            listen=True,
        )
        click.echo(
            f"{facts.parameters / 1e6:.2f} M parameters, {facts.steps} steps; "
            f"compression, input over latent: {facts.compression:.1f}"
        )
        table = [["setting", "clips", "bytes", "16-bit PCM / bytes", "kbps", *map(heading, SHOWN)]]
        for line in report(coder, clips or audio):
            scores = [cell(name, line.scores) for name in SHOWN]
            table.append(
                [
                    str(line.setting),
                    str(line.clips),
                    str(line.bytes),
                    f"{line.compression:.1f}",
                    f"{line.kbps:.2f}",
                    *scores,
                ]
            )
        click.echo(aligned(table))


@main.command()
@click.argument("system", type=PATH)
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@click.option("--setting", type=int, help="Bits or stages; without it, the system's highest.")
def compress(system: Path, source: Path, target: Path, setting: int | None) -> None:
    """Code the audio file SOURCE to TARGET with the SYSTEM in its folder."""
    with one_line():
        audio, rate = load_audio(source)
        data = load_coder(system).compress(audio, rate, setting)
        with NewFile(target) as new:
            new.file.write(data)
        seconds = audio.shape[1] / rate
        click.echo(f"{len(data)} bytes" + (f", {len(data) * 8 / 1000 / seconds:.2f} kbps" if seconds else ""))


@main.command()
@click.argument("system", type=PATH)
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
def decompress(system: Path, source: Path, target: Path) -> None:
    """Turn SOURCE, made by `compress`, into the audio file TARGET."""
    with one_line():
        audio, rate = load_coder(system).decompress(source.read_bytes())
        with AudioWriter(target, rate, 1) as writer:
            writer.write(audio)


def _run(study: StudyConfig, train: Path, clips: Path, out: Path, known: Sequence[Path] = ()) -> Results:
    shown = sys.stderr.isatty()
    bars: list[Any] = []

    def step(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, unit="coding", desc="judging", disable=not shown))
        bars[0].update(done - bars[0].n)

    results = run_study(study, train, clips, out, progress=shown, listen=True, step=step, known=known)
    for bar in bars:
        bar.close()
    _show(results, out)
    return results


def _show(results: Results, out: Path) -> None:
    click.echo(aligned(results.table(results.summaries())))
    for row in results.rows:
        if row.error:
            click.echo(f"{row.codec} {row.nominal:g} failed on {row.clip}: {row.error}", err=True)
    click.echo(f"wrote {out / 'table.md'}", err=True)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"{text!r} is not a list of whole numbers; write for example 32,64,128") from None


if __name__ == "__main__":
    main()
