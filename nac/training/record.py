"""The record of a run: metrics.csv, a row of mean terms every so many steps."""

import csv
from collections.abc import Mapping
from typing import TextIO

FILE = "metrics.csv"


class Record:
    """Collects the terms of steps and writes their means. `file` is open for appending, with newline="".

    >>> import io
    >>> file = io.StringIO()
    >>> record = Record(file)
    >>> record.add({"loss": 2.0})
    >>> record.add({"loss": 1.0})
    >>> record.write(2, 0.5)
    {'loss': 1.5}
    >>> file.getvalue().split()
    ['step,hours,loss', '2,0.500000,1.5']
    """

    def __init__(self, file: TextIO) -> None:
        self.file, self.rows = file, list[Mapping[str, float]]()

    def add(self, terms: Mapping[str, float]) -> None:
        """The terms of a step."""
        self.rows.append(terms)

    def write(self, step: int, hours: float, more: Mapping[str, float] | None = None) -> dict[str, float]:
        """Write the means since the last row, and beside them `more`; an empty file gets its heading first.

        Returns:
            The means.
        """
        means = {key: sum(terms[key] for terms in self.rows) / len(self.rows) for key in self.rows[0]}
        values = {**means, **(more or {})}
        writer = csv.writer(self.file)
        if self.file.tell() == 0:
            writer.writerow(["step", "hours", *values])
        writer.writerow([step, f"{hours:.6f}", *(f"{value:.6g}" for value in values.values())])
        self.file.flush()
        self.rows = []
        return means
