"""Tags that programs put before, behind and between audio files: ID3, APE and Lyrics3. Here they are only skipped."""

from __future__ import annotations

from nac.audio.pieces import WINDOW, Window

_ID3V1 = 128
_ID3V1_ENHANCED = 227
_APE_HEADER = 32


def tag_end(window: Window, position: int) -> int:
    """The end of the tag that begins at `position`; `position` itself if none does.

    Sources: id3.org (ID3v1, ID3v2.4.0 structure, Lyrics3 v2), wiki.hydrogenaud.io (APEv2).
    """
    start = window.read(position, 32)
    if start[:3] == b"ID3" and len(start) >= 10 and start[3] < 0xFF and start[4] < 0xFF and max(start[6:10]) < 0x80:
        size = start[6] << 21 | start[7] << 14 | start[8] << 7 | start[9]
        footer = 10 if start[5] & 0x10 else 0
        return min(window.size, position + 10 + size + footer)
    if start[:8] == b"APETAGEX" and len(start) == _APE_HEADER:
        size = int.from_bytes(start[12:16], "little")  # of the items and the footer
        is_header = start[23] & 0x20
        return min(window.size, position + (_APE_HEADER + size if is_header else _APE_HEADER))
    if start[:11] == b"LYRICSBEGIN":
        for ending in (b"LYRICS200", b"LYRICSEND"):
            found = window.find(ending, position, position + WINDOW)
            if found >= 0:
                return found + len(ending)
    if start[:4] == b"TAG+":
        return min(window.size, position + _ID3V1_ENHANCED)
    # Elsewhere the three letters may be anything.
    if start[:3] == b"TAG" and (position + _ID3V1 <= window.size):
        return position + _ID3V1
    return position


def skip_tags(window: Window, position: int) -> int:
    """Where neither tags nor zeros continue, from `position` on."""
    while position < window.size:
        end = tag_end(window, position)
        if end == position:
            data = window.read(position, 4096)
            end = position + len(data) - len(data.lstrip(b"\0"))
            if end == position:
                break
        position = end
    return min(position, window.size)
