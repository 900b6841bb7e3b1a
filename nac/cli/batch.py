"""Many files in a row, or in several processes: one failure does not stop the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nac.cli.guard import FAILED, describe, echo_error
from nac.cli.jobs import Job, Outcome, Task, attempt, do
from nac.cli.paths import is_free
from nac.errors import NacError


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
            echo_error(describe(error, job.source))
    skipped = len(jobs) - failed - len(ready)
    ready = [replace(job, place=f"[{number}/{len(ready)}] ") for number, job in enumerate(ready, 1)]
    code = 0
    if processes == 0:
        from nac.cli.pool import processors  # here: multiprocessing takes longer to import than `nac info` has time

        processes = processors()
    for outcome in _outcomes(ready, task, min(processes, len(ready)), quiet):
        if outcome.failure is not None:
            failed += 1
            echo_error(outcome.failure)
        code = max(code, outcome.code)
    if not quiet:
        echo_error(f"{len(jobs) - skipped - failed} done, {skipped} skipped, {failed} failed")
    return FAILED if failed else code


def _is_ready(job: Job, force: bool, skip_existing: bool) -> bool:
    if job.conflict:
        raise NacError(job.conflict)
    return is_free([job.source], job.target, force=force, skip_existing=skip_existing)


def _outcomes(jobs: list[Job], task: Task, processes: int, quiet: bool) -> Iterator[Outcome]:
    if processes > 1:
        from nac.cli.pool import outcomes
        from nac.cli.progress import counted

        yield from counted(outcomes(jobs, task, processes), len(jobs), quiet=quiet)
    elif jobs:
        work = task.begin()
        for job in jobs:
            yield attempt(job, work)
