"""Many files in several processes, each with a model and processor threads of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import FrameType

from nac.cli.guard import TERMINATED, shown_warnings, survive_any_locale
from nac.cli.jobs import Job, Outcome, Task, attempt
from nac.errors import NacError

_works: dict[Task, Callable[[Job], int]] = {}


def outcomes(jobs: list[Job], task: Task, processes: int) -> Iterator[Outcome]:
    """Do the jobs in so many processes; yields how they went, in the order they end.

    Raises NacError if the task cannot begin, or a process was killed. When it is left early, by an exception or a
    signal, the processes are told to end and tidy up.
    """
    # Not fork: torch's threads do not survive it.
    context = multiprocessing.get_context("spawn")
    share = max(1, processors() // processes)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare, initargs=(share,))
    try:
        futures = [pool.submit(_run, job, task) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise NacError("a process was killed, perhaps for want of memory; try fewer --jobs") from None
    finally:
        if sys.exc_info()[0] is not None:
            children = multiprocessing.active_children()
            for child in children:
                child.terminate()
            # One that ended while it held the lock of the results would leave the others, and this, waiting for ever.
            for child in children:
                child.join(10)
                child.kill()
        pool.shutdown(cancel_futures=True)


def processors() -> int:
    """Processors that this process may use: fewer than the machine has under taskset or in some containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare(threads: int) -> None:
    """In a new process: take a fair share of the processors, and leave Ctrl-C to the parent, which ends this one."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows is tidying up
        raise SystemExit(TERMINATED)

    survive_any_locale()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    # Read by torch's thread pool when it is loaded; --threads overrules it.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _run(job: Job, task: Task) -> Outcome:
    try:
        with shown_warnings():
            if task not in _works:
                _works[task] = task.begin()
            return attempt(job, _works[task])
    except SystemExit:
        # The unfinished file is removed by now. Returning would only fetch the next job.
        os._exit(TERMINATED)
