"""Which inputs become which outputs, and many files in a row: one failure does not stop the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from nac.cli.guard import FAILED, blaming, describe, say
from nac.errors import NacError, OptionError
from nac.files import is_special

AUDIO_EXTENSIONS = frozenset({
    ".wav", ".wave", ".rf64", ".bwf", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3",
    ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd",
})  # fmt: skip
NAC_EXTENSIONS = frozenset([".nac"])
STDIO = "-"


@dataclass(frozen=True)
class Job:
    """One input and its output; "-" is standard input or output. In a tree, the folder of the output is made."""

    source: str
    target: str
    in_tree: bool = False
    place: str = ""

    @property
    def label(self) -> str:
        """How a progress bar calls it."""
        return self.place + ("standard input" if self.source == STDIO else self.source)


def plan(
    paths: tuple[str, ...], output: str | None, *, takes: frozenset[str], makes: frozenset[str], suffix: str
) -> list[Job]:
    """Pair inputs and outputs as the verbs `encode` and `decode` understand them.

    `paths` are the arguments: one input, or one input and its output; with `output` (`-o`) all of them are inputs, and
    `output` is the folder for the results, or for a single input the file. A folder among the inputs stands for all
    files in it, at any depth, with an extension of `takes`; their results mirror its tree. Results end in `suffix`;
    `makes` are the extensions of a result. Raises OptionError for what cannot be told apart or would collide.
    """
    if output is not None:
        to_folder = _is_folder(output) or _extension(output) not in makes
    elif len(paths) > 2:
        raise OptionError("several inputs need -o FOLDER for their results")
    elif len(paths) == 2:
        first, output = paths
        paths = (first,)
        to_folder = _is_folder(output)
        if _extension(output) in takes - makes and not to_folder:
            raise OptionError(f"{output} looks like an input, not an output; several inputs need -o FOLDER")
    else:
        return [_beside(paths[0], suffix)]
    if len(paths) == 1 and not os.path.isdir(paths[0]) and (output == STDIO or is_special(output) or not to_folder):
        return [Job(paths[0], output)]
    if output == STDIO or STDIO in paths:
        raise OptionError("standard input and output (-) go with a single file only")
    if _extension(output) in makes and not os.path.exists(output):
        raise OptionError(f"{output} looks like a file, but the results need a folder: choose another name for it")
    jobs = [job for path in paths for job in _into(path, output, takes, suffix)]
    seen: dict[str, str] = {}
    for job in jobs:
        other = seen.setdefault(os.path.normpath(job.target), job.source)
        if other is not job.source:
            raise OptionError(f"{other} and {job.source} would both become {job.target}; do one of them apart")
    return jobs


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _is_folder(output: str) -> bool:
    return os.path.isdir(output) or output.endswith(("/", os.sep))


def _beside(source: str, suffix: str) -> Job:
    if source == STDIO:
        return Job(STDIO, STDIO)
    if os.path.isdir(source):
        raise OptionError(f"{source} is a folder: say with -o FOLDER where the results go")
    if is_special(source):
        raise OptionError(f"{source} has no name to make an output name of; give one")
    if _extension(source) == suffix:
        raise OptionError(f"{source} would become its own output; name one, or give -o FOLDER")
    return Job(source, os.path.splitext(source)[0] + suffix)


def _into(path: str, folder: str, takes: frozenset[str], suffix: str) -> Iterable[Job]:
    if not os.path.isdir(path):
        yield Job(path, os.path.join(folder, os.path.splitext(os.path.basename(path))[0] + suffix), True)
        return
    found = False
    for here, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if _extension(name) in takes and not name.startswith("."):
                found = True
                inside = os.path.relpath(os.path.join(here, name), path)
                yield Job(os.path.join(here, name), os.path.join(folder, os.path.splitext(inside)[0] + suffix), True)
    if not found:
        raise OptionError(f"there are no {'/'.join(sorted(takes))} files in {path}")


def is_free(sources: Sequence[str], target: str, *, force: bool, skip_existing: bool = False) -> bool:
    """Whether the sources are there and the target may be written. Raises NacError if not.

    False if the target is there already and shall be kept.
    """
    for source in sources:
        if source == STDIO and sys.stdin.isatty():
            raise NacError("standard input is a terminal; pipe or redirect a file into it")
        if source != STDIO and not os.path.exists(source):
            raise NacError(f"there is no file {source}")
    if target == STDIO:
        if sys.stdout.isatty():
            raise NacError("standard output is a terminal; redirect it, or name an output file")
        return True
    if not os.path.exists(target) or is_special(target):
        return True
    if os.path.isdir(target):
        raise NacError(f"{target} is a folder; the output has to be a file")
    for source in sources:
        if source != STDIO and os.path.samefile(source, target):
            raise NacError(f"{source} and {target} are the same file; choose another output")
    if skip_existing:
        return False
    if not force:
        raise NacError(f"{target} exists; use --force to overwrite it")
    return True


class Task(Protocol):
    """What is to be done with every file of a batch. To be pickled, if several processes share the work."""

    def begin(self) -> Callable[[Job], int]:
        """Prepare (load a model, say); returns the function that does a job and returns an exit code."""
        ...


def run_all(
    jobs: list[Job],
    task: Task,
    processes: int = 1,
    *,
    force: bool = False,
    skip_existing: bool = False,
    quiet: bool = False,
) -> int:
    """Do every job; returns the exit code: 1 if one failed, else the highest that a job returned.

    `task` begins only if there is something to do, so that mistakes in names are told before a model is loaded. The
    failure of a single job is raised; of several, each failure is reported and the others are still done. With several
    `processes` they share the jobs; 0 is one for each processor.
    """
    if len(jobs) == 1:
        (job,) = jobs
        return do(job, task.begin()) if _is_ready(job, force, skip_existing) else 0
    failed = 0
    ready: list[Job] = []
    for job in jobs:
        try:
            if _is_ready(job, force, skip_existing):
                ready.append(job)
        except (NacError, OSError) as error:
            failed += 1
            say(describe(error, job.source))
    skipped = len(jobs) - failed - len(ready)
    ready = [replace(job, place=f"[{number}/{len(ready)}] ") for number, job in enumerate(ready, 1)]
    code = 0
    if processes == 0:
        from nac.cli.pool import processors

        processes = processors()
    for outcome in _outcomes(ready, task, min(processes, len(ready)), quiet):
        if outcome.failure is not None:
            failed += 1
            say(outcome.failure)
        code = max(code, outcome.code)
    if not quiet:
        say(f"{len(jobs) - skipped - failed} done, {skipped} skipped, {failed} failed")
    return FAILED if failed else code


def _is_ready(job: Job, force: bool, skip_existing: bool) -> bool:
    return is_free([job.source], job.target, force=force, skip_existing=skip_existing)


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


def _outcomes(jobs: list[Job], task: Task, processes: int, quiet: bool) -> Iterator[Outcome]:
    if processes > 1:
        from nac.cli.pool import outcomes
        from nac.cli.progress import counted

        yield from counted(outcomes(jobs, task, processes), len(jobs), quiet=quiet)
    elif jobs:
        work = task.begin()
        for job in jobs:
            yield attempt(job, work)


def do(job: Job, work: Callable[[Job], int]) -> int:
    """Do a job, in its folder."""
    if job.in_tree:
        os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
    with blaming(job.target):
        return work(job)
