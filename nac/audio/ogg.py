"""Chained Ogg: several streams one behind the other in a file, as internet radio and `cat` make them.

libsndfile reads the first and calls it the end. Source: RFC 3533, section 4 (chaining) and 6 (the page header).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from nac.audio.pieces import Window

MAGIC = b"OggS"
_HEADER = 27
_BEGIN = 2


@dataclass(frozen=True)
class Page:
    """What the header of a page says, and where the page lies."""

    start: int
    end: int
    begins: bool
    granule: int
    serial: int
    number: int


def pages(window: Window, position: int, end: int) -> Iterator[Page]:
    """The pages from `position` up to `end`, what lies between them passed over."""
    while position < end:
        head = window.read(position, _HEADER + 255)
        if head[:4] != MAGIC or len(head) < _HEADER:
            position = window.find(MAGIC, position + 1, end)
            if position < 0:
                return
            continue
        count = head[26]
        behind = position + _HEADER + count + sum(head[_HEADER : _HEADER + count])
        granule, serial, number = struct.unpack("<qII", head[6:22])
        yield Page(position, behind, bool(head[5] & _BEGIN), granule, serial, number)
        position = behind


def find_links(window: Window, position: int) -> list[tuple[int, int]]:
    """The ranges of bytes (start, end) of the streams that follow each other, from a page at `position` on.

    Streams that run side by side, such as sound and picture, begin together and are one link.
    """
    starts: list[int] = []
    in_head = False
    for page in pages(window, position, window.size):
        if page.begins and not in_head:
            starts.append(page.start)
        in_head = page.begins
    if not starts:
        return [(position, window.size)]
    return list(zip(starts, [*starts[1:], window.size], strict=True))


def count_samples(window: Window, link: tuple[int, int]) -> int | None:
    """Samples of a Vorbis stream that has all its pages; None of others, and of recordings that begin later.

    libsndfile counts from the first page that it can read, so a damaged one would be missed without a word.
    """
    first = window.read(link[0], 64)
    if first[_HEADER + 1 : _HEADER + 8] != b"\x01vorbis":
        return None
    granule = 0
    for number, page in enumerate(pages(window, *link)):
        if page.number != number or page.serial != int.from_bytes(first[14:18], "little"):
            return None
        granule = max(granule, page.granule)
    return granule
