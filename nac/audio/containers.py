"""From the first bytes of a file to what reads it, to its very end."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import BinaryIO, cast

from nac.audio import mpeg, ogg
from nac.audio.chain import ChainSource
from nac.audio.common import Backend, warn, warn_incomplete
from nac.audio.ffmpeg import FfmpegSource, has_ffmpeg
from nac.audio.id_tags import tag_end
from nac.audio.pieces import Pieces, Window
from nac.audio.sndfile import SndfileSource
from nac.audio.wav import UnsupportedWavError, WavLayout, next_wav, read_wav_header
from nac.audio.wav_source import WavSource, read_behind
from nac.errors import AudioError

_FLAC_START = b"fLaC\x00\x00\x00\x22"
# More than any MP3 file has, so that libmpg123's guess at the length never ends it early.
_MORE_THAN_ALL = 1 << 50


def open_file(name: str, stream: BinaryIO, path: str | None = None) -> Backend:
    """What reads a seekable file, whatever it is; closes `stream` in the end, but not if this raises.

    Args:
        name: Of the file, for messages.
        stream: At any position.
        path: Where the file lies, if it has a name of its own.

    Raises:
        AudioError: It is not audio that can be read here.
    """
    size = stream.seek(0, io.SEEK_END)
    if size == 0:
        raise AudioError(f"{name} is empty (0 bytes)")
    window = Window(stream, size)
    start = _behind_id3(window)
    head = window.read(start, 12)
    refuse_nac(name, head)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE"[: len(head[8:])]:
        stream.seek(start)
        try:
            return _open_wav(name, stream, read_wav_header(stream), size)
        except UnsupportedWavError:
            pass
        except AudioError as error:
            raise AudioError(f"cannot read {name}: {error}") from None
    if head[:4] == ogg.MAGIC:
        links = ogg.find_links(window, start)
        count = ogg.count_samples(window, links[0])
        return _open_links(name, stream, links, window, path, count)
    if head[:4] == b"fLaC":
        return _open_links(name, stream, _flac_links(window, start), window, path)
    if head[:4] in (b"FORM", b".snd"):
        return _open_links(name, stream, _sized_links(window, start), window, path)
    frame = mpeg.parse_header(head)
    if frame is not None and (frame.size == 0 or mpeg.find_frame(window, start, start + 1) == start):
        return _open_mpeg(name, stream, window, start)
    try:
        return _whole(name, stream, (start, size), window)
    except AudioError as error:
        found = mpeg.find_frame(window, start, start + mpeg.SEARCH)
        if found >= 0:
            with contextlib.suppress(AudioError):
                return _open_mpeg(name, stream, window, found)
        return _with_ffmpeg(name, stream, path, error)


def refuse_nac(name: str, head: bytes) -> None:
    """Raise AudioError if a file that begins with these bytes is coded already."""
    if head[:3] == b"NAC":
        raise AudioError(f"{name} is a .nac file, not audio; decode it first")


def _behind_id3(window: Window) -> int:
    position = 0
    while window.read(position, 3) == b"ID3":
        end = tag_end(window, position)
        if end in (position, window.size):
            break
        position = end
    return position


def _with_ffmpeg(name: str, stream: BinaryIO, path: str | None, error: AudioError) -> Backend:
    """A last try; raises the error that led here, with a hint if ffmpeg is missing, if it fails too."""
    if not has_ffmpeg():
        raise AudioError(f"{error}, or install ffmpeg, which nac then uses") from None
    try:
        return FfmpegSource(name, stream, path)
    except AudioError:
        raise error from None


def _open_links(
    name: str,
    stream: BinaryIO,
    links: Sequence[tuple[int, int]],
    window: Window,
    path: str | None,
    count: int | None = None,
) -> Backend:
    """Files that lie one behind the other, and that libsndfile reads, or ffmpeg where it cannot.

    `count` is the number of samples of a single one, where that is known better than libsndfile knows it.
    """
    if len(links) > 1:
        return ChainSource(name, [partial(_open_link, name, stream, link) for link in links], stream)
    try:
        return _whole(name, stream, links[0], window, count)
    except AudioError as error:
        return _with_ffmpeg(name, stream, path, error)


def _open_link(name: str, stream: BinaryIO, link: tuple[int, int]) -> Backend:
    piece = cast(BinaryIO, Pieces(stream, [link]))
    try:
        return SndfileSource(name, piece)
    except AudioError as error:
        return _with_ffmpeg(name, piece, None, error)


def _whole(name: str, stream: BinaryIO, link: tuple[int, int], window: Window, count: int | None = None) -> Backend:
    """What there is but for tags in front."""
    stream.seek(0)
    if link == (0, window.size):
        return SndfileSource(name, stream, count=count)
    return SndfileSource(name, cast(BinaryIO, Pieces(stream, [link], owns=True)), count=count)


def _flac_links(window: Window, start: int) -> list[tuple[int, int]]:
    """FLAC files one behind the other: the mark that each begins with does not occur in coded sound."""
    starts = [start]
    while (found := window.find(_FLAC_START, starts[-1] + 4)) >= 0:
        starts.append(found)
    return list(zip(starts, [*starts[1:], window.size], strict=True))


def _sized_links(window: Window, start: int) -> list[tuple[int, int]]:
    """AIFF or AU files one behind the other: each says how long it is."""
    links: list[tuple[int, int]] = []
    while True:
        head = window.read(start, 12)
        if head[:4] == b"FORM":
            size = int.from_bytes(head[4:8], "big")
            end = start + 8 + size + size % 2
        else:
            end = start + int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
        if not start < end < window.size or window.read(end, 4) != head[:4]:
            return [*links, (start, window.size)]
        links.append((start, end))
        start = end


def _open_mpeg(name: str, stream: BinaryIO, window: Window, start: int) -> Backend:
    layout = mpeg.read_layout(window, start)
    if not layout.streams:
        raise AudioError(f"{name} is cut off within its first frame; nothing of it can be decoded")
    missing = sum(found.missing for found in layout.streams)
    if layout.foreign:
        warn_incomplete(
            f"{name}: {layout.foreign:,} bytes in {window.size:,} are neither MP3 frames nor tags; they are not read"
        )
    elif missing or layout.is_cut:
        told = f"{missing:,} frames before the end that its header announces" if missing else "within a frame"
        warn(f"{name} ends {told}; it may be cut off")
    openers = [partial(_open_stream, name, stream, found) for found in layout.streams]
    is_known = all(found.frames is not None for found in layout.streams)
    expected = sum(found.frames * found.frame_samples for found in layout.streams if found.frames is not None)
    return ChainSource(name, openers, stream, expected if is_known else None)


def _open_stream(name: str, stream: BinaryIO, found: mpeg.Stream) -> Backend:
    claimed = None if found.has_count else _MORE_THAN_ALL
    expected = None if found.frames is None else found.frames * found.frame_samples
    return SndfileSource(name, cast(BinaryIO, Pieces(stream, found.pieces, claimed)), expected)


def _open_wav(name: str, stream: BinaryIO, layout: WavLayout, size: int) -> Backend:
    """A WAV file, or several one behind the other; `stream` is at the first sample."""
    parts: list[tuple[WavLayout, int, int]] = []
    following: WavLayout | None = layout
    while following is not None:
        start = stream.tell()
        following = replace(following, data_bytes=_true_size(stream, following, start, size))
        data_bytes = following.data_bytes
        end = size if data_bytes is None else start + data_bytes
        parts.append((following, start, min(size, end)))
        if data_bytes is None or end >= size:
            break
        stream.seek(end + data_bytes % 2)
        following = read_behind(name, stream)
    if len(parts) == 1:
        layout, start, _ = parts[0]
        stream.seek(start)
        return WavSource(name, stream, layout, size - start)
    return ChainSource(name, [partial(_open_part, name, stream, *part, size) for part in parts], stream)


def _open_part(name: str, stream: BinaryIO, layout: WavLayout, start: int, end: int, size: int) -> Backend:
    return WavSource(name, cast(BinaryIO, Pieces(stream, [(start, end)])), layout, size - start)


def _true_size(stream: BinaryIO, layout: WavLayout, start: int, size: int) -> int | None:
    """Bytes of samples in a file, None for all there are; where the header may be wrong, what follows decides."""
    stated, available = layout.stated_bytes, size - start
    if not stated or stated >= available:
        return layout.data_bytes
    is_open, is_wrapped = layout.data_bytes is None, available - stated >= 1 << 32
    if not is_open and not is_wrapped:
        return stated
    stream.seek(start + stated + stated % 2)
    try:
        unread = next_wav(stream)[1]
    except (AudioError, UnsupportedWavError):
        unread = 0
    if not unread:
        return stated
    # Sizes have 32 bits: of a longer file the header has the rest that a division by 4 GiB leaves.
    return None if is_open else stated + (available - stated >> 32 << 32)
