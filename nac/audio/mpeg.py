"""MP3 (and MP1, MP2) frame by frame, to find what libmpg123 would leave out.

libmpg123 takes the length of a file from its first frames: from the count in a Xing header, or from one frame's size.
Files that were joined, cut or made without such a header are longer than that, and it stops early without an error.
Here the frame headers are followed from the first to the last, which costs less than a thousandth of decoding.

Sources: ISO/IEC 11172-3 2.4.1.3 and 13818-3 (frame headers); gabriel.mp3-tech.org/mp3infotag.html (Xing, LAME tag).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from nac.audio.id_tags import skip_tags
from nac.audio.pieces import Piece, Window

# kbit/s by (MPEG-1?, layer) and index, ISO/IEC 11172-3 2.4.2.3 and 13818-3 2.4.2.3.
_BITRATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)
_MPEG1, _MPEG2, _RESERVED = 3, 2, 1
#: Bytes that are searched for the first frame of a file.
SEARCH = 1 << 20
#: Trailing bytes that are neither frames nor tags and not worth a word: some program's own tag.
_TRAILER = 4096
#: Frames in a row that make a find.
_CONFIRM = 4
# Behind the words "Xing" and flags: count of frames, count of bytes, 100 bytes of a table, quality; then LAME's tag.
_HAS_FRAMES, _HAS_BYTES, _HAS_ALL = 1, 2, 15
_LAME_GAPS = 141


@dataclass(frozen=True)
class Frame:
    """What a frame header says.

    Attributes:
        kind: What all frames of a stream share: version, layer, sample rate, and whether it is mono.
        size: Bytes of the frame, the header included; 0 in a stream of free format, which does not tell.
        samples: Per channel.
        main_data: Where the main data begins, behind header, checksum and side information (layer III).
    """

    kind: tuple[int, int, int, bool]
    size: int
    samples: int
    main_data: int


@dataclass
class Stream:
    """Frames that one decoder reads in one go.

    Attributes:
        kind: As in `Frame`.
        frame_samples: Per channel, in each frame.
        pieces: Where they lie in the file.
        frames: How many there are, a Xing header not counted; None in a stream of free format.
        has_count: Whether it begins with a Xing header that counts them.
        missing: Frames that the Xing header counts and that are not there.
    """

    kind: tuple[int, int, int, bool]
    frame_samples: int
    pieces: list[Piece] = field(default_factory=list)
    frames: int | None = 0
    has_count: bool = False
    missing: int = 0


_known: dict[int, Frame | None] = {}


def parse_header(data: bytes) -> Frame | None:
    """The frame that begins with these bytes (4 or more are looked at), or None if none does."""
    if len(data) < 4 or data[0] != 0xFF or data[1] < 0xE0:
        return None
    key = data[1] << 16 | data[2] << 8 | data[3] & 0xC0
    if key not in _known:
        if len(_known) > 1 << 16:
            _known.clear()
        _known[key] = _parse(data[1], data[2], data[3] >> 6)
    return _known[key]


def _parse(first: int, second: int, mode: int) -> Frame | None:
    version, layer = first >> 3 & 3, 4 - (first >> 1 & 3)
    bitrate_index, rate_index, padding = second >> 4, second >> 2 & 3, second >> 1 & 1
    if version == _RESERVED or layer == 4 or bitrate_index == 15 or rate_index == 3:
        return None
    is_mpeg1, is_mono = version == _MPEG1, mode == 3
    rate = _RATES[rate_index] >> (0 if is_mpeg1 else 1 if version == _MPEG2 else 2)
    bits = _BITRATES[is_mpeg1, layer][bitrate_index] * 1000
    samples = 384 if layer == 1 else 1152 if layer == 2 or is_mpeg1 else 576
    size = (samples // 32 * bits // rate // 4 + padding) * 4 if layer == 1 else samples // 8 * bits // rate + padding
    side_info = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[is_mpeg1, is_mono]
    checksum = 0 if first & 1 else 2
    return Frame((version, layer, rate, is_mono), size if bits else 0, samples, 4 + checksum + side_info)


def find_frame(window: Window, position: int, end: int | None = None) -> int:
    """Where the next frame that others follow begins, at or behind `position` and before `end`; -1 if nowhere."""
    while True:
        position = window.find(b"\xff", position, end)
        if position < 0:
            return -1
        frame = parse_header(window.read(position, 4))
        if frame is not None and _is_followed(window, position, frame):
            return position
        position += 1


def _is_followed(window: Window, position: int, frame: Frame) -> bool:
    for following_frames in range(_CONFIRM - 1):
        position += frame.size
        if position > window.size:
            return following_frames > 0  # a file that was cut off
        if skip_tags(window, position) >= window.size:
            return True  # nothing but tags: the last frame of a short file
        following = parse_header(window.read(position, 4))
        if frame.size == 0 or following is None or following.kind != frame.kind:
            return False
        frame = following
    return True


@dataclass
class Layout:
    """What a file consists of.

    Attributes:
        streams: Each to be decoded by a decoder of its own.
        foreign: Bytes among the frames that are neither frames nor tags.
        is_cut: Whether the file ends within a frame.
    """

    streams: list[Stream] = field(default_factory=list)
    foreign: int = 0
    is_cut: bool = False


def read_layout(window: Window, position: int) -> Layout:
    """Follow the frames from `position`, where one begins, to the end of the file."""
    layout = Layout()
    stream: Stream | None = None
    begun = position

    def leave(end: int) -> None:
        if stream is not None and begun < end:
            stream.pieces.append((begun, end))

    while position < window.size:
        head = window.read(position, 192)
        frame = parse_header(head)
        is_other = frame is not None and stream is not None and frame.kind != stream.kind
        if frame is None or (is_other and not _is_followed(window, position, frame)):
            leave(position)
            behind = skip_tags(window, position)
            if behind == position:
                behind = find_frame(window, position)
                if behind < 0:
                    layout.foreign += window.size - position if window.size - position > _TRAILER else 0
                    behind = window.size
                else:
                    layout.foreign += behind - position
            begun = position = behind
            continue
        if frame.size == 0:  # free format: the decoder finds its way alone
            layout.streams.append(Stream(frame.kind, frame.samples, [(position, window.size)], None))
            break
        if position + frame.size > window.size:
            leave(position)
            begun = position = window.size
            layout.is_cut = True
            break
        is_info = _is_info(head, frame)
        if stream is None or frame.kind != stream.kind or is_info:
            leave(position)
            stream, begun = Stream(frame.kind, frame.samples), position
            layout.streams.append(stream)
        stream.frames = (stream.frames or 0) + (not is_info)
        position += frame.size
    leave(position)
    for found in layout.streams:
        _mend_info(found, window)
    layout.streams = [found for found in layout.streams if found.frames != 0]
    return layout


def _is_info(head: bytes, frame: Frame) -> bool:
    """Whether a frame carries a Xing header ("Info" for constant rates) instead of sound."""
    at = frame.main_data
    return head[at : at + 4] in (b"Xing", b"Info") and frame.kind[1] == 3 and not any(head[6:at])


def _mend_info(stream: Stream, window: Window) -> None:
    """Let the Xing header, if there is one, tell the truth about the frames that follow, or leave it out."""
    first = stream.pieces[0]
    frame = None if isinstance(first, bytes) else parse_header(window.read(first[0], 4))
    if isinstance(first, bytes) or frame is None or stream.frames is None:
        return
    data = bytearray(window.read(first[0], frame.size))
    if not _is_info(bytes(data), frame):
        return
    at = frame.main_data + 4
    flags = int.from_bytes(data[at : at + 4], "big")
    if not flags & _HAS_FRAMES or len(data) < at + 12:
        stream.pieces[0] = (first[0] + frame.size, first[1])
        return
    stream.has_count = True
    told = int.from_bytes(data[at + 4 : at + 8], "big")
    size = sum(piece[1] - piece[0] for piece in stream.pieces if not isinstance(piece, bytes))
    told_size = int.from_bytes(data[at + 8 : at + 12], "big") if flags & _HAS_BYTES else size
    is_true = told in (stream.frames, stream.frames + 1)  # some programs count the header's own frame
    # libmpg123 writes to the terminal if the size is more than a hundredth off.
    if is_true and abs(told_size - size) * 200 < size:
        return
    if not is_true:
        stream.missing = max(0, told - stream.frames)
        data[at + 4 : at + 8] = struct.pack(">I", stream.frames)
        gaps = at - 4 + _LAME_GAPS
        if flags & _HAS_ALL == _HAS_ALL and len(data) >= gaps + 3:
            # Twelve bits tell the silence at the start, twelve that at an end, which is not this one.
            data[gaps + 1] &= 0xF0
            data[gaps + 2] = 0
    if flags & _HAS_BYTES:
        data[at + 8 : at + 12] = struct.pack(">I", min(size, 0xFFFFFFFF))
    stream.pieces[:1] = [bytes(data), (first[0] + frame.size, first[1])]
