"""Which inputs become which outputs, and many files in a row: one failure does not stop the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nac.cli.guard import FAILED, describe, say
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
        if _extension(output) in takes and not to_folder:
            raise OptionError(f"{output} looks like an input, not an output; several inputs need -o FOLDER")
    else:
        return [_beside(paths[0], suffix)]
    if len(paths) == 1 and not os.path.isdir(paths[0]) and (output == STDIO or is_special(output) or not to_folder):
        return [Job(paths[0], output)]
    if output == STDIO or STDIO in paths:
        raise OptionError("standard input and output (-) go with a single file only")
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
    return Job(source, os.path.splitext(source)[0] + suffix)


def _into(path: str, folder: str, takes: frozenset[str], suffix: str) -> Iterable[Job]:
    if not os.path.isdir(path):
        yield Job(path, os.path.join(folder, os.path.splitext(os.path.basename(path))[0] + suffix))
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


def _is_free(job: Job, *, force: bool, skip_existing: bool) -> bool:
    """Whether there is an input and the output may be written. Raises NacError if not; False if both shall be kept."""
    if job.source == STDIO and sys.stdin.isatty():
        raise NacError("standard input is a terminal; pipe or redirect a file into it")
    if job.source != STDIO and not os.path.exists(job.source):
        raise NacError(f"there is no file {job.source}")
    if job.target == STDIO:
        if sys.stdout.isatty():
            raise NacError("standard output is a terminal; redirect it, or name an output file")
        return True
    if not os.path.exists(job.target) or is_special(job.target):
        return True
    if os.path.isdir(job.target):
        raise NacError(f"{job.target} is a folder; the output has to be a file")
    if job.source != STDIO and os.path.exists(job.source) and os.path.samefile(job.source, job.target):
        raise NacError(f"{job.source} and {job.target} are the same file; choose another output")
    if skip_existing:
        return False
    if not force:
        raise NacError(f"{job.target} exists; use --force to overwrite it")
    return True


def run_all(
    jobs: list[Job],
    start: Callable[[], Callable[[Job], int]],
    *,
    force: bool = False,
    skip_existing: bool = False,
    quiet: bool = False,
) -> int:
    """Do every job; returns the exit code: 1 if one failed, else the highest that a job returned.

    `start` makes the function that does a job; it is called once, and only if there is something to do, so that
    mistakes in names are told before a model is loaded. The failure of a single job is raised; of several, each
    failure is reported and the others are still done.
    """
    if len(jobs) == 1:
        (job,) = jobs
        return _do(job, start()) if _is_free(job, force=force, skip_existing=skip_existing) else 0
    failed = 0
    ready: list[Job] = []
    for job in jobs:
        try:
            if _is_free(job, force=force, skip_existing=skip_existing):
                ready.append(job)
        except (NacError, OSError) as error:
            failed += 1
            say(describe(error, job.source))
    skipped = len(jobs) - failed - len(ready)
    code = 0
    work = start() if ready else None
    for job in ready:
        try:
            code = max(code, _do(job, work)) if work is not None else code
        except (NacError, OSError, MemoryError) as error:
            failed += 1
            say(describe(error, job.source))
    if not quiet:
        say(f"{len(jobs) - skipped - failed} done, {skipped} skipped, {failed} failed")
    return FAILED if failed else code


def _do(job: Job, work: Callable[[Job], int]) -> int:
    if job.in_tree:
        os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
    return work(job)
