"""Changing files without decoding them: a lower bit rate, a part, several in one, other tags.

All work on streams of any length in bounded memory, and a target given as a path appears only when it is complete. A
source may be a path or a binary stream, a target too. Damaged sources are refused (DamagedError) rather than copied;
`trim` reads only what it copies.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from nac.errors import DamagedError, OptionError
from nac.files import NewFile
from nac.format.entropy.tables import TableLibrary, tables_field
from nac.format.frames import FrameWriter, runs_of, side_codebooks, split_changes
from nac.format.header import TABLES, Metadata, frame_count, read_header
from nac.format.layout import ENTROPY, ENTROPY_CODINGS, PACKED, default_block_frames
from nac.format.scan import Scanner, find_samples, is_seekable
from nac.format.tags import read_tags, remove_tags, set_tags

__all__ = ["Joined", "Trimmed", "concatenate", "read_tags", "reduce", "remove_tags", "set_tags", "trim"]

Source = str | os.PathLike[str] | BinaryIO
SMALLEST_BLOCK = 10
"""In frames: `trim` begins a little early rather than making smaller blocks."""


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as stream:
            yield stream
    else:
        yield source


@contextlib.contextmanager
def _created(target: Source) -> Iterator[BinaryIO]:
    if isinstance(target, (str, os.PathLike)):
        with NewFile(target) as new:
            yield new.file
    else:
        yield target


def reduce(
    source: Source, target: Source, kbps: int, entropy: bool | None = None, tables: TableLibrary | None = None
) -> Metadata:
    """Write `source` with a lower bit rate by leaving out codebooks; keeps the tags.

    Payloads that consist of sections are truncated where the new bit rate allows, at 3, 6 and 12 kbps; this needs no
    tables and decodes no codes.

    The result is, byte for byte, what a writer makes of the first codebooks of each channel. This project's encoder
    makes the same file when it encodes at that rate: at 3, 6 and 12 kbps whatever its effort, at all others but mono at
    1 kbps (whose blocks have another size) with effort "fast", while a wider search may have found better codes for
    those rates.

    Args:
        source: file to read.
        target: file to write.
        kbps: new bit rate over all channels, a whole number; with that of the source only the coding may change.
        entropy: whether the result is entropy coded (in sections); None: as the source is.
        tables: needed where entropy coded codes must be decoded or encoded.

    Returns:
        The metadata of the new file.

    Raises:
        OptionError: the source has fewer codebooks than `kbps` takes.
        DamagedError: the source is damaged.
        FormatError: the source needs tables that are not in `tables`.
        WeightsError: `tables` has none for the source's model.
    """
    with _created(target) as out, _opened(source) as stream:
        meta = read_header(stream)
        codebooks, rest = divmod(kbps * 1000, meta.frame_rate * meta.bits)
        if rest or not 1 <= codebooks <= meta.codebooks:
            actual = meta.codebooks * meta.frame_rate * meta.bits / 1000
            raise OptionError(f"a file of {actual:g} kbps cannot be reduced to {kbps} kbps; give a lower whole number")
        reduced = replace(meta, kbps=kbps, codebooks=codebooks)
        if meta.block_frames == default_block_frames(meta.channels, meta.kbps):
            reduced = replace(reduced, block_frames=default_block_frames(meta.channels, kbps))
        if entropy is not None:
            reduced = _with_coding(reduced, entropy, tables)
        scanner = Scanner(stream, meta)
        writer = FrameWriter(out, reduced, tables)
        for run in runs_of(scanner):
            writer.copy(run)
        writer.finish(_known_samples(scanner.samples))
    return reduced


def _with_coding(meta: Metadata, entropy: bool, tables: TableLibrary | None) -> Metadata:
    """The metadata with the codes entropy coded in sections, or packed."""
    if meta.coding == (ENTROPY if entropy else PACKED):
        return meta
    if entropy and meta.coding in ENTROPY_CODINGS:
        return replace(meta, coding=ENTROPY)
    extra = tuple(field for field in meta.extra if field[0] != TABLES)
    if not entropy:
        return replace(meta, coding=PACKED, extra=extra)
    field = tables_field((tables or TableLibrary()).for_model(meta.fingerprint))
    return replace(meta, coding=ENTROPY, extra=(*extra, field))


def _known_samples(samples: int | None) -> int:
    if samples is None:
        raise DamagedError("the file has lost its end, and so its length; decode it to get what remains")
    return samples


@dataclass(frozen=True)
class Trimmed:
    """Result of `trim`.

    Attributes:
        metadata: of the new file.
        start: where its part of the source begins, in seconds.
        end: where it ends, in seconds.
    """

    metadata: Metadata
    start: float
    end: float


def trim(
    source: Source,
    target: Source,
    start: float = 0.0,
    end: float | None = None,
    tables: TableLibrary | None = None,
) -> Trimmed:
    """Write a part of `source` as a file of its own; keeps the tags.

    The new file begins with the frame whose samples begin at or last before `start`, so up to 20 ms early, and ends
    with the last sample before `end`. It has one more frame than hops of 480 samples, as any file, so each of its hops
    has both frames that describe it. A decoder begins without the state of earlier frames there: the first few frames
    may sound slightly different, and noise that it makes itself is other noise. In stereo, where the split between mid
    and side changes at blocks, blocks must end where the old ones do: then the new file may have shorter blocks, and
    begins up to 0.2 s early.

    Args:
        source: file to read; not a pipe.
        target: file to write.
        start: in seconds.
        end: in seconds; None: the end of the source.
        tables: needed where entropy coded codes must be decoded and encoded again.

    Returns:
        The metadata of the new file, and where it really begins and ends.

    Raises:
        OptionError: the part is empty, or the source is a pipe.
        DamagedError: a block that is needed is damaged, or the length of the source is lost.
        FormatError: the source needs tables that are not in `tables`.
    """
    with _created(target) as out, _opened(source) as stream:
        if not is_seekable(stream):
            raise OptionError("a part of a pipe cannot be cut out; save it as a file first")
        meta = read_header(stream)
        total = _known_samples(find_samples(stream, meta))
        if not (math.isfinite(start) and start >= 0 and (end is None or (math.isfinite(end) and end > start))):
            raise OptionError(f"the times {start} to {end} seconds are not a part of a file")
        if start * meta.sample_rate >= total:
            raise OptionError(f"nothing is left to write: the file ends at {total / meta.sample_rate:.2f} s")
        # The small addition: 0.58 * 50 is a little less than 29.
        last = total
        if end is not None and end * meta.sample_rate < total:
            last = math.floor(end * meta.sample_rate + 1e-6)
        first = math.floor(start * meta.frame_rate + 1e-6)
        first, block_frames = _block_frames(stream, meta, first, last)
        samples = last - _ceil(first * meta.sample_rate, meta.frame_rate)
        if samples <= 0:
            raise OptionError(f"the times {start} to {end} seconds hold less than a sample")
        trimmed = replace(meta, samples=samples, block_frames=block_frames)
        writer = FrameWriter(out, trimmed, tables)
        for run in runs_of(Scanner(stream, meta), first, trimmed.frames):
            writer.copy(run)
        writer.finish(samples)
    return Trimmed(trimmed, first / meta.frame_rate, last / meta.sample_rate)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _block_frames(stream: BinaryIO, meta: Metadata, first: int, last: int) -> tuple[int, int]:
    """The first frame of a part that ends with sample `last`, and the frames of its blocks."""
    size = meta.block_frames
    if meta.channels == 1 or first % size == 0:
        return first, size
    here = stream.tell()
    count = max(0, _ceil(last * meta.frame_rate, meta.sample_rate) + 1 - first)
    changes = [place for place, _ in split_changes(stream, meta, first, count)[1:]]
    stream.seek(here)
    if math.gcd(size, *changes) < min(size, SMALLEST_BLOCK):
        # Back to where blocks of a divisor of the old size fit.
        step = min(d for d in range(min(size, SMALLEST_BLOCK), size + 1) if size % d == 0)
        early = first % size % step
        return first - early, math.gcd(size, *(change + early for change in changes))
    return first, math.gcd(size, *changes)


@dataclass(frozen=True)
class Joined:
    """Result of `concatenate`.

    Attributes:
        metadata: of the new file.
        gaps: the silence at each joint that is not in the sources, in seconds; 0 for parts cut at one place.
    """

    metadata: Metadata
    gaps: tuple[float, ...]


def concatenate(sources: Sequence[Source], target: Source, tables: TableLibrary | None = None) -> Joined:
    """Join several files to one, with the tags of the first, and entropy coded or packed as that is.

    All must be of the same quantizer (fingerprint), bit rate, sample rate and channels. Each piece keeps all its
    frames, the last of which completes its end; so a piece begins 20 to 40 ms of silence after the end of the one
    before (its samples rounded up to whole frames of 20 ms, and one frame). But where a piece fills whole frames and
    the next begins with the very frame it ends with, as parts that `trim` cut at one place do, that frame is written
    once, and the joint leaves no trace. In stereo with a split between mid and side that changes, the blocks of the
    result are so short that none has two splits; with unfavourable lengths that costs up to 6 bytes a frame.

    Args:
        sources: files to read, in order; not pipes.
        target: file to write.
        tables: needed where entropy coded codes must be decoded and encoded again.

    Returns:
        The metadata of the new file, and the silence at its joints.

    Raises:
        OptionError: there is no source, the sources do not fit together, or one is a pipe.
        DamagedError: a source is damaged.
        FormatError: a source needs tables that are not in `tables`.
    """
    if not sources:
        raise OptionError("there is nothing to join: give at least one file")
    pieces = [_piece(source) for source in sources]
    for piece in pieces[1:]:
        _check_alike(pieces[0], piece)
    pieces = [piece for piece in pieces if piece.frames] or pieces[:1]
    for piece, following in itertools.pairwise(pieces):
        piece.overlaps = piece.fills_frames and piece.edge(-1, tables) == following.edge(0, tables)
    meta = pieces[0].meta
    frames = sum(piece.kept for piece in pieces)
    samples = _joined_samples(frames, pieces[-1])
    meta = replace(meta, samples=samples, block_frames=_joined_block_frames(pieces))
    with _created(target) as out:
        writer = FrameWriter(out, meta, tables)
        for piece in pieces:
            with piece.opened() as stream:
                remaining = piece.kept
                for run in runs_of(Scanner(stream, piece.meta)):  # to the end, for damage there
                    writer.copy(run.first(remaining))
                    remaining -= len(run)
        writer.finish(samples)
    return Joined(meta, tuple(0.0 if piece.overlaps else piece.gap for piece in pieces[:-1]))


@dataclass
class _Piece:
    source: Source
    meta: Metadata
    samples: int
    start: int  # of a stream
    overlaps: bool = False
    """The next piece begins with this one's last frame."""

    @property
    def frames(self) -> int:
        return frame_count(self.samples, self.meta.sample_rate, self.meta.frame_rate)

    @property
    def kept(self) -> int:
        return self.frames - self.overlaps

    @property
    def fills_frames(self) -> bool:
        """Whether the samples fill whole frames (with less than a sample missing, as frames end between samples)."""
        end = (self.frames - 1) * self.meta.sample_rate
        return end - self.samples * self.meta.frame_rate < self.meta.frame_rate

    @property
    def gap(self) -> float:
        """Seconds from the end of the samples to that of the last frame."""
        return self.frames / self.meta.frame_rate - self.samples / self.meta.sample_rate

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The source, at its first block."""
        with _opened(self.source) as stream:
            stream.seek(self.start)
            yield stream

    def edge(self, place: int, tables: TableLibrary | None) -> tuple[bytes, int]:
        """Codes and side codebooks of the first (0) or last (-1) frame."""
        with self.opened() as stream:
            run = next(runs_of(Scanner(stream, self.meta), self.frames - 1 if place else 0, 1))
        frame = run.unpack(tables=tables)
        return frame.codes.tobytes(), int(side_codebooks(self.meta, frame.lags)[0])


def _piece(source: Source) -> _Piece:
    with _opened(source) as stream:
        if not is_seekable(stream):
            raise OptionError("pipes cannot be joined; save them as files first")
        meta = read_header(stream)
        return _Piece(source, meta, _known_samples(find_samples(stream, meta)), stream.tell())


def _check_alike(one: _Piece, other: _Piece) -> None:
    names = {
        "fingerprint": "the codebooks of another model",
        "channels": "another number of channels",
        "sample_rate": "another sample rate",
        "codebooks": "another bit rate (reduce the higher one first)",
        "bits": "codes of another size",
        "frame_rate": "another frame rate",
    }
    for name, what in names.items():
        if getattr(one.meta, name) != getattr(other.meta, name):
            label = other.source if isinstance(other.source, (str, os.PathLike)) else "one of the files"
            raise OptionError(f"{label} has {what} than the first file, so they cannot be joined")


def _joined_samples(frames: int, last: _Piece) -> int:
    """Samples of the whole: up to the end of the last piece, which may begin between two samples."""
    meta = last.meta
    before = (frames - last.kept) * meta.sample_rate
    for start in (_ceil(before, meta.frame_rate), before // meta.frame_rate):
        if frame_count(start + last.samples, meta.sample_rate, meta.frame_rate) == frames:
            return start + last.samples
    raise OptionError(f"files of {meta.sample_rate} Hz cannot be joined: one sample is longer than a frame")


def _joined_block_frames(pieces: list[_Piece]) -> int:
    size = pieces[0].meta.block_frames
    if pieces[0].meta.channels == 1:
        return size
    changes: list[tuple[int, int]] = []
    place = 0
    for piece in pieces:
        with piece.opened() as stream:
            for change, side in split_changes(stream, piece.meta, 0, piece.kept):
                if not changes or changes[-1][1] != side:
                    changes.append((place + change, side))
        place += piece.kept
    return math.gcd(size, *(change for change, _ in changes))
