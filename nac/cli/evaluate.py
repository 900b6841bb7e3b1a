"""`nac evaluate`: codecs measured on a folder of clips."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from tqdm import tqdm

from nac.audio import AudioWriter
from nac.cli.guard import FAILED
from nac.errors import OptionError
from nac.evaluation.clips import Clip, choose, find_clips
from nac.evaluation.codecs import Codec, Nac, Rates, known_codecs, parse_codecs, parse_rates
from nac.evaluation.metrics import METRICS, unavailable
from nac.evaluation.report.examples import decoded_versions, make_example
from nac.evaluation.report.plots import new_figure, plot_spectrograms
from nac.evaluation.report.tables import aligned
from nac.evaluation.report.write import fewer, mean_table, write_report
from nac.evaluation.sweep.cache import default_folder
from nac.evaluation.sweep.runner import available, sweep
from nac.evaluation.sweep.summary import summarise
from nac.synthetic import made_sound

ALL = ("nac:1,3,6,12,24", "opus:6,8,12,16,24")  # measured, and drawn, unless others are named
PICTURED = ("nac:6", "opus:6,12")


@click.command()
@click.argument("clips", type=click.Path(path_type=Path), required=False)
@click.option("--codec", "specs", multiple=True, metavar="NAME[:KBPS,…]", help=f"One of {', '.join(known_codecs())}.")
@click.option("--weights", multiple=True, help="Also measure nac with this weights file.")
@click.option("--effort", multiple=True, default=["default"], help="Efforts of nac for --weights.", show_default=True)
@click.option("--kbps", default="1,3,6,12,24", help="Bit rates for --weights.", show_default=True)
@click.option("--metric", "metrics", multiple=True, type=click.Choice(list(METRICS)), help="Only these scores.")
@click.option(
    "--visqol-clips",
    type=click.IntRange(0),
    metavar="N",
    help="ViSQOL for so many clips of each kind only; "
    "it takes up to a second for each second of sound.  [default: all]",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many clips of each kind.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes side by side.", show_default=True)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=default_folder(), help="Keeps results.", show_default=True
)
@click.option("--no-cache", is_flag=True, help="Compute everything anew, keep nothing.")
@click.option("--html", is_flag=True, help="Write report.html, with players and spectrograms.")
@click.option(
    "--examples", type=click.IntRange(0), default=2, help="Clips of each kind in report.html.", show_default=True
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/evaluation"),
    help="Folder of the report.",
    show_default=True,
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Also draw spectrograms of the first "
    "clip and what the codecs make of it (.png, .svg, .pdf); without CLIPS, only that, of a sound made here.",
)
def evaluate(
    clips: Path | None,
    specs: tuple[str, ...],
    weights: tuple[str, ...],
    effort: tuple[str, ...],
    kbps: str,
    metrics: tuple[str, ...],
    visqol_clips: int | None,
    limit: int | None,
    jobs: int,
    cache: Path,
    no_cache: bool,
    html: bool,
    examples: int,
    out: Path,
    picture: Path | None,
) -> int:
    """Measure codecs on the folder CLIPS, whose subfolders are the kinds of sound (speech, music, environmental).

    Written are the scores of every clip (clips.csv), means, medians and confidence intervals (summary.csv, report.md),
    charts over bit rate, and with --html one page with all that, spectrograms and players. Without --codec: nac at 1,
    3, 6, 12, 24 kbps and Opus at 6, 8, 12, 16, 24. What was computed once is not computed again.

    \b
    Examples:
      nac evaluate CLIPS
      nac evaluate CLIPS --codec nac:3,6 --codec opus:6,12 --codec flac --visqol-clips 5
      nac evaluate --picture spectrograms.png
    """
    if clips is None and picture is None:
        raise click.UsageError("name a folder of clips, or a picture to draw with --picture")
    folder = None if no_cache else cache
    new_figure(1, 1)  # a missing matplotlib shall not show after an hour
    wanted = parse_codecs(specs) + [(Nac(path, how), parse_rates(kbps)) for path in weights for how in effort]
    codecs, lines = available(wanted or parse_codecs(ALL if clips is not None else PICTURED))
    for line in lines:
        click.echo(line, err=True)
    if clips is None:
        draw_made(codecs, folder, picture or Path())
        return 0
    found = find_clips(clips)
    if limit is not None:
        found = choose(found, limit)
    names = metrics or tuple(name for name in METRICS if visqol_clips != 0 or not METRICS[name].slow)
    for line in unavailable(names):
        click.echo(line, err=True)
    if picture is not None and found:
        draw(found[0], codecs, folder, picture)
    with tqdm(total=0, unit="clip") as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        rows = sweep(
            found, codecs, metrics=metrics or None, slow_clips=visqol_clips, jobs=jobs, cache=folder, progress=step
        )
    summaries = summarise(rows)
    shown = [make_example(clip, codecs, folder) for clip in choose(found, examples)] if html else None
    written = write_report(out, rows, summaries, shown)
    for kind in dict.fromkeys(summary.kind for summary in summaries):
        click.echo(f"\n{kind}\n{aligned(mean_table(summaries, kind, intervals=False))}")
        if line := fewer(summaries, kind):
            click.echo(line)
    for path in written:
        click.echo(f"wrote {path}", err=True)
    failed = [row for row in rows if row.error]
    for row in failed:
        click.echo(f"{row.codec} {row.nominal:g} failed on {row.clip}: {row.error}", err=True)
    return FAILED if failed else 0


def draw(clip: Clip, codecs: Sequence[tuple[Codec, Rates]], cache: Path | None, target: Path) -> None:
    """Spectrograms of a clip and of every version of it, in one picture."""
    reference, sample_rate, versions = decoded_versions(clip, codecs, cache)
    if not versions:
        raise OptionError(f"no codec could code {clip.path}: there is nothing to draw")
    plot_spectrograms([("original", reference), *versions], sample_rate, target, clip.name)
    click.echo(f"wrote {target}", err=True)


def draw_made(codecs: Sequence[tuple[Codec, Rates]], cache: Path | None, target: Path) -> None:
    """The same of a sound that is made here, so that the picture may be shown."""
    sample_rate = 24_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "made.wav")
        sound = made_sound(sample_rate=sample_rate)
        with AudioWriter(path, sample_rate, len(sound), subtype="pcm16") as writer:
            writer.write(sound)
        draw(Clip(path, "a made sound: voice-like, then music-like", None), codecs, cache, target)
