"""What training asks of the machine: memory that is kept, and numbers that are fast."""

import subprocess
import sys
from itertools import accumulate, cycle, islice
from pathlib import Path

import pytest

import nac
from nac.training import precision

FAULTS = """
import resource, sys
import numpy as np
from nac.training.memory import keep_freed_memory
if not keep_freed_memory(): sys.exit("no mallopt")
np.empty(1 << 26, np.uint8).fill(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): np.empty(1 << 26, np.uint8).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the C library of Linux")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, cwd=Path(nac.__file__).parents[1]
    )
    if "no mallopt" in done.stderr:
        pytest.skip("another C library than glibc")
    # Five arrays of 64 MiB have 81,920 pages of 4 KiB in all.
    assert int(done.stdout) < 1000


@pytest.mark.parametrize(("float32", "bfloat16", "pays"), [(2.0, 1.0, True), (1.1, 1.0, False), (1.0, 3.0, False)])
def test_bfloat16_pays_where_it_is_measured_to_be_faster(
    monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float, pays: bool
) -> None:
    tries = precision._TRIES
    steps = [*islice(cycle([float32, 0.0]), 2 * tries), *islice(cycle([bfloat16, 0.0]), 2 * tries)]
    times = iter(accumulate([0.0, *steps]))
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(times))
    assert precision.bfloat16_pays() is pays
