"""`nac benchmark`: speed, memory, start-up time and complexity of nac beside other codecs, in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from nac.audio import AudioWriter
from nac.cli.pool import processors
from nac.evaluation.benchmark.commands import NAC, RATE, edits, lengths_up_to, over_length, run_command, start_up
from nac.evaluation.benchmark.speed import PEERS, Speed, measure, measure_tool
from nac.evaluation.codecs.tools import TOOLS
from nac.evaluation.report.plots import new_figure, save
from nac.synthetic import modulated_noise

TOOL_NAMES = {"opus": "Opus", "mp3": "MP3"}


def _numbers(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers; write for example 1,2")
    return numbers


@click.command()
@click.option("--threads", default="1,2", callback=_numbers, show_default=True, help="Numbers of threads to try.")
@click.option("--minutes", default="1,60", callback=_numbers, show_default=True, help="Lengths for the memory table.")
@click.option("--seconds", default=20, type=click.IntRange(1), show_default=True, help="Length for the speed table.")
@click.option("--chart", type=click.Path(path_type=Path), help="Picture (.png, .svg, .pdf) of the cost over length.")
@click.option("--longest", default=60.0, type=click.FloatRange(0.1), show_default=True, help="Minutes, in the chart.")
@click.option("--only-chart", is_flag=True, help="Draw the chart, measure nothing else.")
@click.option("--only-edits", is_flag=True, help="Time work on files without the model, measure nothing else.")
@click.option("--jobs", type=click.IntRange(2), metavar="N", help="Time a folder of N files; measure nothing else.")
@click.option("--model", type=click.Path(path_type=Path), help="Weights for --jobs instead of the packaged ones.")
def benchmark(
    threads: tuple[int, ...],
    minutes: tuple[int, ...],
    seconds: int,
    chart: Path | None,
    longest: float,
    only_chart: bool,
    only_edits: bool,
    jobs: int | None,
    model: Path | None,
) -> None:
    """Measure speed, memory, start-up time and complexity of nac beside other codecs, in one run.

    Close other programs first; compare ratios, not seconds.

    \b
    Examples:
      nac benchmark
      nac benchmark --chart cost.png --only-chart    # time and memory, for 1 s to 1 h of audio
      nac benchmark --only-edits                     # commands that need no model
      nac benchmark --jobs 16                        # many files: --jobs against threads
      pip install --no-deps encodec einops           # for the rows of EnCodec: its code with random weights
    """
    if only_chart and chart is None:
        raise click.UsageError("--only-chart needs --chart, the picture to write")
    if jobs is not None:
        many_files(jobs, seconds, model)
        return
    if only_edits:
        editing()
        return
    if chart is not None:
        new_figure(1, 1)  # a missing matplotlib shall not show after an hour
    if only_chart and chart is not None:
        draw(longest, chart)
        return
    speeds(threads, seconds)
    table("Peak memory and time of the command line at 6 kbps", "audio | encode MB | decode MB | encode s | decode s")
    for length, encoded, decoded in over_length([60 * count for count in minutes]):
        row(
            f"{length / 60:g} min",
            f"{encoded.peak:.0f}",
            f"{decoded.peak:.0f}",
            f"{encoded.wall:.1f}",
            f"{decoded.wall:.1f}",
        )
    editing()
    table("Start-up", "command | seconds")
    for name, wall in start_up().items():
        row(name, f"{wall:.2f}")
    if chart is not None:
        draw(longest, chart)
    complexity()  # last: torch in this process would count as memory of the commands that it starts


def draw(minutes: float, chart: Path) -> None:
    """The chart of time and memory over lengths up to so many minutes."""
    from nac.evaluation.benchmark.charts import length_chart

    save(length_chart(list(over_length(lengths_up_to(60 * minutes)))), chart)
    click.echo(f"wrote {chart}", err=True)


def speeds(threads: Sequence[int], seconds: int) -> None:
    """The table of codecs: neural ones at 6 kbps by number of threads, then command-line tools."""
    table(
        f"Speed at 6 kbps on {seconds} s of audio: times real time, and CPU seconds per second of audio "
        "(of opusenc, opusdec and lame: user time of the whole program)",
        "codec | threads | encode | decode | encode CPU s/s | decode CPU s/s",
    )
    for count in threads:
        rows = {name: _speed_row(name, count, measure(name, count, seconds)) for name in PEERS}
        ours, theirs = rows["nac"], rows["EnCodec 24 kHz"]
        if ours is not None and theirs is not None:
            row(
                "nac / EnCodec",
                str(count),
                f"{theirs.encode_wall / ours.encode_wall:.1f} times the speed",
                f"{theirs.decode_wall / ours.decode_wall:.1f} times the speed",
                "",
                "",
            )
    for name, shown in TOOL_NAMES.items():
        _speed_row(f"{shown} ({TOOLS[name].rates[0]:g} kbps)", 1, measure_tool(name, seconds))


def _speed_row(name: str, threads: int, speed: Speed | None) -> Speed | None:
    if speed is None:
        row(name, str(threads), "not installed", "", "", "")
        return None
    row(
        name,
        str(threads),
        f"{1 / speed.encode_wall:.0f}x",
        f"{1 / speed.decode_wall:.0f}x",
        f"{speed.encode_cpu:.4f}",
        f"{speed.decode_cpu:.4f}",
    )
    return speed


def many_files(count: int, seconds: int, model: Path | None, rounds: int = 3) -> None:
    """The table of a folder of files: one after the other with all threads, and one for each processor at a time.

    The least wall time of some rounds, the ways taking turns, starts of programs and models included.
    """
    cores = processors()
    ways = {f"one file at a time, {cores} threads": (1, cores), f"{cores} files at a time, 1 thread each": (cores, 1)}
    walls: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in").mkdir()
        for number in range(count):
            with AudioWriter(folder / "in" / f"{number}.wav", RATE, 1, subtype="pcm16") as writer:
                writer.write(modulated_noise(seconds)[None])
        weights = () if model is None else ("--model", str(model))
        for _ in range(rounds):
            for name, (processes, threads) in ways.items():
                options = ("--jobs", str(processes), "--threads", str(threads), "--force", "--quiet", *weights)
                for verb, source, target in (("encode", "in", "coded"), ("decode", "coded", "out")):
                    command = [*NAC, verb, str(folder / source), "-o", str(folder / target), *options]
                    walls.setdefault((name, verb), []).append(run_command(command).wall)
    table(f"{count} files of {seconds} s at 6 kbps on {cores} processors: times real time", "way | encode | decode")
    for name in ways:
        row(name, *(f"{count * seconds / min(walls[name, verb]):.1f}x" for verb in ("encode", "decode")))


def editing() -> None:
    """The table of commands that work on files without the model."""
    table("Work on files without the model, 60 minutes at 24 kbps: times real time", "command | packed | entropy coded")
    packed, coded = edits(), edits(entropy=True)
    for name, times in packed.items():
        row(name, f"{times:,.0f}x", f"{coded[name]:,.0f}x")


def complexity() -> None:
    """The table of what the packaged model is made of."""
    from nac.codec import Codec, beam_width
    from nac.evaluation.benchmark.complexity import parts

    beams = {"greedy": 1, f"default ({beam_width('default')} paths)": beam_width("default")}
    table(
        "Complexity at 6 kbps, mono: millions of parameters, and of multiply-accumulates per second of audio",
        "part | parameters | MAC/s",
    )
    for part in parts(Codec.load().model, 6, beams):
        row(part.name, f"{part.parameters / 1e6:.2f} M", f"{part.products / 1e6:.0f} M")


def table(title: str, columns: str) -> None:
    """The head of a Markdown table."""
    click.echo(f"\n{title}\n\n| {columns} |\n|{' --- |' * (columns.count('|') + 1)}")


def row(*cells: str) -> None:
    """A row of it."""
    click.echo(f"| {' | '.join(cells)} |")
