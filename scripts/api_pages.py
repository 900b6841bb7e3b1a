"""API pages from the docstrings: `python scripts/api_pages.py build/api` (needs `pip install '.[docs]'`)."""

import pkgutil
from pathlib import Path

import click
import pdoc

import nac


@click.command(help=__doc__)
@click.argument("target", type=click.Path(path_type=Path), default=Path("build/api"))
def main(target: Path) -> None:
    for name in nac.__all__:  # some are imported when they are first asked for, which pdoc does not do
        setattr(nac, name, getattr(nac, name))
    parts = [module.name for module in pkgutil.iter_modules(nac.__path__, "nac.")]
    parts = [name for name in parts if name not in ("nac.__main__", "nac.study")]
    pdoc.render.configure(docformat="google", footer_text=f"nac {nac.__version__}")
    pdoc.pdoc("nac", *parts, output_directory=target)
    click.echo(f"wrote {target / 'index.html'}", err=True)


if __name__ == "__main__":
    main()
