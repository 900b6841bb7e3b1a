"""What the options of several verbs mean."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from nac.cli.guard import echo_error
from nac.errors import OptionError, WeightsError
from nac.settings import ENTROPY_DEFAULT
from nac.times import show_time

if TYPE_CHECKING:
    from nac.codec import Codec
    from nac.format.entropy.tables import TableLibrary
    from nac.format.scan import Damage

MIN_KBPS, MAX_KBPS = 1, 24
Verb = TypeVar("Verb", bound=Callable[..., Any])


def seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Callback of options that take a time."""
    try:
        return None if value is None else parse_time(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a time; write seconds (90), 1:30 or 1:02:03.5") from None


def parse_time(text: str) -> float:
    """Seconds of a time as people write it; raises ValueError.

    >>> parse_time("1:30"), parse_time("1:02:03.5"), parse_time("0.25")
    (90.0, 3723.5, 0.25)
    """
    parts = text.split(":")
    values = [float(part) for part in parts]
    wrong = len(parts) > 3 or not all(part[:1].isdigit() or part[:1] == "." for part in parts)
    if wrong or not all(map(math.isfinite, values)) or any(value >= 60 for value in values[1:]):
        raise ValueError(text)
    if any(value != int(value) for value in values[:-1]):
        raise ValueError(text)
    return float(sum(value * 60.0**place for place, value in enumerate(reversed(values))))


def snap_kbps(wanted: float, quiet: bool = False) -> int:
    """The bit rate that exists nearest to the wanted one (the lower of two), said on standard error if it differs.

    Raises OptionError for what is not a bit rate at all.

    >>> snap_kbps(6.5, quiet=True), snap_kbps(100, quiet=True)
    (6, 24)
    """
    if not (math.isfinite(wanted) and wanted > 0):
        raise OptionError(f"{wanted} is not a bit rate; whole numbers from {MIN_KBPS} to {MAX_KBPS} kbps are possible")
    nearest = min(max(math.ceil(wanted - 0.5), MIN_KBPS), MAX_KBPS)
    if nearest != wanted and not quiet:
        echo_error(
            f"coding at {nearest} kbps, the nearest to {wanted:g}: bit rates are whole, {MIN_KBPS} to {MAX_KBPS} kbps"
        )
    return nearest


def parse_tags(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """`KEY=VALUE` texts as pairs; the value may hold further equals signs. Raises OptionError without a key."""
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise OptionError(f"{text!r} is not a tag; write KEY=VALUE, for example TITLE=Rain")
        pairs.append((key, value))
    return tuple(pairs)


def damage_line(damage: Damage, frame_rate: int) -> str:
    """One finding in a damaged file, with its time if audio is lost."""
    if not damage.frames:
        return damage.reason
    begin, end = damage.seconds(frame_rate)
    return f"lost from {show_time(begin)} to {show_time(end)}: {damage.reason}"


def printable(text: str) -> str:
    """Text from a file without the control characters that could confuse a terminal.

    >>> print(printable("Rain" + chr(27) + "[2J"))
    Rain\\x1b[2J
    """
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def source_of(path: str) -> str | BinaryIO:
    """What to read: the path itself, or standard input for "-"."""
    return sys.stdin.buffer if path == "-" else path


def shown_name(path: str) -> str:
    """How messages call an input."""
    return "standard input" if path == "-" else path


def block(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Callback of the option that takes the length of a block: its frames."""
    try:
        return None if value is None else parse_block(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a block: write 20ms, 40ms and so on, to 1s") from None


def parse_block(text: str) -> int:
    """Frames of a block whose length is given as people write it; raises ValueError.

    >>> parse_block("20ms"), parse_block("0.1s"), parse_block("1s")
    (1, 5, 50)
    """
    factor = 0.05 if text.endswith("ms") else 50
    frames = float(text.removesuffix("s").removesuffix("m")) * factor
    if not (math.isfinite(frames) and 1 <= round(frames) <= 50 and abs(frames - round(frames)) < 1e-6):
        raise ValueError(text)
    return round(frames)


def output_options(verb: Verb) -> Verb:
    """The options that every verb with outputs has."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Report failures only."),
        click.option("--skip-existing", is_flag=True, help="Leave outputs alone that are there already."),
        click.option("--force", "-f", is_flag=True, help="Overwrite outputs that are there already."),
        click.option("--output", "-o", metavar="PATH", help="Folder for the results; for one input also the file."),
    ):
        verb = option(verb)
    return verb


def entropy_option(default: str = "on" if ENTROPY_DEFAULT else "off") -> Callable[[Verb], Verb]:
    """The option that chooses between entropy coded and packed codes."""
    what = f"Entropy code the codes: smaller by about a sixth, without loss [default: {default}]."
    return click.option("--entropy/--no-entropy", default=None, help=what)


def tags_option(what: str) -> Callable[[Verb], Verb]:
    """The option that leaves out the tags of the input."""
    return click.option("--no-tags", is_flag=True, help=f"Leave out {what}.")


def tables_option(verb: Verb) -> Verb:
    """The option of verbs that edit files: where entropy tables are, beside those of the packaged weights."""
    what = "Weights file that the input was made with, if not the one in the package: its entropy tables may be needed."
    return click.option("--model", metavar="PATH", help=what)(verb)


def tables_of(model: str | None) -> TableLibrary:
    """The entropy tables beside `--model` and in the package. Raises WeightsError for a model that is not there."""
    from nac.packaged import table_library

    if model is None:
        return table_library()
    if not os.path.isfile(model):
        raise WeightsError(f"weights {model} not found; give the .safetensors file of the model with --model")
    return table_library(model)


def model_options(verb: Verb) -> Verb:
    """The options of verbs that run the model."""
    for option in (
        click.option(
            "--jobs",
            "-j",
            type=click.IntRange(0),
            default=1,
            metavar="N",
            help="Files to do at a time; 0: one for each processor.",
        ),
        click.option("--threads", type=click.IntRange(1), metavar="N", help="Processor threads to use."),
        click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda or cuda:N."),
        click.option("--model", metavar="PATH", help="Weights file to use instead of the one in the package."),
    ):
        verb = option(verb)
    return verb


@dataclass(frozen=True)
class ModelOptions:
    """What `model_options` were given."""

    model: str | None
    device: str
    threads: int | None


def load_codec(how: ModelOptions, effort: str | None = None, live: int | None = None) -> Codec:
    """The codec for these options. Here, and here only, torch is imported.

    For a live stream at `live` kbps it has done everything once, and uses one thread unless told otherwise: to share
    the work on single frames costs more than it saves. Raises OptionError for an unknown effort.
    """
    from nac.codec import Codec, beam_width

    if effort is not None:
        beam_width(effort)
    codec = Codec.load(how.model, device=how.device, threads=how.threads or (1 if live else None))
    if live:
        codec.warm_up(live)
    return codec
