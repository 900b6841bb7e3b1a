"""`nac encode`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from nac.cli import options
from nac.cli.batch import run_all
from nac.cli.guard import DAMAGED, echo_error, noticed_losses
from nac.cli.jobs import STDIO, Job
from nac.cli.paths import plan
from nac.cli.progress import progress
from nac.errors import AudioError, OptionError
from nac.extensions import AUDIO_EXTENSIONS, NAC_EXTENSIONS
from nac.files import is_special

# Those of nac.audio, which takes longer to import than `nac info` has time.
RAW = ["u8", "s16le", "s24le", "s32le", "f32le", "f64le"]


@click.command(short_help="Code audio files as .nac.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT... [OUTPUT]")
@click.option("--kbps", "-b", type=float, default=6, show_default=True, help="Bit rate: whole numbers from 1 to 24.")
@click.option("--effort", "-e", default="default", show_default=True, help="fast, default, best, or a width 1 to 64.")
@click.option("--tag", "-t", "tags", multiple=True, metavar="KEY=VALUE", help="Text to store in the file; repeatable.")
@options.tags_option("title, artist and the like of the inputs. Cover pictures always are")
@click.option("--mono", is_flag=True, help="Fold all channels into one.")
@click.option("--downmix", is_flag=True, help="Fold more than two channels into two, with the usual weights.")
@click.option("--raw", is_flag=True, help="The input is samples without a header, as told by the next three options.")
@click.option("--rate", type=click.IntRange(1, (1 << 24) - 1), metavar="HZ", help="Sample rate of raw samples.")
@click.option("--channels", type=click.IntRange(1, 255), metavar="N", help="Channels of raw samples [default: 1].")
@click.option("--format", "format_", type=click.Choice(RAW), help="Type of raw samples [default: s16le].")
@options.entropy_option()
@click.option("--block", callback=options.block, metavar="TIME", help="Length of a block, 20ms to 1s [default: 1s].")
@click.option("--live", is_flag=True, help="For calls: blocks of 20ms unless told otherwise, each written at once.")
@click.option("--verify", is_flag=True, help="Read back, decode and compare what is written.")
@options.output_options
@options.model_options
def encode(
    inputs: tuple[str, ...],
    kbps: float,
    effort: str,
    tags: tuple[str, ...],
    no_tags: bool,
    mono: bool,
    downmix: bool,
    raw: bool,
    rate: int | None,
    channels: int | None,
    format_: str | None,
    entropy: bool | None,
    block: int | None,
    live: bool,
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

    Without OUTPUT results lie beside their inputs. A folder stands for all audio files in it; its tree is mirrored in
    the folder given with -o. "-" is standard input or output. What else has sound (m4a, webm, films) is read by way of
    ffmpeg, where that is installed. Where a part of an input cannot be read, it is told, and the exit code is 3.

    \b
    Examples:
      nac encode in.wav out.nac --kbps 6
      nac encode music/ talk.flac -o coded/
      ffmpeg -i film.mkv -f wav - | nac encode - film.nac
      nac encode --live - - | nac decode --live - - | aplay
      parec --raw --rate 16000 --channels 1 | nac encode - talk.nac --raw --rate 16000
    """
    samples = _raw_format(raw, rate, channels, format_)
    jobs_to_do = plan(
        inputs, output, takes=AUDIO_EXTENSIONS, makes=NAC_EXTENSIONS, suffix=".nac", tell=None if quiet else echo_error
    )
    pairs = options.parse_tags(tags)
    task = EncodeTask(
        options.ModelOptions(model, device, threads),
        options.snap_kbps(kbps, quiet),
        effort,
        pairs,
        not (no_tags or raw),
        samples,
        1 if mono else 2 if downmix else None,
        entropy,
        1 if live and block is None else block,
        live,
        verify,
        quiet,
    )
    return run_all(jobs_to_do, task, jobs, force=force, skip_existing=skip_existing, quiet=quiet)


def _raw_format(raw: bool, rate: int | None, channels: int | None, format_: str | None) -> tuple[int, int, str] | None:
    if raw and rate is None:
        raise OptionError("raw samples do not tell their rate; give it with --rate")
    if not raw and (rate, channels, format_) != (None, None, None):
        raise OptionError("--rate, --channels and --format describe raw samples; give --raw too")
    return (rate, channels or 1, format_ or "s16le") if raw and rate is not None else None


@dataclass(frozen=True)
class EncodeTask:
    """What to do with every input."""

    model: options.ModelOptions
    kbps: int
    effort: str
    tags: tuple[tuple[str, str], ...]
    carries_tags: bool
    raw: tuple[int, int, str] | None
    channels: int | None
    entropy: bool | None
    block_frames: int | None
    live: bool
    verify: bool
    quiet: bool

    def begin(self) -> Callable[[Job], int]:
        """Load the model; returns the function that encodes a file."""
        codec = options.load_codec(self.model, self.effort, self.kbps if self.live else None)
        from nac.audio import RawFormat

        raw = None if self.raw is None else RawFormat(*self.raw)

        def work(job: Job) -> int:
            with (
                noticed_losses() as losses,
                progress(job.label, lambda: self._length(job.source), quiet=self.quiet) as report,
            ):
                codec.encode_file(
                    job.source,
                    job.target,
                    kbps=self.kbps,
                    effort=self.effort,
                    tags=self._tags(job.source),
                    progress=report,
                    entropy=self.entropy,
                    verify=self.verify,
                    raw=raw,
                    channels=self.channels,
                    block_frames=self.block_frames,
                )
            return DAMAGED if losses else 0

        return work

    def _tags(self, source: str) -> tuple[tuple[str, str], ...]:
        """Those of the source, if it is a file, but for the keys that were given."""
        if not self.carries_tags or source == STDIO or is_special(source):
            return self.tags
        from nac.audio.tags import read_tags

        given = {key.upper() for key, _ in self.tags}
        return (*(pair for pair in read_tags(source) if pair[0] not in given), *self.tags)

    def _length(self, source: str) -> float | None:
        """Seconds of an audio file, if it is one and tells."""
        if source == STDIO or is_special(source) or self.raw is not None:
            return None
        from nac.audio import open_audio

        try:
            with _without_warnings(), open_audio(source, channels=self.channels) as reader:
                return None if reader.expected is None else reader.expected / reader.sample_rate
        except AudioError:
            return None  # the same is told when it is coded


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
