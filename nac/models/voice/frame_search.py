"""The beam search for a single frame, where calls cost more than sums: NumPy around the products of torch.

Frames whose codes decide the prediction of the next one cannot be searched together, and for one frame
`nac.models.quantizer.beam_search` spends most of its time in the overhead of some forty small operations.
"""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nac.models.quantizer import SearchCodebook

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

#: Values of a group, of which only the smallest is compared with other groups at first.
_MEMBERS = 32


def search_frame(
    residual: Tensor, codebooks: Sequence[SearchCodebook], beam: int, commit_points: Collection[int] = ()
) -> tuple[list[int], Tensor]:
    """Codes that leave the least squared error.

    Args:
        residual: `[dim]`, float32 on the CPU.
        codebooks: in the order of their use, on the CPU, each of all dimensions.
        beam: paths kept after each codebook but the last.
        commit_points: numbers of codebooks after which only the best path goes on.

    Returns:
        A code for each codebook, and the residual that they leave, `[dim]`.
    """
    # Rows (1, power, residual), see SearchCodebook; `values` are the same memory.
    rows = torch.ones(max(beam, 1), 2 + len(residual))
    values = rows.numpy()
    values[0, 2:] = residual.numpy()
    values[0, 1] = values[0, 2:] @ values[0, 2:]
    paths: list[list[int]] = [[]]
    for index, codebook in enumerate(codebooks):
        keep = 1 if index + 1 in commit_points or index + 1 == len(codebooks) else beam
        left = (rows[: len(paths)] @ codebook.matrix).numpy()
        size = left.shape[1]
        best = _smallest(left.reshape(-1), keep)
        parents, codes = best // size, best % size
        power = left[parents, codes]
        values[: len(best)] = values[parents]
        values[: len(best), 1] = power
        values[: len(best), 2:] -= codebook.vectors.numpy()[codes]
        paths = [[*paths[p], c] for p, c in zip(parents.tolist(), codes.tolist(), strict=True)]
    return paths[0], rows[0, 2:]


def _smallest(x: Floats, count: int) -> Ints:
    """Positions of the `count` smallest values, in no particular order; see `nac.models.quantizer.k_smallest`."""
    if count == 1:
        return np.array([x.argmin()])
    groups = len(x) // _MEMBERS
    if len(x) % _MEMBERS or groups <= count:
        return np.argpartition(x, count - 1)[:count]
    table = x.reshape(_MEMBERS, groups)
    near = np.argpartition(table.min(0), count)[:count]
    found = np.argpartition(table[:, near].reshape(-1), count)[:count]
    return found // count * groups + near[found % count]
