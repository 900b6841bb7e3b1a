"""Which inputs become which outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from nac.cli.jobs import STDIO, Job
from nac.errors import NacError, OptionError
from nac.files import is_special


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
