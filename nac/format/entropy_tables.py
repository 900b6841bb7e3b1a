"""The integer tables of the entropy coding: a file of their own beside the weights, read without torch.

They belong to a model's codebooks, and files name them by a fingerprint, as they name the codebooks.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nac.errors import FormatError, NacError, WeightsError
from nac.files import replacing
from nac.format.entropy_contexts import MOST_CONTEXTS, contexts_of
from nac.format.entropy_range import PROBABILITY_BITS
from nac.format.header import TABLES, Metadata
from nac.packaged import default_weights

SUFFIX = ".tables.safetensors"
LIMIT = 16 << 20
"""Bytes of the largest file that is opened."""
SCORES = 128 * (MOST_CONTEXTS + 1)
"""Sums of scores lie below this, on either side of 0."""
Array = npt.NDArray[np.generic]
Number = TypeVar("Number", np.int8, np.uint16)


@dataclass(frozen=True, eq=False)
class CodebookTables:
    """What one codebook is coded with. Scores are int8.

    bias: `[codes]`, by node of the tree of decisions (1 is its root; 0 is unused); scores: for each context an array
    `[rows, nodes]`, where a context with fewer nodes than codes has a say in the first decisions alone.
    """

    bias: npt.NDArray[np.int8]
    scores: tuple[npt.NDArray[np.int8], ...]


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """All tables of a model. Made by `load_tables`, or with `from_arrays`.

    ranks: uint16 `[codebooks, codes]`, the place of each code in the tree of decisions; probability: for each sum of
    scores s the probability, in 16384ths, that a decision is 1, at `[s]` (so those of negative sums are at its end);
    model: fingerprint of the weights that the tables are for.
    """

    ranks: npt.NDArray[np.uint16]
    probability: npt.NDArray[np.uint16]
    codebooks: tuple[CodebookTables, ...]
    fingerprint: int
    model: int

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return int(self.ranks.shape[1]).bit_length() - 1

    @staticmethod
    def from_arrays(arrays: dict[str, Array], model: int = 0) -> EntropyTables:
        """Tables from the arrays of their file. Raises WeightsError when they cannot be tables."""
        ranks, probability = _array(arrays, "ranks", np.uint16), _array(arrays, "probability", np.uint16)
        if ranks.ndim != 2 or not 1 <= len(ranks) <= 255:
            raise WeightsError("the tables of the entropy coding are damaged: ranks have a wrong shape")
        size = ranks.shape[1]
        whole = np.arange(size)
        if not 16 <= size <= 1 << 16 or size & (size - 1) or not (np.sort(ranks, axis=1) == whole).all():
            raise WeightsError("the tables of the entropy coding are damaged: ranks are no permutations")
        if probability.shape != (2 * SCORES,) or probability.max() >> PROBABILITY_BITS or not probability.all():
            raise WeightsError("the tables of the entropy coding are damaged: probabilities are out of range")
        codebooks = tuple(_codebook(arrays, index, size) for index in range(len(ranks)))
        return EntropyTables(ranks, probability, codebooks, fingerprint(arrays), model)


def _array(arrays: dict[str, Array], name: str, kind: type[Number]) -> npt.NDArray[Number]:
    array = arrays.get(name)
    if array is None or array.dtype != kind:
        raise WeightsError(f"the tables of the entropy coding are damaged: {name} is missing or of a wrong type")
    return np.ascontiguousarray(array, kind)


def _codebook(arrays: dict[str, Array], index: int, size: int) -> CodebookTables:
    bias = _array(arrays, f"{index}.bias", np.int8)
    scores = []
    for number, context in enumerate(contexts_of(index)):
        table = _array(arrays, f"{index}.{number}", np.int8)
        nodes = table.shape[-1] if table.ndim == 2 else 0
        if not 2 <= nodes <= size or nodes & (nodes - 1) or not context.fits(len(table), size.bit_length() - 1):
            raise WeightsError(f"the tables of the entropy coding are damaged: {index}.{number} has a wrong shape")
        scores.append(table)
    if bias.shape != (size,):
        raise WeightsError(f"the tables of the entropy coding are damaged: {index}.bias has a wrong shape")
    return CodebookTables(bias, tuple(scores))


def fingerprint(arrays: dict[str, Array]) -> int:
    """The first 4 bytes of the SHA-256 over all arrays in the order of their names: name, a zero byte, each length of
    the shape as 4 bytes, little-endian values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(name.encode() + b"\0" + b"".join(length.to_bytes(4, "big") for length in array.shape))
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return int.from_bytes(digest.digest()[:4], "big")


def tables_path(weights: str | os.PathLike[str]) -> Path:
    """Where the tables of a weights file are: beside it.

    >>> tables_path("weights/nac-24k.safetensors").name
    'nac-24k.tables.safetensors'
    """
    return Path(weights).with_suffix(SUFFIX)


def save_tables(path: Path, arrays: dict[str, Array], model_fingerprint: int) -> int:
    """Write tables; returns their fingerprint. Replaces `path` in one step. Raises WeightsError if they are wrong."""
    from safetensors.numpy import save_file

    tables = EntropyTables.from_arrays(arrays)
    with replacing(path) as temporary:
        save_file(
            dict(arrays),
            temporary,
            metadata={
                "format": "nac-tables-1",
                "fingerprint": f"{tables.fingerprint:08x}",
                "model": f"{model_fingerprint:08x}",
            },
        )
    return tables.fingerprint


def load_tables(path: str | os.PathLike[str]) -> EntropyTables:
    """Read tables. Raises WeightsError if the file is missing or holds none."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        if path.stat().st_size > LIMIT:
            raise WeightsError(f"{path} is larger than {LIMIT >> 20} MiB; it holds no tables of the entropy coding")
        with safe_open(path, framework="numpy") as file:
            notes = file.metadata() or {}
            if notes.get("format") != "nac-tables-1":
                raise WeightsError(f"{path} holds no tables of the entropy coding that this program can read")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise WeightsError(
            f"the tables of the entropy coding, {path}, are missing: make them with scripts/fit_tables.py, "
            "or code without (--no-entropy)"
        ) from None
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is no readable file of tables ({str(error).splitlines()[0]})") from error
    try:
        tables = EntropyTables.from_arrays(arrays, int(notes.get("model", ""), 16))
    except ValueError:
        raise WeightsError(f"the tables in {path} do not say for which weights they are; make them anew") from None
    if notes.get("fingerprint") != f"{tables.fingerprint:08x}":
        raise WeightsError(f"the tables in {path} do not match their fingerprint; the file is damaged")
    return tables


_known: dict[int, EntropyTables] = {}


def register_tables(tables: EntropyTables) -> EntropyTables:
    """Make tables known to all readers and writers of this process."""
    return _known.setdefault(tables.fingerprint, tables)


@lru_cache(maxsize=8)
def _load_once(path: Path, changed: int) -> EntropyTables:
    tables = load_tables(path)
    register_tables(tables)
    return tables  # not others with the same fingerprint, which may be for another model


def tables_beside(weights: str | os.PathLike[str], model: int | None = None) -> EntropyTables:
    """The tables beside a weights file, read once and then known.

    model: the fingerprint of the weights, to make sure that the tables are for them. Raises WeightsError if not, and
    as `load_tables` does.
    """
    path = tables_path(weights)
    tables = _load_once(path, path.stat().st_mtime_ns if path.is_file() else 0)
    if model not in (None, tables.model):
        raise WeightsError(
            f"the entropy tables {path} are for other weights ({tables.model:08x}, not {model:08x}): make them anew "
            "with scripts/fit_tables.py, or code without (--no-entropy)"
        )
    return tables


def has_tables(weights: str | os.PathLike[str], model: int) -> bool:
    """Whether beside a weights file lie tables for weights of this fingerprint."""
    try:
        tables_beside(weights, model)
    except WeightsError:
        return False
    return True


def tables_field(tables: EntropyTables) -> tuple[int, bytes]:
    """The extension field that names tables."""
    return TABLES, tables.fingerprint.to_bytes(4, "big")


def tables_for(meta: Metadata) -> EntropyTables:
    """The tables that a file names: known ones, or those beside the packaged weights. Raises FormatError if the file
    names none or they are not here, or are not for such codes."""
    wanted = meta.tables
    if wanted is None:
        raise FormatError("the file has entropy coded codes but does not name its tables, so it cannot be decoded")
    if wanted not in _known:
        try:
            found = f"those here are {tables_beside(default_weights()).fingerprint:08x}"
        except NacError as error:
            found = str(error)
    if wanted not in _known:
        raise FormatError(f"the file needs the entropy tables {wanted:08x}, which came with its model; {found}")
    tables = _known[wanted]
    if meta.bits != tables.bits or meta.codebooks > len(tables.codebooks):
        raise FormatError(f"the entropy tables {wanted:08x} are not for {meta.codebooks} codebooks of {meta.bits} bits")
    return tables
