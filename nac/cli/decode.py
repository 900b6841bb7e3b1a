"""`nac decode`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from nac.cli import options
from nac.cli.batch import run_all
from nac.cli.guard import DAMAGED, echo_error
from nac.cli.jobs import STDIO, Job
from nac.cli.paths import plan
from nac.cli.progress import progress
from nac.errors import OptionError
from nac.extensions import AUDIO_EXTENSIONS, NAC_EXTENSIONS
from nac.files import is_special
from nac.times import show_time

if TYPE_CHECKING:
    from nac.codec import DecodeReport

# Those of nac.audio, which takes longer to import than `nac info` has time.
FORMATS = ["wav", "flac", "aiff", "ogg", "opus", "mp3", "caf", "au", "w64"]


@click.command(short_help="Make audio files of .nac files.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--format", "format_", type=click.Choice(FORMATS, case_sensitive=False), help="Format of the audio file.")
@click.option("--float", "float_", is_flag=True, help="Write 32-bit float samples instead of 16-bit ones.")
@click.option("--bits", type=click.Choice(["16", "24"]), help="Bits of integer samples [default: 16].")
@click.option(
    "--headroom", type=click.FloatRange(0, 60), default=0, metavar="DB", help="Lower the sound, instead of clipping it."
)
@options.tags_option("title, artist and the like, which FLAC, Ogg and MP3 files get otherwise")
@click.option("--start", callback=options.seconds, default="0", metavar="TIME", help="Begin here: 90, or 1:30.")
@click.option("--end", callback=options.seconds, metavar="TIME", help="End here.")
@click.option("--duration", callback=options.seconds, metavar="TIME", help="Decode this much: 10, or 0:10.")
@click.option("--live", is_flag=True, help="For calls: every frame is written as soon as its bytes have come.")
@options.output_options
@options.model_options
def decode(
    inputs: tuple[str, ...],
    format_: str | None,
    float_: bool,
    bits: str | None,
    headroom: float,
    no_tags: bool,
    start: float,
    end: float | None,
    duration: float | None,
    live: bool,
    output: str | None,
    force: bool,
    skip_existing: bool,
    quiet: bool,
    model: str | None,
    device: str,
    threads: int | None,
    jobs: int,
) -> int:
    """Make audio files of .nac files, at their original sample rate and length.

    The format follows from OUTPUT's extension or --format; without either it is WAV, 16 bits. Values beyond full scale
    are clipped, and counted. Without OUTPUT results lie beside their inputs. A folder stands for all .nac files in it;
    its tree is mirrored in the folder given with -o. "-" is standard input or output (WAV). Damaged parts are reported
    with their times, and exit code 3.

    \b
    Examples:
      nac decode out.nac recon.wav
      nac decode talk.nac --start 1:30 --duration 10 clip.flac
      nac decode talk.nac - | aplay
    """
    if end is not None:
        if duration is not None:
            raise OptionError("give --end or --duration, not both")
        if end <= start:
            raise OptionError("--end lies before --start")
        duration = end - start
    if bits is not None and float_:
        raise OptionError("give --bits or --float, not both")
    suffix = "." + (format_ or "wav")
    jobs_to_do = plan(inputs, output, takes=NAC_EXTENSIONS, makes=AUDIO_EXTENSIONS, suffix=suffix)
    how = options.ModelOptions(model, device, threads)
    subtype = "float" if float_ else None if bits is None else f"pcm{bits}"
    task = DecodeTask(how, format_, subtype, start, duration, headroom, not no_tags, live, quiet)
    return run_all(jobs_to_do, task, jobs, force=force, skip_existing=skip_existing, quiet=quiet)


@dataclass(frozen=True)
class DecodeTask:
    """What to do with every input."""

    model: options.ModelOptions
    format: str | None
    subtype: str | None
    start: float
    duration: float | None
    headroom: float
    with_tags: bool
    live: bool
    quiet: bool

    def begin(self) -> Callable[[Job], int]:
        """Load the model; returns the function that decodes a file."""
        codec = options.load_codec(self.model, live=6 if self.live else None)

        def work(job: Job) -> int:
            length = _length(job.source)
            if length is not None and self.start > 0 and self.start >= length:
                raise OptionError(f"{job.source} ends at {show_time(length)}, before --start")

            def total() -> float | None:
                return self.duration if length is None else min(length - self.start, self.duration or length)

            with progress(job.label, total, quiet=self.quiet) as report:
                done = codec.decode_file(
                    job.source,
                    job.target,
                    format=self.format,
                    subtype=self.subtype,
                    start=self.start,
                    duration=self.duration,
                    progress=report,
                    headroom=self.headroom,
                    with_tags=self.with_tags,
                    live=self.live,
                )
            if done.clipped and not self.quiet:
                _report_clipping(job.target, done.clipped, done.peak)
            return _report_damage(job.source, done)

        return work


def _length(source: str) -> float | None:
    """Seconds of a file, if it is one and says so at its start."""
    if source == STDIO or is_special(source):
        return None
    from nac.format.header import read_header

    with open(source, "rb") as stream:
        return read_header(stream).duration


def _report_clipping(target: str, clipped: int, peak: float) -> None:
    over = 20 * math.log10(peak)
    name = "standard output" if target == STDIO else target
    echo_error(
        f"{name}: {clipped:,} values beyond full scale, by {over:.1f} dB at most, were clipped; "
        f"--headroom {math.ceil(over * 10) / 10:g} or --float would keep them"
    )


def _report_damage(source: str, report: DecodeReport) -> int:
    """Say what was lost and when; returns the exit code."""
    for damage in report.damage:
        echo_error(f"{options.shown_name(source)}: {options.damage_line(damage, report.metadata.frame_rate)}")
    return DAMAGED if report.damage else 0
