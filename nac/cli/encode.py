"""`nac encode`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import click

from nac.cli import options
from nac.cli.batch import run_all
from nac.cli.guard import DAMAGED, noticed_losses
from nac.cli.jobs import STDIO, Job
from nac.cli.paths import plan
from nac.cli.progress import progress
from nac.extensions import AUDIO_EXTENSIONS, NAC_EXTENSIONS
from nac.files import is_special


@click.command(short_help="Code audio files as .nac.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--kbps", "-b", type=float, default=6, show_default=True, help="Bit rate: whole numbers from 1 to 24.")
@click.option("--effort", "-e", default="default", show_default=True, help="fast, default, best, or a width 1 to 64.")
@click.option("--tag", "-t", "tags", multiple=True, metavar="KEY=VALUE", help="Text to store in the file; repeatable.")
@options.entropy_option()
@click.option("--verify", is_flag=True, help="Read back, decode and compare what is written.")
@options.output_options
@options.model_options
def encode(
    inputs: tuple[str, ...],
    kbps: float,
    effort: str,
    tags: tuple[str, ...],
    entropy: bool | None,
    verify: bool,
    output: str | None,
    force: bool,
    skip_existing: bool,
    quiet: bool,
    model: str | None,
    device: str,
    threads: int | None,
    jobs: int,
) -> int:
    """Code audio files (WAV, FLAC, Ogg, MP3, AIFF and others; mono or stereo, any sample rate) as .nac.

    Without OUTPUT the result lies beside the input. A folder stands for all audio files in it; its tree is mirrored in
    the folder given with -o. "-" is standard input or output.

    \b
    Examples:
      nac encode in.wav out.nac --kbps 6
      nac encode music/ talk.flac -o coded/
      ffmpeg -i film.mkv -f wav - | nac encode - film.nac
    """
    jobs_to_do = plan(inputs, output, takes=AUDIO_EXTENSIONS, makes=NAC_EXTENSIONS, suffix=".nac")
    pairs = options.parse_tags(tags)
    rate = options.snap_kbps(kbps, quiet)
    task = EncodeTask(options.ModelOptions(model, device, threads), rate, effort, pairs, entropy, verify, quiet)
    return run_all(jobs_to_do, task, jobs, force=force, skip_existing=skip_existing, quiet=quiet)


@dataclass(frozen=True)
class EncodeTask:
    """What to do with every input."""

    model: options.ModelOptions
    kbps: int
    effort: str
    tags: tuple[tuple[str, str], ...]
    entropy: bool | None
    verify: bool
    quiet: bool

    def begin(self) -> Callable[[Job], int]:
        """Load the model; returns the function that encodes a file."""
        codec = options.load_codec(self.model, self.effort)

        def work(job: Job) -> int:
            with (
                noticed_losses() as losses,
                progress(job.label, lambda: _length(job.source), quiet=self.quiet) as report,
            ):
                codec.encode_file(
                    job.source,
                    job.target,
                    kbps=self.kbps,
                    effort=self.effort,
                    tags=self.tags,
                    progress=report,
                    entropy=self.entropy,
                    verify=self.verify,
                )
            return DAMAGED if losses else 0

        return work


def _length(source: str) -> float | None:
    """Seconds of an audio file, if it is one and tells."""
    if source == STDIO or is_special(source):
        return None
    from nac.audio import open_audio

    with open_audio(source) as reader:
        return None if reader.expected is None else reader.expected / reader.sample_rate
