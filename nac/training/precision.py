"""Whether bfloat16 pays on this processor."""

import time

import torch

#: Shape of the products that are timed, and how often.
_ROWS, _WIDTH, _TRIES = 1024, 512, 5
#: How many times as fast bfloat16 must be: processors without instructions for it are slower, or hardly faster.
_GAIN = 1.3


@torch.no_grad()
def bfloat16_pays() -> bool:
    """Measure matrix products in float32 and bfloat16 on the CPU; some tens of milliseconds."""
    times = {}
    for kind in (torch.float32, torch.bfloat16):
        x, weight = torch.ones(_ROWS, _WIDTH, dtype=kind), torch.ones(_WIDTH, _WIDTH, dtype=kind)
        took = []
        for _ in range(_TRIES):
            start = time.perf_counter()
            x @ weight
            took.append(time.perf_counter() - start)
        times[kind] = min(took)
    return times[torch.float32] > _GAIN * times[torch.bfloat16]
