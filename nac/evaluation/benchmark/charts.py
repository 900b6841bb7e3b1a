"""Chart of what coding costs over the length of the audio. Needs matplotlib (`pip install nac[eval]`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nac.evaluation.benchmark.commands import Run
from nac.evaluation.report.charts import OWN_COLOURS, PEER_COLOURS
from nac.evaluation.report.plots import clean_axes, new_figure

TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36000: "10 h"}


def length_chart(rows: Sequence[tuple[float, Run, Run]]) -> Any:
    """Wall time and peak memory of `nac encode` and `nac decode` over length, both axes logarithmic, in two panels.

    `rows` as `over_length` of `nac.evaluation.benchmark.commands` gives them. Returns a matplotlib figure, to be
    written with `nac.evaluation.report.plots.save`.

    Raises:
        OptionError: Matplotlib is missing.
    """
    figure = new_figure(10, 4.2)
    lengths = [seconds for seconds, _, _ in rows]
    styles = (("encode", OWN_COLOURS[0], "o"), ("decode", PEER_COLOURS[0], "s"))
    for place, (field, title, unit) in enumerate((("wall", "Time", "seconds"), ("peak", "Peak memory", "MB"))):
        axes = figure.add_subplot(1, 2, place + 1)
        for verb, (name, colour, marker) in enumerate(styles):
            values = [getattr(row[1 + verb], field) for row in rows]
            axes.plot(
                lengths,
                values,
                color=colour,
                marker=marker,
                markersize=5 - verb,
                linewidth=3 - 2 * verb,
                label=f"nac {name}",
            )  # the second within the first, where they are equal
        if field == "wall":
            axes.plot(lengths, lengths, color="#999999", linewidth=1, linestyle="--", label="real time")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(min(lengths) / 1.3, max(lengths) * 1.3)
        shown = {at: text for at, text in TICKS.items() if min(lengths) <= at <= max(lengths)}
        axes.set_xticks(list(shown), list(shown.values()))
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        if field == "peak":  # a flat line would else fill the whole height with its wobble
            peaks = [run.peak for row in rows for run in row[1:]]
            axes.set_ylim(min(50.0, *peaks), max(5000.0, *peaks))
            axes.set_yticks([50, 100, 200, 500, 1000, 2000, 5000])
            axes.minorticks_off()
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("length of the audio")
        axes.set_ylabel(unit)
        clean_axes(axes)
        axes.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    return figure
