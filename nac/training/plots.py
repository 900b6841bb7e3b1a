"""Pictures of a run: the terms of the loss and the use of the codebooks over its hours."""

import csv
from pathlib import Path

from nac.errors import NacError

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
    """Draw the loss terms and code perplexities of stages that followed each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = read_metrics(folders)
    rows = [row for row in rows if row["step"] > 1] or rows  # the first line of a stage tells of one batch alone
    figure, axes = pyplot.subplots(2, 6, figsize=(20, 6), constrained_layout=True)
    for axis, term in zip(axes.flat, TERMS, strict=False):
        points = [(row["hours"], row[term]) for row in rows if term in row]
        if points:
            axis.plot(*zip(*points, strict=True), linewidth=1)
        axis.set_title(term.replace("_", "-").upper() if term == "si_sdr" else term)
        axis.set_xlabel("hours")
        axis.grid(alpha=0.3)
    panels = len(TERMS) + len(BOOKS)
    for axis, books in zip(axes.flat[len(TERMS) : panels], BOOKS, strict=True):
        for book in books:
            points = [(row["hours"], row[f"perplexity{book}"]) for row in rows if row.get(f"perplexity{book}", 0) > 1]
            if points:
                axis.plot(*zip(*points, strict=True), linewidth=1, label=f"codebook {book}")
        axis.set_title("perplexity (codes in use)")
        axis.set_xlabel("hours")
        if axis.lines:
            axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    for axis in axes.flat:
        axis.set_visible(bool(axis.lines))
    figure.savefig(target, dpi=80)
    pyplot.close(figure)
