"""A progress bar in seconds of audio, with the speed against real time; on a terminal only, and only for long work."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

DELAY = 1.0
Item = TypeVar("Item")
_FORMAT = "{desc}: {percentage:3.0f}%|{bar:24}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}, {speed}]"
_FORMAT_OPEN = "{desc}: {n:.0f} s [{elapsed}, {speed}]"


@contextlib.contextmanager
def progress(
    label: str, total: Callable[[], float | None], *, quiet: bool = False
) -> Iterator[Callable[[float], None] | None]:
    """Gives a function to be called with the seconds of audio done so far, or None if nobody would see it.

    `total` tells the seconds in all, None if unknown; it is asked only if there is a bar to draw.
    """
    # One of several processes draws no bar of its own.
    if quiet or not sys.stderr.isatty() or multiprocessing.parent_process() is not None:
        yield None
        return
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        """Knows how many times faster than real time it goes."""

        @property
        def format_dict(self) -> dict[str, object]:
            values = dict(super().format_dict)
            elapsed = values["elapsed"]
            values["speed"] = f"{self.n / elapsed:.1f} x real time" if elapsed else "-"
            return values

    name = label if len(label) <= 30 else "..." + label[-27:]
    whole = total()
    layout = _FORMAT if whole else _FORMAT_OPEN
    with Bar(desc=name, total=whole, delay=DELAY, leave=False, file=sys.stderr, bar_format=layout) as bar:

        def report(done: float) -> None:
            bar.update(max(0.0, done - bar.n))

        yield report


def counted(items: Iterable[Item], total: int, *, quiet: bool = False) -> Iterator[Item]:
    """Passes items on, with a bar that counts them as files."""
    if quiet or not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=" files", delay=DELAY, leave=False, file=sys.stderr) as bar:
        for item in items:
            yield item
            bar.update()
