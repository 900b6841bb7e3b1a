"""`nac listen`: listening tests in a browser, `page` to make one and `score` to read what it exports."""

from __future__ import annotations

from pathlib import Path

import click

from nac.errors import FormatError, OptionError
from nac.evaluation.clips import choose, find_clips
from nac.evaluation.codecs import Nac, parse_codecs, parse_rates
from nac.evaluation.listening.page import listening_page, make_items
from nac.evaluation.listening.scores import (
    discrimination,
    discrimination_table,
    read_answers,
    score_table,
    scores,
    scores_csv,
    screen,
)
from nac.evaluation.report.tables import aligned
from nac.evaluation.sweep.cache import default_folder
from nac.evaluation.sweep.runner import available
from nac.files import NewFile


@click.group()
def listen() -> None:
    """Make a listening test that needs nothing but a browser, and score what it exports.

    \b
    Examples:
      nac listen page CLIPS --codec nac:6 --codec opus:6,12 --out listening.html
      nac listen score answers/*.csv
    """


@listen.command()
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--codec", "specs", multiple=True, metavar="NAME:KBPS[,…]", help="For example nac:6 or opus:6,12.")
@click.option("--weights", multiple=True, help="Also nac with this weights file.")
@click.option("--kbps", default="6", help="Bit rates for --weights.", show_default=True)
@click.option("--per-kind", type=click.IntRange(1), default=2, help="Clips of each kind.", show_default=True)
@click.option("--clip", "names", multiple=True, help="Only this clip (kind/name); repeatable, instead of --per-kind.")
@click.option("--seconds", type=click.FloatRange(1, 30), default=10.0, help="Of each clip.", show_default=True)
@click.option("--no-rating", is_flag=True, help="Only ABX.")
@click.option(
    "--abx", multiple=True, metavar="VERSION", help="ABX of this version (such as 'nac 6') and the reference."
)
@click.option("--trials", type=click.IntRange(1, 100), default=8, help="ABX trials for each pair.", show_default=True)
@click.option("--title", default="Listening test", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("listening.html"), show_default=True)
def page(
    clips: Path,
    specs: tuple[str, ...],
    weights: tuple[str, ...],
    kbps: str,
    per_kind: int,
    names: tuple[str, ...],
    seconds: float,
    no_rating: bool,
    abx: tuple[str, ...],
    trials: int,
    title: str,
    out: Path,
) -> None:
    """Make a page from the clips in the folder CLIPS (kinds are its subfolders)."""
    found = find_clips(clips)
    unknown = set(names) - {clip.name for clip in found}
    if unknown:
        raise OptionError(f"there is no clip {sorted(unknown)[0]} in {clips}")
    chosen = [clip for clip in found if clip.name in names] if names else choose(found, per_kind)
    wanted = parse_codecs(specs) + [(Nac(path), parse_rates(kbps)) for path in weights]
    codecs, lines = available(wanted or parse_codecs(["nac:6"]))
    for line in lines:
        click.echo(line, err=True)
    items = make_items(chosen, codecs, seconds=seconds, cache=default_folder())
    html = listening_page(items, title=title, mushra=not no_rating, abx=abx, abx_trials=trials)
    with NewFile(out) as new:
        new.file.write(html.encode())
    versions = ", ".join(version.name for version in items[0].versions)
    click.echo(f"wrote {out}: {len(items)} clips, each as {versions}", err=True)


@listen.command()
@click.argument("answers", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--keep-all", is_flag=True, help="No post-screening.")
@click.option("--csv", "target", type=click.Path(path_type=Path), help="Write the scores here as well.")
def score(answers: tuple[Path, ...], keep_all: bool, target: Path | None) -> None:
    """Scores from exported ANSWERS, after the post-screening of ITU-R BS.1534-3."""
    ratings, choices = read_answers(answers)
    kept, reasons = (ratings, {}) if keep_all else screen(ratings)
    for listener, reason in reasons.items():
        click.echo(f"left out {listener}: {reason}", err=True)
    if not kept and not choices:
        raise FormatError("no answers are left to score")
    found = scores(kept) if kept else []
    if target is not None:
        with NewFile(target) as new:
            new.file.write(scores_csv(found).encode())
    if found:
        click.echo(aligned(score_table(found)))
    if choices:
        click.echo("\n" + aligned(discrimination_table(discrimination(choices))))
