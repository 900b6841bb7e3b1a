"""The start of a `.nac` file: nine header bytes, then the metadata, both under one CRC-32."""

from __future__ import annotations

import operator
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, SupportsIndex

from construct import Bytes, BytesInteger, GreedyBytes, Int8ub, Int16ub, Int24ub, Int32ub, Prefixed, Struct

from nac.errors import DamagedError, FormatError, OptionError
from nac.format.version0 import Version0, parse_version0
from nac.settings import Tags

MAGIC = b"NAC"
VERSION = 1
HOP = 480
"""Samples of a frame at the sample rate of the model, which is `frame_rate * HOP` Hz."""
MAX_METADATA = 1 << 20
MAX_FIELDS = 4096
UNKNOWN_SAMPLES = (1 << 40) - 1
TAG = 1
"""Type of the extension field that holds a tag, UTF-8 `KEY=value`."""
TABLES = 2
"""Type of the extension field that holds the fingerprint of the entropy coding's tables, 4 bytes."""

HEADER = Struct(
    "magic" / Bytes(3),
    "version" / Int8ub,
    "metadata_bytes" / Int32ub,
    "kbps" / Int8ub,
)
METADATA = Struct(
    "sample_rate" / Int24ub,
    "channels" / Int8ub,
    "samples" / BytesInteger(5),
    "frame_rate" / Int8ub,
    "codebooks" / Int8ub,
    "bits" / Int8ub,
    "block_frames" / Int8ub,
    "coding" / Int8ub,
    "fingerprint" / Int32ub,
    "model" / Prefixed(Int8ub, GreedyBytes),
    "fields" / GreedyBytes,
)
FIELD = Struct("type" / Int8ub, "value" / Prefixed(Int16ub, GreedyBytes))
HEADER_BYTES = int(HEADER.sizeof())
MIN_METADATA = 23
"""The fixed fields (18 bytes), an empty model name (1) and the checksum (4)."""

# name: (lowest, highest) of the whole numbers in the metadata
RANGES = {
    "sample_rate": (1, (1 << 24) - 1),
    "channels": (1, 2),
    "kbps": (1, 255),
    "codebooks": (1, 255),
    "fingerprint": (0, (1 << 32) - 1),
    "frame_rate": (1, 255),
    "bits": (1, 16),
    "block_frames": (1, 255),
    "coding": (0, 255),
}


def frame_count(samples: int, sample_rate: int, frame_rate: int = 50, hop: int = HOP) -> int:
    """Number of frames that code a signal; 0 for an empty signal.

    The samples are counted at the model's rate, `frame_rate * hop` Hz, rounded up, then divided into frames of `hop`
    samples, rounded up; one more frame completes the overlap of the last one.

    Args:
        samples: per channel.
        sample_rate: of the signal, in Hz.
        frame_rate: frames per second.
        hop: samples of a frame at the model's rate.

    >>> frame_count(0, 24000), frame_count(1, 24000), frame_count(24000, 24000), frame_count(44100, 44100)
    (0, 2, 51, 51)
    """
    if samples == 0:
        return 0
    at_model_rate = -(-samples * frame_rate * hop // sample_rate)
    return -(-at_model_rate // hop) + 1


@dataclass(frozen=True)
class Metadata:
    """The header fields of a `.nac` file.

    Attributes:
        sample_rate: in Hz, of the original signal (1 to 16,777,215).
        channels: 1 or 2.
        samples: per channel at that rate (to 2**40 - 2); None if unknown when the header was written.
        kbps: nominal bit rate over all channels (1 to 255).
        codebooks: over all channels (1 to 255).
        fingerprint: of the model's quantizer (32 bits).
        model: name of the model (255 bytes of UTF-8 at most).
        frame_rate: frames per second.
        bits: of a code (1 to 16).
        block_frames: frames of every block but the last (1 to 255).
        coding: of the payload: 0 packed, others as in `nac.format.layout`.
        tags: (key, value) pairs in order.
        extra: (type, value) of other extension fields, kept as they are.

    >>> Metadata(sample_rate=44100, channels=1, samples=44100, kbps=6, codebooks=12, fingerprint=7, model="m").frames
    51
    """

    sample_rate: int
    channels: int
    samples: int | None
    kbps: int
    codebooks: int
    fingerprint: int
    model: str
    frame_rate: int = 50
    bits: int = 10
    block_frames: int = 50
    coding: int = 0
    tags: Tags = ()
    extra: tuple[tuple[int, bytes], ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionError: a value is outside its range.
        """
        for name, (low, high) in RANGES.items():
            # Whatever counts as an integer, such as those of NumPy, is stored as one of Python.
            object.__setattr__(self, name, _integer(getattr(self, name), name, low, high))
        if self.samples is not None:
            object.__setattr__(self, "samples", _integer(self.samples, "samples", 0, UNKNOWN_SAMPLES - 1))
        if self.blocks is not None and self.blocks >= 1 << 32:
            raise OptionError(f"{self.samples} samples at {self.sample_rate} Hz are more blocks than a file can number")
        _pack_model(self.model)
        for key, _ in self.tags:
            if not key or "=" in key:
                raise OptionError(f"a tag's key must not be empty or contain '=', unlike {key!r}")
        if len(_pack_fields(self)) > MAX_METADATA - MIN_METADATA - 255:
            raise OptionError("the tags are too long: all metadata together may take 1 MiB")

    @property
    def frames(self) -> int | None:
        """Number of frames; None while the number of samples is unknown."""
        return None if self.samples is None else frame_count(self.samples, self.sample_rate, self.frame_rate)

    @property
    def blocks(self) -> int | None:
        """Number of blocks; None while the number of samples is unknown."""
        return None if self.frames is None else -(-self.frames // self.block_frames)

    @property
    def duration(self) -> float | None:
        """In seconds; None while the number of samples is unknown."""
        return None if self.samples is None else self.samples / self.sample_rate

    @property
    def tables(self) -> int | None:
        """Fingerprint of the tables that the codes are entropy coded with; None if the file does not name any."""
        values = [value for kind, value in self.extra if kind == TABLES]
        return int.from_bytes(values[0], "big") if len(values) == 1 and len(values[0]) == 4 else None


def _integer(value: SupportsIndex, name: str, low: int, high: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise OptionError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    return number


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise OptionError(f"{what} {text!r} cannot be written as UTF-8") from None


def _pack_model(model: str) -> bytes:
    name = _utf8(model, "the model name")
    if len(name) > 255:
        raise OptionError(f"the model name takes {len(name)} bytes of UTF-8; 255 is the most")
    return name


def _pack_fields(meta: Metadata) -> bytes:
    fields = [(TAG, _utf8(f"{key}={value}", "the tag")) for key, value in meta.tags] + list(meta.extra)
    if len(fields) > MAX_FIELDS:
        raise OptionError(f"{len(fields)} tags and extension fields are too many; {MAX_FIELDS} is the most")
    for kind, value in fields:
        if not 0 <= kind <= 255 or len(value) > 0xFFFF:
            raise OptionError(f"a tag or extension field may take 65535 bytes, not {len(value)} (its type: {kind})")
    return b"".join(bytes([kind]) + len(value).to_bytes(2, "big") + value for kind, value in fields)


def pack_header(meta: Metadata) -> bytes:
    """The header and metadata of a file, checksum included: everything before its first block."""
    values = {name: getattr(meta, name) for name in RANGES}
    values["samples"] = UNKNOWN_SAMPLES if meta.samples is None else meta.samples
    body = METADATA.build({**values, "model": _pack_model(meta.model), "fields": _pack_fields(meta)})
    start = HEADER.build({"magic": MAGIC, "version": VERSION, "metadata_bytes": len(body) + 4, "kbps": meta.kbps})
    return bytes(start + body + zlib.crc32(start + body).to_bytes(4, "big"))


def header_bytes(start: bytes) -> int:
    """How many bytes the header and metadata of a file take: what `read_header` needs, or refuses.

    Args:
        start: of the file.

    Returns:
        Their number, `HEADER_BYTES` while `start` is too short to tell, or what it says is not possible.
    """
    if len(start) < HEADER_BYTES or start[:3] != MAGIC or start[3] > VERSION:
        return HEADER_BYTES
    size = int(HEADER.parse(start[:HEADER_BYTES]).metadata_bytes)
    return HEADER_BYTES + size if size <= MAX_METADATA else HEADER_BYTES


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """Up to `count` bytes; fewer only at the end of the stream. Pipes may deliver them in pieces."""
    pieces = []
    while count > 0 and (piece := stream.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_header(stream: BinaryIO) -> Metadata:
    """Read the header and metadata; the stream is left at the first block.

    Raises:
        FormatError: this is not a `.nac` file, or one of version 0 or of a newer version.
        DamagedError: the header or metadata is damaged or cut short.

    >>> import io
    >>> meta = Metadata(44100, 1, 44100, kbps=6, codebooks=12, fingerprint=7, model="test", tags=(("TITLE", "Rain"),))
    >>> read_header(io.BytesIO(pack_header(meta))) == meta
    True
    """
    found = read_any_header(stream)
    if isinstance(found, Version0):
        raise FormatError(found.refusal)
    return found


def read_any_header(stream: BinaryIO) -> Metadata | Version0:
    """As `read_header`, but describe a version 0 file instead of raising; the stream is left at its payload."""
    start = read_exactly(stream, HEADER_BYTES)
    if not start:
        raise FormatError("the file is empty, so it is not a .nac file")
    if start[:3] != MAGIC[: len(start)]:
        raise FormatError(f"this is not a .nac file: it begins with {start[:3]!r} instead of {MAGIC!r}")
    if len(start) < HEADER_BYTES:
        raise DamagedError("the file ends inside its header, so nothing of it can be decoded")
    header = HEADER.parse(start)
    if header.version > VERSION:
        raise FormatError(f"the file has format version {header.version}, newer than this program reads: update nac")
    if header.metadata_bytes > MAX_METADATA:
        raise FormatError(f"the file claims {header.metadata_bytes} bytes of metadata, but 1 MiB is the most")
    body = read_exactly(stream, header.metadata_bytes)
    if len(body) < header.metadata_bytes:
        raise DamagedError("the file ends inside its metadata, so nothing of it can be decoded")
    if header.version == 0:
        found = parse_version0(header.kbps, body)
        if found is None:
            raise DamagedError("the header is damaged: it says version 0, but the metadata is not of that version")
        return found
    if len(body) < MIN_METADATA or zlib.crc32(start + body[:-4]) != int.from_bytes(body[-4:], "big"):
        raise DamagedError("the metadata is damaged (its checksum does not match), so the file cannot be decoded")
    return _parse_metadata(body[:-4], header.kbps)


def _parse_metadata(body: bytes, kbps: int) -> Metadata:
    """Metadata whose checksum has been verified: what is wrong here was written so."""
    if 19 + body[18] > len(body):
        raise FormatError("the metadata is malformed: it ends inside the model name")
    parsed: Any = METADATA.parse(body)
    tags, extra = _parse_fields(parsed.fields)
    values = {name: int(parsed[name]) for name in RANGES if name != "kbps"}
    samples = None if parsed.samples == UNKNOWN_SAMPLES else int(parsed.samples)
    try:
        model = parsed.model.decode("utf-8")
        return Metadata(**values, kbps=kbps, samples=samples, model=model, tags=tags, extra=extra)
    except UnicodeDecodeError:
        raise FormatError("the metadata is malformed: the model name is not UTF-8") from None
    except OptionError as error:
        raise FormatError(f"the metadata holds a value that this program does not know: {error}") from None


def _parse_fields(data: bytes) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[int, bytes], ...]]:
    tags: list[tuple[str, str]] = []
    extra: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        end = position + 3 + int.from_bytes(data[position + 1 : position + 3], "big")
        if end > len(data) or len(tags) + len(extra) == MAX_FIELDS:
            raise FormatError(f"the metadata is malformed: a cut extension field, or more than {MAX_FIELDS} of them")
        field = FIELD.parse(data[position:end])
        position = end
        key, equals, value = field.value.partition(b"=")
        try:
            if field.type != TAG or not key or not equals:
                raise ValueError
            tags.append((key.decode("utf-8"), value.decode("utf-8")))
        except ValueError:  # not a tag, or not a proper one: kept, so that editing loses nothing
            extra.append((int(field.type), bytes(field.value)))
    return tuple(tags), tuple(extra)
