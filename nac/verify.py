"""Verification while encoding: what was written is read back from the file, decoded and compared."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from nac.block_decoder import BlockDecoder, LoadedModel
from nac.errors import DamagedError, NacError
from nac.format.blocks import Block, BlockReader, Damage
from nac.format.check import check
from nac.format.header import Metadata, read_header
from nac.models.streaming import CodedFrames
from nac.packaged import table_library
from nac.stream import StreamEncoder


class Verifier:
    """Follows an encoder through the file it writes, a block behind, in constant memory.

    Every block is read back through a file handle of its own, by the reader that decoding uses: its checksum must be
    right, its codes those that the encoder chose, and the sound decoded from them finite. `finish` then reads the whole
    file again, from the disk where the system allows it. As a context manager it closes its handle.
    """

    def __init__(self, codec: LoadedModel, encoder: StreamEncoder, unfinished: Path, name: str) -> None:
        """Begin before the encoder has coded anything.

        Args:
            codec: the loaded model.
            encoder: its `on_coded` is taken over.
            unfinished: the file that it writes.
            name: what messages call the file.
        """
        self._codec = codec
        self._path = unfinished
        self._name = name
        self._expected: deque[CodedFrames] = deque()
        encoder.on_coded = self._expected.append
        # Unbuffered: the reader must never ask for bytes that are not written yet.
        self._file = unfinished.open("rb", buffering=0)
        self._reading: tuple[Iterator[Block | Damage], BlockDecoder] | None = None
        self._decoded = 0

    def __enter__(self) -> Verifier:
        """The verifier itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file handle."""
        self._file.close()

    def follow(self) -> None:
        """Verify the blocks written, and flushed, since the last call.

        Raises:
            DamagedError: something differs.
        """
        try:
            while self._expected:
                self._block(self._expected.popleft())
        except NacError as error:
            raise self._named(error) from error

    def finish(self, metadata: Metadata) -> None:
        """Verify the complete file: its header, its length and, once more, all checksums.

        Raises:
            DamagedError: something differs.
        """
        try:
            if self._reading is not None:
                self._count(self._reading[1].flush())
            _drop_cache(self._path)
            report = check(self._path)
            if report.damage:
                raise DamagedError(report.damage[0].reason)
            if report.metadata != metadata:
                raise DamagedError("its header is not the one that was written")
            samples = metadata.samples or 0
            # A stream of frames ends within the last of them, and rate conversion may round one sample away.
            frame = -(-metadata.sample_rate // metadata.frame_rate)
            if not samples - 1 <= self._decoded <= samples + 2 * frame:
                raise DamagedError(f"it decodes to {self._decoded} samples instead of {samples}")
        except NacError as error:
            raise self._named(error) from error

    def _block(self, expected: CodedFrames) -> None:
        if self._reading is None:
            metadata = read_header(self._file)
            reader = BlockReader(self._file, metadata, tables=table_library(self._codec.path))
            self._reading = iter(reader), BlockDecoder(self._codec, metadata)
        blocks, decoder = self._reading
        block = next(blocks, None)
        if block is None:
            raise DamagedError("a block is missing")
        if not isinstance(block, Block):
            raise DamagedError(block.reason)
        same = block.side_lag == expected.side_lag and len(block.codes) == len(expected.codes)
        if not same or not all(map(np.array_equal, block.codes, expected.codes)):
            raise DamagedError(f"block {block.index} holds other codes than the encoder chose")
        self._count(decoder.push(block))

    def _count(self, samples: npt.NDArray[np.float32]) -> None:
        if not np.isfinite(samples).all():
            raise DamagedError("it decodes to values that are not finite")
        self._decoded += samples.shape[1]

    def _named(self, error: NacError) -> DamagedError:
        return DamagedError(f"{self._name} was not kept: what was written does not read back ({error})")


def _drop_cache(path: Path) -> None:
    """Write the file out and forget it, so that the next reading is of the disk (where the system can do that)."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
