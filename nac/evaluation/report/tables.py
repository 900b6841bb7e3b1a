"""Tables of scores as text, CSV and JSON. A score is a number, infinite, undefined (None), or absent (no such key)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nac.evaluation.metrics import METRICS, shown

Scores = Mapping[str, float | None]


def columns(rows: Iterable[Scores]) -> list[str]:
    """The names of all metrics that occur in `rows`, in the order of `METRICS`."""
    present = {name for row in rows for name in row}
    return [name for name in METRICS if name in present]


def heading(name: str) -> str:
    """A metric's label with its unit: `SI-SDR (dB)`."""
    metric = METRICS[name]
    return f"{metric.label} ({metric.unit})" if metric.unit and metric.unit != "MOS" else metric.label


def cell(name: str, scores: Scores) -> str:
    """One score as text; a dash where it was not computed."""
    return shown(name, scores[name]) if name in scores else "–"


def means(rows: Sequence[Scores]) -> dict[str, float | None]:
    """The mean of every metric over the rows in which it is defined; None where it is in no row.

    >>> means([{"snr": 10.0}, {"snr": None}, {"snr": 20.0}])
    {'snr': 15.0}
    """
    out: dict[str, float | None] = {}
    for name in columns(rows):
        values = [value for row in rows if (value := row.get(name)) is not None]
        out[name] = sum(values) / len(values) if values else None
    return out


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text: the first column to the left, the others to the right; the first row is the heading.

    >>> print(aligned([["file", "SNR"], ["a", "9.10"]]))
    file   SNR
    ----  ----
    a     9.10
    """
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [list(table[0]), ["-" * width for width in widths], *(list(row) for row in table[1:])]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in lines
    )


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table; the first row is the heading."""
    escaped = [[text.replace("|", "\\|") for text in row] for row in table]
    lines = [escaped[0], ["---", *["---:"] * (len(table[0]) - 1)], *escaped[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def csv_text(table: Iterable[Sequence[object]]) -> str:
    """Rows as comma-separated values; None is an empty cell, infinity is `inf`."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()


def json_text(value: Any) -> str:
    """Indented JSON; infinities become the strings "inf" and "-inf", since JSON has no such numbers."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
