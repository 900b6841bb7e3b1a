"""Many tasks in several processes, with a list of those that are done, so that a later call does only the others."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from nac.training.voice.recordings import finished

Task = TypeVar("Task")


def work_through(
    tasks: Sequence[Task], work: Callable[[Task], dict[int, bool]], done: Path, processes: int, label: str
) -> None:
    """Do all tasks.

    Args:
        tasks: what is left to do.
        work: does one; returns the numbers of what is then done, and whether it succeeded. A function of a module or a
            `functools.partial` of one, so that other processes find it.
        done: list to which these numbers are added.
        processes: how many work at once; up to 1: this one does all.
        label: what the progress bar says.
    """
    text = done.read_text() if done.exists() else ""
    if text and not text.endswith("\n"):
        done.write_text(text[: text.rfind("\n") + 1])
    with done.open("a") as file, tqdm(total=len(tasks), desc=label, disable=None) as bar:

        def note(numbers: dict[int, bool]) -> None:
            file.writelines(f"{number} {'ok' if ok else 'failed'}\n" for number, ok in numbers.items())
            file.flush()
            bar.update()

        if processes <= 1:
            for task in tasks:
                note(work(task))
            return
        # Not by fork: torch's threads do not survive it.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(work, task) for task in tasks]
            try:
                for future in as_completed(futures):
                    note(future.result())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def left(count: int, done: Path) -> list[int]:
    """Numbers below `count` that are not in the list `done`."""
    known = finished(done)
    return [number for number in range(count) if number not in known]
