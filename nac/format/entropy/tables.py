"""The integer tables of the entropy coding: a file of their own beside the weights, read without torch.

They belong to a model's codebooks, and files name them by a fingerprint, as they name the codebooks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nac.arrays import Array
from nac.errors import FormatError, WeightsError
from nac.files import replacing
from nac.format.entropy.contexts import MAX_CONTEXTS, contexts_of
from nac.format.header import TABLES, Metadata

SUFFIX = ".tables.safetensors"
MAX_FILE_BYTES = 16 << 20
"""Size of the largest file that is opened."""
PROBABILITY_BITS = 14
"""Probabilities are in 16384ths."""
LOGIT_SUM_LIMIT = 128 * (MAX_CONTEXTS + 1)
"""Sums of logits are smaller than this in magnitude."""
Number = TypeVar("Number", np.int8, np.uint16)


@dataclass(frozen=True, eq=False)
class CodebookTables:
    """The tables of one codebook.

    Attributes:
        bias: int8 `[codes]`, a logit for each node of the tree of decisions (1 is its root; 0 is unused).
        logits: for each context int8 `[rows, nodes]`; a context with fewer nodes than codes affects the first
            decisions alone.
    """

    bias: npt.NDArray[np.int8]
    logits: tuple[npt.NDArray[np.int8], ...]


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """All tables of a model; from `load_tables`, or `from_arrays`.

    Attributes:
        symbols: uint16 `[codebooks, codes]`, the symbol of each code: its place in the tree of decisions.
        probability: uint16; at `[s]` for each sum of logits s (negative ones from the end) the probability, in
            16384ths, that a decision is 1.
        codebooks: the tables of each codebook.
        fingerprint: of the tables.
        model: fingerprint of the weights that the tables are for.
    """

    symbols: npt.NDArray[np.uint16]
    probability: npt.NDArray[np.uint16]
    codebooks: tuple[CodebookTables, ...]
    fingerprint: int
    model: int

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return int(self.symbols.shape[1]).bit_length() - 1

    @staticmethod
    def from_arrays(arrays: dict[str, Array], model: int = 0) -> EntropyTables:
        """Make tables from the arrays of their file.

        Args:
            arrays: by name, as ENTROPY.md lists them; the symbols are called `ranks` there, and so in every file.
            model: fingerprint of the weights.

        Raises:
            WeightsError: an array is missing, or its type, shape or values are wrong.
        """
        symbols, probability = _array(arrays, "ranks", np.uint16), _array(arrays, "probability", np.uint16)
        if symbols.ndim != 2 or not 1 <= len(symbols) <= 255:
            raise WeightsError("the tables of the entropy coding are damaged: the array 'ranks' has a wrong shape")
        size = symbols.shape[1]
        whole = np.arange(size)
        if not 16 <= size <= 1 << 16 or size & (size - 1) or not (np.sort(symbols, axis=1) == whole).all():
            raise WeightsError("the tables of the entropy coding are damaged: the rows of 'ranks' are not permutations")
        in_range = probability.shape == (2 * LOGIT_SUM_LIMIT,) and probability.max() < 1 << PROBABILITY_BITS
        if not in_range or not probability.all():
            raise WeightsError("the tables of the entropy coding are damaged: probabilities are out of range")
        codebooks = tuple(_codebook(arrays, index, size) for index in range(len(symbols)))
        return EntropyTables(symbols, probability, codebooks, fingerprint(arrays), model)


def _array(arrays: dict[str, Array], name: str, kind: type[Number]) -> npt.NDArray[Number]:
    array = arrays.get(name)
    if array is None or array.dtype != kind:
        raise WeightsError(f"the tables of the entropy coding are damaged: {name} is missing or of a wrong type")
    return np.ascontiguousarray(array, kind)


def _codebook(arrays: dict[str, Array], index: int, size: int) -> CodebookTables:
    bias = _array(arrays, f"{index}.bias", np.int8)
    logits = []
    for number, context in enumerate(contexts_of(index)):
        table = _array(arrays, f"{index}.{number}", np.int8)
        nodes = table.shape[-1] if table.ndim == 2 else 0
        if not 2 <= nodes <= size or nodes & (nodes - 1) or not context.fits(len(table), size.bit_length() - 1):
            raise WeightsError(f"the tables of the entropy coding are damaged: {index}.{number} has a wrong shape")
        logits.append(table)
    if bias.shape != (size,):
        raise WeightsError(f"the tables of the entropy coding are damaged: {index}.bias has a wrong shape")
    return CodebookTables(bias, tuple(logits))


def fingerprint(arrays: dict[str, Array]) -> int:
    """Number that identifies tables: the first 4 bytes of a SHA-256 over all arrays in the order of their names.

    Of each array: its name, a zero byte, each length of the shape as 4 bytes, and the values, little-endian.
    """
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
    """Write a tables file; replaces `path` in one step.

    Args:
        path: of the file, see `tables_path`.
        arrays: as `EntropyTables.from_arrays` takes them.
        model_fingerprint: of the weights that the tables are for.

    Returns:
        The fingerprint of the tables.

    Raises:
        WeightsError: the arrays are not tables.
    """
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
    """Read a tables file.

    Raises:
        WeightsError: it is missing, damaged, or not a tables file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise WeightsError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; it is not a file of entropy tables")
        with safe_open(path, framework="numpy") as file:
            notes = file.metadata() or {}
            if notes.get("format") != "nac-tables-1":
                raise WeightsError(f"{path} does not hold entropy tables that this program can read")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise WeightsError(
            f"the entropy tables {path} are missing: make them with nac fit-tables, or code without (--no-entropy)"
        ) from None
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is not a readable file of tables ({str(error).splitlines()[0]})") from error
    try:
        tables = EntropyTables.from_arrays(arrays, int(notes.get("model", ""), 16))
    except ValueError:
        raise WeightsError(
            f"the tables in {path} do not name the weights that they are for; make them again with nac fit-tables"
        ) from None
    if notes.get("fingerprint") != f"{tables.fingerprint:08x}":
        raise WeightsError(f"the tables in {path} do not match their fingerprint; the file is damaged")
    return tables


@lru_cache(maxsize=8)
def _load_once(path: Path, changed: int) -> EntropyTables:
    return load_tables(path)


def tables_beside(weights: str | os.PathLike[str], model: int | None = None) -> EntropyTables:
    """Read the tables beside a weights file; as long as the file does not change, only once.

    Args:
        weights: path of the weights file.
        model: fingerprint of the weights, to make sure that the tables are for them.

    Raises:
        WeightsError: there are none, they are damaged, or they are for other weights.
    """
    path = tables_path(weights)
    tables = _load_once(path, path.stat().st_mtime_ns if path.is_file() else 0)
    if model not in (None, tables.model):
        raise WeightsError(
            f"the entropy tables {path} are for other weights ({tables.model:08x}, not {model:08x}): make them "
            "again with nac fit-tables, or code without (--no-entropy)"
        )
    return tables


def has_tables(weights: str | os.PathLike[str], model: int) -> bool:
    """Whether tables for weights of this fingerprint lie beside a weights file."""
    try:
        tables_beside(weights, model)
    except WeightsError:
        return False
    return True


def tables_field(tables: EntropyTables) -> tuple[int, bytes]:
    """The extension field, (type, value), that names tables in a file."""
    return TABLES, tables.fingerprint.to_bytes(4, "big")


class TableLibrary:
    """The entropy tables that readers and writers may use; files are read when first needed."""

    def __init__(self, *tables: EntropyTables, weights: Sequence[str | os.PathLike[str]] = ()) -> None:
        """A library of tables.

        Args:
            tables: tables that are loaded already.
            weights: weights files beside which tables may lie.
        """
        self._tables = tables
        self._weights = weights

    def for_model(self, model: int) -> EntropyTables:
        """The tables for the weights with a fingerprint.

        Raises:
            WeightsError: there are none.
        """
        others: list[str] = []
        for tables in self._all(others):
            if tables.model == model:
                return tables
            others.append(f"those here are for the weights {tables.model:08x}")
        raise WeightsError(f"there are no entropy tables for the weights {model:08x}: {_listed(others)}")

    def for_file(self, meta: Metadata) -> EntropyTables:
        """The tables that a file names.

        Raises:
            FormatError: the file does not name any, they are not in the library, or they do not fit its codes.
        """
        wanted, others = meta.tables, list[str]()
        if wanted is None:
            raise FormatError("the file has entropy coded codes but does not name its tables, so it cannot be decoded")
        for tables in self._all(others):
            if tables.fingerprint == wanted:
                break
            others.append(f"those here are {tables.fingerprint:08x}")
        else:
            raise FormatError(
                f"the file needs the entropy tables {wanted:08x}, which came with its model; {_listed(others)}"
            )
        if meta.bits != tables.bits or meta.codebooks > len(tables.codebooks):
            raise FormatError(
                f"the entropy tables {wanted:08x} are not for {meta.codebooks} codebooks of {meta.bits} bits"
            )
        return tables

    def _all(self, errors: list[str]) -> Iterator[EntropyTables]:
        """All tables; those that cannot be read are left out, and their errors added to `errors`."""
        yield from self._tables
        for weights in self._weights:
            try:
                yield tables_beside(weights)
            except WeightsError as error:
                errors.append(str(error))


def _listed(others: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(others)) or "none are here"
