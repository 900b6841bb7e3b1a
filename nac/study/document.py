"""Results put into a Markdown page, so that its tables are those of the folders they are said to come from.

The page has places for them: what stands between `<!-- results: NAME -->` and the next `<!-- end -->` is replaced by
the results in the folder called NAME.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from nac.errors import OptionError
from nac.evaluation.report.plots import save
from nac.evaluation.report.tables import markdown
from nac.files import NewFile
from nac.study.classify import CONFUSION, TABLE
from nac.study.results import FILE, rate_distortion, read_results

END = "<!-- end -->"


def fill(page: Path, folders: Sequence[Path], pictures: Path | None = None) -> None:
    """Put the results in `folders`, of studies or of the classifier, into their places in `page`.

    pictures: folder for the charts over bit rate and the confusion matrices, which the page then shows; None for none.

    Raises:
        OptionError: the page or results are missing, or the page has no such place.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read {page}: {getattr(error, 'strerror', None) or error}") from None
    for folder in folders:
        name = Path(os.path.abspath(folder)).name  # "." too has one; a link keeps its own
        text = place(text, name, section(folder, name, page, pictures), str(page))
    with NewFile(page) as new:
        new.file.write(text.encode())


def place(text: str, name: str, content: str, where: str = "the page") -> str:
    r"""The text with `content` at the place called `name`.

    >>> place("a\n<!-- results: x -->\nold\n<!-- end -->\nb\n", "x", "new")
    'a\n<!-- results: x -->\n\nnew\n\n<!-- end -->\nb\n'

    Raises:
        OptionError: there is none.
    """
    start = f"<!-- results: {name} -->"
    new, count = re.subn(
        f"{re.escape(start)}.*?{re.escape(END)}", lambda _: f"{start}\n\n{content}\n\n{END}", text, flags=re.DOTALL
    )
    if not count:
        raise OptionError(f"{where} has no place for {name}: write {start} and {END} where its results shall stand")
    return new


def section(folder: Path, name: str, page: Path, pictures: Path | None) -> str:
    """Markdown for the results in `folder`.

    Raises:
        OptionError: There are none.
    """
    if not (folder / FILE).exists() and (folder / TABLE).exists():
        lines = [(folder / TABLE).read_text(encoding="utf-8").split("\n\n![")[0].strip()]
        if pictures is not None and (folder / CONFUSION).exists():
            picture = _picture(pictures, name)
            with NewFile(picture) as new:
                new.file.write((folder / CONFUSION).read_bytes())
            lines += ["", f"![Confusion matrices]({_link(picture, page)})"]
        return "\n".join(lines)
    results = read_results(folder)
    summaries = results.summaries()
    kinds = {summary.kind: summary.clips for summary in reversed(results.summaries(by_kind=True))}
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    trained = f"{results.minutes:g} minutes of training for each system; means" if results.minutes else "Means"
    lines = [f"{trained} over all clips ({counts}).", "", markdown(results.table(summaries))]
    if pictures is not None:
        picture = _picture(pictures, name)
        save(rate_distortion(summaries), picture)
        lines += ["", f"![Scores over true bit rate: {results.name}]({_link(picture, page)})"]
    return "\n".join(lines)


def _picture(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.png"


def _link(picture: Path, page: Path) -> str:
    return Path(os.path.relpath(picture, page.parent)).as_posix()
