"""Pictures of a run: the terms of the loss and the use of the codebooks over its hours."""

import csv
from pathlib import Path

from nac.errors import NacError
from nac.evaluation.report.plots import new_figure, save

TERMS = ("mel", "si_sdr", "commitment", "power", "discriminator_loss", "generator_loss", "feature_loss")
#: Codebooks whose perplexities share a panel.
BOOKS = ((0, 1, 5, 11), (12, 23, 35, 47))


def read_metrics(folders: list[Path]) -> list[dict[str, float]]:
    """The rows of the runs' metrics.csv, one run after the other.

    Raises:
        NacError: a folder holds none.
    """
    rows = []
    for folder in folders:
        try:
            with (folder / "metrics.csv").open(newline="") as file:
                rows += [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        except (OSError, ValueError) as error:
            raise NacError(f"{folder} holds no metrics.csv that can be read: give the folder of a run") from error
    return rows


def plot_run(folders: list[Path], target: Path) -> None:
    """Draw the loss terms and code perplexities of stages that followed each other.

    Args:
        folders: Of the runs, in their order.
        target: Picture to write, .png, .svg or .pdf.

    Raises:
        NacError: A folder holds no metrics, the picture cannot be written, or matplotlib is missing.
    """
    figure = new_figure(20, 6)
    figure.set_layout_engine("constrained")
    rows = read_metrics(folders)
    rows = [row for row in rows if row["step"] > 1] or rows  # the first line of a stage tells of one batch alone
    panels: list[tuple[str, dict[str, str]]] = [(_title(term), {term: ""}) for term in TERMS]
    panels += [("perplexity (codes in use)", {f"perplexity{i}": f"codebook {i}" for i in books}) for books in BOOKS]
    drawn = 0
    for title, curves in panels:
        points = {key: [(row["hours"], row[key]) for row in rows if key in row] for key in curves}
        found = {key: values for key, values in points.items() if values}
        if not found:
            continue
        drawn += 1
        axes = figure.add_subplot(2, 5, drawn)
        for key, values in found.items():
            axes.plot(*zip(*values, strict=True), linewidth=1, label=curves[key])
        axes.set_title(title)
        axes.set_xlabel("hours")
        axes.grid(alpha=0.3)
        if any(curves.values()):
            axes.legend(fontsize=7)
    save(figure, target)


def _title(term: str) -> str:
    return term.replace("_", "-").upper() if term == "si_sdr" else term.replace("_", " ")
