"""Measure codecs on a folder of clips: `python scripts/evaluate.py CLIPS --codec nac:3,6 --codec opus:6,12`.

The folder's subfolders are the kinds of sound (speech, music, environmental). Written are the scores of every clip
(clips.csv), means, medians and confidence intervals (summary.csv, report.md), charts over bit rate, and with --html one
page with all that, spectrograms and players.
"""

from __future__ import annotations

from pathlib import Path

import click
from tqdm import tqdm

from nac.errors import NacError
from nac.evaluation.cache import default_folder
from nac.evaluation.clips import find_clips
from nac.evaluation.codecs import Nac, known_codecs, parse_codecs, parse_rates
from nac.evaluation.examples import choose, make_example
from nac.evaluation.metrics import METRICS, unavailable
from nac.evaluation.report import mean_table, write_report
from nac.evaluation.summary import summarise
from nac.evaluation.sweep import available, sweep
from nac.evaluation.tables import aligned


@click.command(help=__doc__)
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--codec", "specs", multiple=True, metavar="NAME[:KBPS,…]", help=f"One of {', '.join(known_codecs())}.")
@click.option("--weights", multiple=True, help="Also measure nac with this weights file.")
@click.option("--effort", multiple=True, default=["default"], help="Efforts of nac for --weights.", show_default=True)
@click.option("--kbps", default="1,3,6,12,24", help="Bit rates for --weights.", show_default=True)
@click.option("--metric", "metrics", multiple=True, type=click.Choice(list(METRICS)), help="Only these scores.")
@click.option("--visqol", is_flag=True, help="ViSQOL as well (slow: a second for each second of sound).")
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
def main(
    clips: Path, specs: tuple[str, ...], weights: tuple[str, ...], effort: tuple[str, ...], kbps: str,
    metrics: tuple[str, ...], visqol: bool, limit: int | None, jobs: int, cache: Path, no_cache: bool, html: bool,
    examples: int, out: Path,
) -> None:  # fmt: skip
    try:
        found = find_clips(clips)
        if limit is not None:
            found = choose(found, limit)
        wanted = parse_codecs(specs) + [(Nac(path, how), parse_rates(kbps)) for path in weights for how in effort]
        codecs, lines = available(wanted or parse_codecs(["nac", "opus"]))
        names = metrics or (tuple(n for n in METRICS if n != "visqol" or visqol) if visqol else None)
        for line in lines + unavailable(names):
            click.echo(line, err=True)
        folder = None if no_cache else cache
        with tqdm(total=0, unit="clip") as bar:

            def step(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            rows = sweep(found, codecs, metrics=names, jobs=jobs, cache=folder, progress=step)
        summaries = summarise(rows)
        shown = [make_example(clip, codecs, folder) for clip in choose(found, examples)] if html else None
        written = write_report(out, rows, summaries, shown)
    except (NacError, OSError) as error:
        raise click.ClickException(str(error)) from None
    for kind in dict.fromkeys(summary.kind for summary in summaries):
        click.echo(f"\n{kind}\n{aligned(mean_table(summaries, kind, intervals=False))}")
    for path in written:
        click.echo(f"wrote {path}", err=True)
    failed = [row for row in rows if row.error]
    for row in failed:
        click.echo(f"{row.codec} {row.nominal:g} failed on {row.clip}: {row.error}", err=True)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
