"""`nac reduce`, `trim`, `cat`, `tag` and `test`: work on `.nac` files that needs no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import click

from nac.cli import options
from nac.cli.batch import run_all
from nac.cli.guard import DAMAGED, FAILED, attribute_errors_to, describe, echo_error
from nac.cli.jobs import STDIO, Job
from nac.cli.paths import expanded, is_free, plan
from nac.errors import NacError, OptionError
from nac.extensions import NAC_EXTENSIONS
from nac.files import standard_output
from nac.times import show_time


def _write(target: str, work: Callable[[str | BinaryIO], object]) -> None:
    """Let `work` write a target: a path, or standard output."""
    if target != STDIO:
        with attribute_errors_to(target):
            work(target)
        return
    stream = standard_output()
    work(stream)
    stream.flush()


@click.command(short_help="Lower the bit rate without encoding again.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--kbps", "-b", type=float, required=True, help="The new bit rate: a whole number below the old one.")
@options.entropy_option("as in the input unless told")
@options.tables_option
@options.output_options
def reduce(
    inputs: tuple[str, ...],
    kbps: float,
    entropy: bool | None,
    model: str | None,
    output: str | None,
    force: bool,
    skip_existing: bool,
    quiet: bool,
) -> int:
    """Lower the bit rate of .nac files by leaving out codebooks: fast, and without a second loss.

    \b
    Examples:
      nac reduce music12.nac music6.nac --kbps 6
      nac reduce archive/ -o preview/ --kbps 3
    """
    jobs = plan(inputs, output, takes=NAC_EXTENSIONS, makes=NAC_EXTENSIONS, suffix=".nac")
    rate = options.snap_kbps(kbps, quiet)
    return run_all(jobs, ReduceTask(rate, entropy, model), force=force, skip_existing=skip_existing, quiet=quiet)


@dataclass(frozen=True)
class ReduceTask:
    """What to do with every input."""

    kbps: int
    entropy: bool | None
    model: str | None

    def begin(self) -> Callable[[Job], int]:
        """The function that reduces a file."""
        from nac.format.edit import reduce as reduce_file

        tables = options.tables_of(self.model)

        def work(job: Job) -> int:
            source = options.source_of(job.source)
            _write(job.target, lambda target: reduce_file(source, target, self.kbps, self.entropy, tables))
            return 0

        return work


@click.command(short_help="Cut a part out of a file.")
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--start", callback=options.seconds, default="0", metavar="TIME", help="Where the part begins.")
@click.option("--end", callback=options.seconds, metavar="TIME", help="Where it ends.")
@click.option("--duration", callback=options.seconds, metavar="TIME", help="How long it is, instead of --end.")
@options.tables_option
@click.option("--force", "-f", is_flag=True, help="Overwrite OUTPUT if it is there already.")
@click.option("--quiet", "-q", is_flag=True, help="Report failures only.")
def trim(
    source: str,
    target: str,
    start: float,
    end: float | None,
    duration: float | None,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Cut a part out of a .nac file without decoding it. It begins at a frame, so up to 20 ms early.

    \b
    Examples:
      nac trim talk.nac answer.nac --start 1:30 --end 2:15
      nac trim talk.nac intro.nac --duration 10
    """
    if end is not None and duration is not None:
        raise OptionError("give --end or --duration, not both")
    if duration is not None:
        end = start + duration
    is_free([source], target, force=force)
    from nac.format.edit import trim as trim_file

    tables = options.tables_of(model)

    def work(place: str | BinaryIO) -> None:
        made = trim_file(options.source_of(source), place, start, end, tables)
        if not quiet and abs(made.start - start) > 0.0005:
            echo_error(f"the part begins at {show_time(made.start)}, where a frame begins")

    _write(target, work)
    return 0


@click.command(short_help="Join files into one.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", "-o", required=True, metavar="OUTPUT", help='The joined file, or "-".')
@options.tables_option
@click.option("--force", "-f", is_flag=True, help="Overwrite OUTPUT if it is there already.")
def cat(inputs: tuple[str, ...], output: str, model: str | None, force: bool) -> int:
    """Join .nac files of one model, bit rate, sample rate and number of channels, without decoding them.

    Parts that nac trim cut at one place join without a trace; between others are 20 to 40 ms of silence.

    \b
    Example:
      nac cat part1.nac part2.nac -o whole.nac
    """
    is_free(inputs, output, force=force)
    from nac.format.edit import concatenate

    tables = options.tables_of(model)

    def work(target: str | BinaryIO) -> None:
        joined = concatenate([options.source_of(path) for path in inputs], target, tables)
        gaps = [gap for gap in joined.gaps if gap]
        if gaps:
            echo_error(
                f"{sum(gaps) * 1000:.0f} ms of silence added at {len(gaps)} of {len(joined.gaps)} joints: "
                "only parts that nac trim cut at one place join without any"
            )

    _write(output, work)
    return 0


@click.command(short_help="Show or change the tags of files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--set", "-s", "added", multiple=True, metavar="KEY=VALUE", help="Add, or replace what KEY has.")
@click.option("--remove", "-r", "removed", multiple=True, metavar="KEY", help="Take the tags of this key away.")
@click.option("--clear", is_flag=True, help="Take all tags away (before adding any).")
def tag(files: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...], clear: bool) -> int:
    """Show the tags of .nac files, or change them in place. A key given to --set several times gets several values.

    \b
    Examples:
      nac tag song.nac
      nac tag song.nac --set TITLE=Rain --set ARTIST=Nobody --remove COMMENT
    """
    pairs = options.parse_tags(added)
    from nac.format.edit import read_tags, remove_tags, set_tags

    def work(path: str) -> None:
        if clear or removed:
            remove_tags(path, None if clear else removed)
        if pairs:
            set_tags(path, pairs)
        if not (clear or removed or pairs):
            for key, value in read_tags(path):
                name = f"{path}: " if len(files) > 1 else ""
                click.echo(f"{name}{options.printable(f'{key}={value}')}")

    return _each(files, work)


@click.command(short_help="Check whether files are intact.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--quiet", "-q", is_flag=True, help="Report damage only.")
def test(files: tuple[str, ...], quiet: bool) -> int:
    """Check every block of .nac files, without decoding them. Exit code 3 if a part of one is damaged.

    A folder stands for all .nac files in it.

    \b
    Example:
      nac test *.nac
    """
    from nac.format.check import check

    code = 0

    def work(path: str) -> None:
        nonlocal code
        report = check(options.source_of(path))
        name = options.shown_name(path)
        if report.metadata is None:
            raise NacError("version 0 has no checksums, so it cannot be tested")
        for damage in report.damage:
            echo_error(f"{name}: {options.damage_line(damage, report.metadata.frame_rate)}")
        if report.damage:
            code = DAMAGED
        elif not quiet:
            click.echo(f"{name}: intact, {report.intact_blocks:,} blocks")

    return _each(tuple(expanded(files, NAC_EXTENSIONS)), work) or code


def _each(files: tuple[str, ...], work: Callable[[str], None]) -> int:
    """Do something with every file; one failure does not stop the rest."""
    code = 0
    for path in files:
        try:
            with attribute_errors_to(path):
                work(path)
        except BrokenPipeError:
            raise
        except (NacError, OSError) as error:
            echo_error(describe(error, options.shown_name(path)))
            code = FAILED
    return code
