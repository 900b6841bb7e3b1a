"""Which inputs become which outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from nac.cli.jobs import STDIO, Job
from nac.errors import NacError, OptionError
from nac.files import is_special
from nac.folders import find_files

Tell = Callable[[str], None]


def plan(
    paths: tuple[str, ...],
    output: str | None,
    *,
    takes: frozenset[str],
    makes: frozenset[str],
    suffix: str,
    tell: Tell | None = None,
) -> list[Job]:
    """Pair inputs and outputs as the verbs `encode` and `decode` understand them.

    Args:
        paths: The arguments: one input, or one input and its output, or several inputs. A folder among the inputs
            stands for all files in it, at any depth; their results mirror its tree.
        output: With `-o` all arguments are inputs, and this is the folder for the results, or for a single input the
            file. Without it results of several inputs lie beside these.
        takes: Extensions of inputs.
        makes: Extensions of results.
        suffix: What results end in.
        tell: Called with a line about what a folder has and is not taken.

    Returns:
        The jobs; those that would write what another one writes have a `conflict`.

    Raises:
        OptionError: What cannot be told apart.
    """
    if output is not None:
        to_folder = _is_folder(output) or _extension(output) not in makes
    elif len(paths) == 2 and not (_extension(paths[1]) in takes - makes and not _is_folder(paths[1])):
        first, output = paths
        paths = (first,)
        to_folder = _is_folder(output)
    else:
        if len(paths) > 1 and STDIO in paths:
            raise OptionError("standard input and output (-) go with a single file only")
        if len(paths) > 1 and _extension(paths[-1]) in makes - takes:
            raise OptionError(f"several inputs need -o FOLDER for their results; {paths[-1]} is a file")
        return _without_conflicts([_beside(path, suffix) for path in paths])
    if len(paths) == 1 and not os.path.isdir(paths[0]) and (output == STDIO or is_special(output) or not to_folder):
        return [Job(paths[0], output)]
    if output == STDIO or STDIO in paths:
        raise OptionError("standard input and output (-) go with a single file only")
    if _extension(output) in makes and not os.path.exists(output):
        raise OptionError(f"{output} looks like a file, but the results need a folder: choose another name for it")
    return _without_conflicts(_into_folder(paths, output, takes, suffix, tell))


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


def _into_folder(paths: Sequence[str], output: str, takes: frozenset[str], suffix: str, tell: Tell | None) -> list[Job]:
    """All inputs into one folder; several folders keep their names in it where what they hold would collide."""
    trees: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        if os.path.isdir(path):
            found = find_files(path, takes)
            if found.left_out and tell is not None:
                tell(f"{path}: {found.summary} are left out; {_reason(found.left_out)}")
            if not found.paths:
                raise OptionError(f"there are no {'/'.join(sorted(takes))} files in {path}")
            trees[path] = found.paths
    parts = [{_inside(path, tree, suffix) for path in found} for tree, found in trees.items()]
    collide = sum(map(len, parts)) > len(set().union(*parts))
    above = os.path.commonpath([os.path.abspath(tree) for tree in trees]) if collide else ""
    jobs = []
    for path in paths:
        if path not in trees:
            jobs.append(Job(path, os.path.join(output, _named(os.path.basename(path), suffix)), True))
            continue
        front = os.path.relpath(os.path.abspath(path), above) if collide else ""
        for source in trees[path]:
            jobs.append(Job(source, os.path.normpath(os.path.join(output, front, _inside(source, path, suffix))), True))
    return jobs


def _reason(left_out: Sequence[str] | dict[str, int]) -> str:
    from nac.extensions import FFMPEG_EXTENSIONS

    if FFMPEG_EXTENSIONS & set(left_out):
        return "install ffmpeg to code them, and name films one by one"
    return "name films one by one to code their sound"


def _named(path: str, suffix: str) -> str:
    return os.path.splitext(path)[0] + suffix


def _inside(path: str, tree: str, suffix: str) -> str:
    return _named(os.path.relpath(path, tree), suffix)


def _without_conflicts(jobs: list[Job]) -> list[Job]:
    """Of jobs that would write the same file only the first does."""
    seen: dict[str, Job] = {}
    out = []
    for job in jobs:
        key = os.path.normpath(job.target)
        if job.target != STDIO and folds_case(os.path.dirname(key) or "."):
            key = key.casefold()
        other = seen.setdefault(key, job)
        if other is not job:
            if os.path.normpath(other.source) == os.path.normpath(job.source):
                job = replace(job, conflict=f"{job.source} is given twice; it is done once")
            else:
                job = replace(job, conflict=f"{job.source} would become {job.target} too, like {other.source}")
        out.append(job)
    return out


def folds_case(folder: str) -> bool:
    """Whether names that differ only by case are the same file there; told by the name of a folder that exists."""
    folder = os.path.abspath(folder)
    while not os.path.exists(folder) or os.path.basename(folder).swapcase() == os.path.basename(folder):
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above
    try:
        return os.path.samefile(folder, os.path.join(os.path.dirname(folder), os.path.basename(folder).swapcase()))
    except OSError:
        return False


def is_free(sources: Sequence[str], target: str, *, force: bool, skip_existing: bool = False) -> bool:
    """Whether the sources are there and the target may be written.

    Returns:
        False if the target is there already and shall be kept.

    Raises:
        NacError: They are not, or it may not.
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


def expanded(paths: Sequence[str], takes: frozenset[str]) -> list[str]:
    """Paths with the files of folders in their place.

    Raises:
        OptionError: A folder has none.
    """
    out = []
    for path in paths:
        if not os.path.isdir(path):
            out.append(path)
            continue
        found = find_files(path, takes).paths
        if not found:
            raise OptionError(f"there are no {'/'.join(sorted(takes))} files in {path}")
        out += found
    return out
