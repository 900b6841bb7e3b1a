"""Draw the curves of a training run: `python scripts/plot_run.py runs/first [runs/second …] --out curves.png`."""

import sys
from pathlib import Path

import click

from nac.errors import NacError
from nac.training.plots import plot_run


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("curves.png"), show_default=True)
def main(runs: tuple[Path, ...], out: Path) -> None:
    """Draw the stages RUNS, in the order in which they followed each other."""
    try:
        plot_run(list(runs), out)
    except (NacError, OSError) as error:
        print(f"plot_run: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
