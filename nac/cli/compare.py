"""`nac compare`: how far a decoded sound is from its reference, in scores and pictures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from nac.cli.guard import DAMAGED, FAILED, echo_error
from nac.cli.options import damage_line
from nac.cli.paths import is_free
from nac.errors import OptionError

if TYPE_CHECKING:
    from nac.evaluation.compare import Comparison


@click.command(short_help="Score a decoded sound against its reference.")
@click.argument("reference", metavar="REFERENCE")
@click.argument("decoded", metavar="DECODED")
@click.option("--json", "as_json", is_flag=True, help="JSON with all facts and scores, for programs.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, one row a pair.")
@click.option("--plot", metavar="OUT", help="Picture to draw (.png, .svg, .pdf); for folders the pictures' folder.")
@click.option("--kind", metavar="KIND", help="Sort of sound: speech, music or environmental; chooses the scores.")
@click.option("--metric", "-m", "metrics", multiple=True, metavar="NAME", help="Only this score; may be repeated.")
@click.option("--model", metavar="PATH", help="Weights file for .nac inputs instead of the one in the package.")
@click.option("--force", "-f", is_flag=True, help="Overwrite a picture that is there already.")
def compare(
    reference: str,
    decoded: str,
    as_json: bool,
    as_csv: bool,
    plot: str | None,
    kind: str | None,
    metrics: tuple[str, ...],
    model: str | None,
    force: bool,
) -> int:
    """Score DECODED against REFERENCE: two files, audio or .nac, or two folders, paired by name.

    A delay is found and taken out, and what differs in rate, channels or length is brought together; the notes below
    the table say so. A score that means nothing for the sound, such as a ratio to silence, is "undefined". ViSQOL is
    slow: of sounds above a minute it is computed only with --metric visqol_speech or --metric visqol_audio.

    \b
    Examples:
      nac compare in.wav out.nac
      nac compare in.wav recon.wav --kind speech --plot compare.png
      nac compare originals/ decoded/ --csv > scores.csv
      nac compare in.wav recon.wav --metric si_sdr --metric mel_distance --json
    """
    if as_json and as_csv:
        raise OptionError("give --json or --csv, not both")
    from pathlib import Path

    from nac.evaluation.compare import compare as compare_files

    if plot is not None and not Path(plot).is_dir():
        is_free([reference, decoded], plot, force=force)
    with _bar() as step:
        result = compare_files(
            reference, decoded, kind=kind, metrics=metrics or None, model=model, plot=plot, progress=step
        )
    for hint in result.hints:
        echo_error(hint)
    click.echo(result.json() if as_json else result.csv() if as_csv else result.text(), nl=not as_csv)
    if metrics and result.hints:  # what was asked for by name is not there
        return FAILED
    return DAMAGED if _say_damage(result) else 0


def _say_damage(result: Comparison) -> bool:
    """Whether .nac files among the pairs are damaged: what was lost counts in the scores, so it is said."""
    from nac.format.check import check

    found = False
    paths = dict.fromkeys(path for pair in result.pairs for path in (pair.reference, pair.decoded))
    for path in (path for path in paths if path.lower().endswith(".nac")):
        report = check(path)
        if report.metadata is not None and report.damage:
            for damage in report.damage:
                echo_error(f"{path}: {damage_line(damage, report.metadata.frame_rate)}")
            found = True
    return found


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of (pairs done, pairs in all) drawing a bar of several pairs, or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=" pairs", delay=1.0, leave=False, file=sys.stderr) as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield step
