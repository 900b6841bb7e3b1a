"""A job (one input and its output), the task that does jobs, and how a job went."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nac.cli.guard import FAILED, attribute_errors_to, describe
from nac.errors import NacError

STDIO = "-"


@dataclass(frozen=True)
class Job:
    """One input and its output.

    Attributes:
        source: A path, or "-" for standard input.
        target: A path, or "-" for standard output.
        in_tree: Whether the folder of the output is made.
        place: What a progress bar says in front of the name.
        conflict: Why this job must not be done, in one line; empty if it may.
    """

    source: str
    target: str
    in_tree: bool = False
    place: str = ""
    conflict: str = ""

    @property
    def label(self) -> str:
        """How a progress bar calls it."""
        return self.place + ("standard input" if self.source == STDIO else self.source)


class Task(Protocol):
    """What is to be done with every file of a batch. To be pickled, if several processes share the work."""

    def begin(self) -> Callable[[Job], int]:
        """Prepare (load a model, say); returns the function that does a job and returns an exit code."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a job went: the exit code, or what failed in one line."""

    code: int
    failure: str | None = None


def attempt(job: Job, work: Callable[[Job], int]) -> Outcome:
    """Do a job whose failure must not stop others."""
    try:
        return Outcome(do(job, work))
    except (NacError, OSError, MemoryError) as error:
        return Outcome(FAILED, describe(error, job.source))


def do(job: Job, work: Callable[[Job], int]) -> int:
    """Do a job, in its folder."""
    if job.in_tree:
        os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
    with attribute_errors_to(job.target):
        return work(job)
