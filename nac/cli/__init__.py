"""The command line: `nac` and its verbs. Each verb reads its options, calls one function per file and prints."""

from __future__ import annotations

import click

import nac
from nac.cli.compare import compare
from nac.cli.decode import decode
from nac.cli.edit import cat, reduce, tag, test, trim
from nac.cli.encode import encode
from nac.cli.guard import GuardedGroup
from nac.cli.info import info
from nac.cli.lazy import LazyCommand


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"nac {nac.__version__}")
        context.exit()


@click.group(cls=GuardedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, callback=_show_version, expose_value=False, is_eager=True, help="Show the version."
)
def main() -> None:
    """A neural audio codec: speech, music and sound at 1 to 24 kbps.

    \b
    Examples:
      nac encode in.wav out.nac --kbps 6
      nac decode out.nac recon.wav
      nac info out.nac

    \b
    Exit codes:
      0    all well
      1    an input or output failed
      2    wrong usage
      3    done, but parts of an input are damaged and left out
      130  interrupted

    Messages go to standard error, data to standard output.
    """


for _verb in (encode, decode, info, compare, test, trim, cat, reduce, tag):
    main.add_command(_verb)

for _name, _module, _short_help in (
    ("evaluate", "nac.cli.evaluate", "Measure codecs on a folder of clips."),
    ("listen", "nac.cli.listen", "Make and score listening tests."),
    ("benchmark", "nac.cli.benchmark", "Measure speed and memory beside other codecs."),
    ("train", "nac.cli.train", "Train a model."),
    ("train-voice", "nac.cli.train_voice", "Train the voice model."),
    ("plot-training", "nac.cli.train", "Draw the curves of training runs."),
    ("training-losses", "nac.cli.train", "Compare weights by the training loss."),
    ("fit-tables", "nac.cli.fit_tables", "Learn the tables of the entropy coding."),
):
    main.add_command(LazyCommand(_name, _module, _name.replace("-", "_"), _short_help))
