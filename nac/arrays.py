"""Types of arrays, named by what is in them. Shapes stand in the docstrings of the functions that take them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Audio, full scale 1.0: `[samples]` or `[channels, samples]`."""
Codes = npt.NDArray[np.uint16]
"""Codes of codebooks."""
Spectrum = npt.NDArray[np.float32]
"""Magnitudes or levels: `[frames, bins]`."""
Floats = npt.NDArray[np.float64]
"""Numbers in double precision."""
Integers = npt.NDArray[np.int64]
"""Counts, labels and indices."""
Indices = npt.NDArray[np.intp]
"""Positions in other arrays."""
Array = npt.NDArray[np.generic]
"""An array of any type."""
Table = npt.NDArray[np.float32]
"""Rows of numbers, each describing one thing: `[things, numbers]`."""
