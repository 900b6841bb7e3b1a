"""Charts of scores over bit rate, one curve a codec. Needs matplotlib (`pip install nac[eval]`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nac.evaluation.metrics import METRICS
from nac.evaluation.report.plots import clean_axes, new_figure
from nac.evaluation.sweep.summary import Summary

OWN_COLOURS = ("#c1121f", "#e85d04", "#f48c06")  # nac, in up to three versions, stands out
PEER_COLOURS = ("#1d4e89", "#2a9d8f", "#6a4c93", "#577590", "#8d6e63", "#7a9e3f", "#5fa8d3", "#b56576", "#4a4e69")
MARKERS = "osD^vP*Xh<>"
LOGARITHMIC = {"mse", "l1"}  # scores that span decades
OVERVIEW = ("pesq_wb", "visqol_speech", "distillmos", "visqol_audio", "si_sdr", "mel_distance")
TICKS = (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def rate_charts(summaries: Sequence[Summary], kind: str) -> Any:
    """One figure with a small chart for every score of one kind of sound: mean and confidence interval over true kbps.

    Returns a matplotlib figure, to be written with `nac.evaluation.report.plots.save`.
    """
    names = [name for name in METRICS if _scored(summaries, kind, name)]
    title = f"{kind}: {_clips(summaries, kind)} clips, means with 95 % confidence intervals over the true bit rate"
    return _figure(summaries, [(kind, name) for name in names], min(3, max(1, len(names))), title)


def overview_chart(summaries: Sequence[Summary]) -> Any:
    """One figure for all kinds of sound, a line each: the scores of `OVERVIEW` that there are, over true kbps."""
    panels = []
    for kind in dict.fromkeys(summary.kind for summary in summaries):
        names = [name for name in OVERVIEW if _scored(summaries, kind, name)]
        # as many in each line: the first ones, and the one that all kinds have
        panels += [(kind, name) for name in (names if len(names) <= 3 else [*names[:2], names[-1]])]
    clips = ", ".join(f"{kind} {_clips(summaries, kind)}" for kind in dict.fromkeys(kind for kind, _ in panels))
    title = f"Means with 95 % confidence intervals over the true bit rate; clips: {clips}"
    return _figure(summaries, panels, 3, title)


def _figure(summaries: Sequence[Summary], panels: Sequence[tuple[str, str]], columns: int, title: str) -> Any:
    """Small charts, each of one kind and one score, in lines of so many `columns`; kinds begin a new line."""
    places: list[int] = []
    for index, (kind, _) in enumerate(panels):
        place = places[-1] + 1 if places else 0
        places.append(place if not index or panels[index - 1][0] == kind else -(-place // columns) * columns)
    lines = places[-1] // columns + 1 if places else 1
    width, height = 4.6 * columns, 3.3 * lines + 0.9
    figure = new_figure(width, height)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    styles = codec_styles([summary.codec for summary in summaries])
    several = len({kind for kind, _ in panels}) > 1
    shown: dict[str, Any] = {}
    for place, (kind, name) in zip(places, panels, strict=True):
        chosen = [summary for summary in summaries if summary.kind == kind and summary.clips]
        axes = figure.add_subplot(lines, columns, place + 1)
        for codec in dict.fromkeys(summary.codec for summary in chosen):
            curve = _curve(axes, [summary for summary in chosen if summary.codec == codec], name, styles[codec])
            if curve is not None:
                shown.setdefault(codec, curve)
        _dress(axes, name, [s.kbps for s in chosen if s.statistics.get(name)], f"{kind}: " if several else "")
        if place + columns not in places:
            axes.set_xlabel("kbps")
    if shown:
        figure.legend(
            shown.values(),
            shown.keys(),
            loc="lower left",
            bbox_to_anchor=(0.005, 0.0),
            ncols=min(len(shown), 8),
            fontsize=9,
            frameon=False,
        )
    figure.subplots_adjust(
        left=0.55 / width, right=0.99, top=1 - 0.72 / height, bottom=0.85 / height, hspace=0.34, wspace=0.2
    )
    return figure


def _scored(summaries: Sequence[Summary], kind: str, name: str) -> bool:
    return any(summary.statistics.get(name) for summary in summaries if summary.kind == kind and summary.clips)


def _clips(summaries: Sequence[Summary], kind: str) -> int:
    return max((summary.clips for summary in summaries if summary.kind == kind), default=0)


def codec_styles(codecs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of every codec, the same in all charts of one report.

    >>> styles = codec_styles(["nac", "opus", "mp3"])
    >>> styles["nac"]["color"] != styles["opus"]["color"] != styles["mp3"]["color"]
    True
    """
    out: dict[str, dict[str, Any]] = {}
    own = peers = 0
    for codec in dict.fromkeys(codecs):
        if codec.split()[0] == "nac":
            colour, width = OWN_COLOURS[own % len(OWN_COLOURS)], 2.4
            own += 1
        else:
            colour, width = PEER_COLOURS[peers % len(PEER_COLOURS)], 1.4
            peers += 1
        out[codec] = {"color": colour, "linewidth": width, "marker": MARKERS[len(out) % len(MARKERS)], "markersize": 5}
    return out


def _curve(axes: Any, summaries: Sequence[Summary], name: str, style: dict[str, Any]) -> Any:
    points = []
    for summary in sorted(summaries, key=lambda summary: summary.kbps):
        found = summary.statistics.get(name)
        if found is not None and math.isfinite(found.mean):
            points.append((summary.kbps, found.mean, found.mean - found.low, found.high - found.mean))
    if not points:
        return None
    kbps, means, below, above = zip(*points, strict=True)
    return axes.errorbar(kbps, means, yerr=[below, above], capsize=2.5, elinewidth=0.9, **style)


def _dress(axes: Any, name: str, rates: Sequence[float], before: str) -> None:
    metric = METRICS[name]
    unit = f" ({metric.unit})" if metric.unit else ""
    axes.set_title(f"{before}{metric.label}{unit}, {metric.better} is better", fontsize=9.5, loc="left")
    axes.set_xscale("log", base=2)
    if name in LOGARITHMIC:
        axes.set_yscale("log", subs=(2, 5))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="minor", labelsize=8.5)
    low, high = min(rates, default=1) / 1.15, max(rates, default=1) * 1.15
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.xaxis.minorticks_off()
    axes.tick_params(labelsize=8.5)
    clean_axes(axes)
