"""Breaks `.nac` files in every way, and tells whether the reader noticed: for tests and for scripts/fuzz_format.py.

A string of bytes is a program: the first byte chooses a file, each five bytes after it one change.
"""

import contextlib
import io
import zlib
from dataclasses import replace
from functools import lru_cache

import numpy as np

from nac.errors import NacError
from nac.format.blocks import Block, BlockReader
from nac.format.check import check
from nac.format.edit import concatenate, reduce, trim
from nac.format.header import HEADER_BYTES, header_bytes, read_header
from nac.format.layout import ENTROPY, ENTROPY_CODINGS, ENTROPY_WHOLE
from nac.format.scan import Damage, block_checksum
from tests.format.entropy_tools import coded, likely_codes
from tests.format.format_files import META, Pipe, make, problems, same_codes
from tests.format.tables import FEW, LIBRARY, MANY, SMALL

STEREO = replace(META, channels=2, kbps=2, codebooks=5, block_frames=7, tags=(("a", "b"),))
LOWEST = replace(META, kbps=1, codebooks=1, bits=1, block_frames=2, samples=20_000)
CODED = coded(replace(META, kbps=2, codebooks=4, block_frames=4, samples=7000), FEW, ENTROPY_WHOLE)
SMALL_META = replace(META, kbps=1, codebooks=2, bits=4, block_frames=3, samples=8000)
CODED_SMALL = coded(SMALL_META, SMALL, ENTROPY_WHOLE)
CODED_STEREO = coded(replace(STEREO, bits=4, block_frames=5, samples=9000), SMALL, ENTROPY_WHOLE)
SECTIONS = coded(replace(META, frame_rate=100, bits=5, kbps=13, codebooks=26, block_frames=6, samples=8000), MANY)
SECTIONS_STEREO = replace(SECTIONS, channels=2, kbps=7, codebooks=14, samples=None, tags=(("a", "b"),))
BASES = (
    (META, 24000, (0,)),
    (replace(META, samples=None), 24000, (0,)),
    (STEREO, 24000, (0, 2, 255)),
    (replace(STEREO, samples=None, sample_rate=44100), 33_333, (1, 3, 4)),
    (LOWEST, 20_000, (0,)),
    (replace(LOWEST, samples=None), 20_000, (0,)),
    (replace(META, samples=0), 0, (0,)),
    (replace(META, samples=None), 0, (0,)),
    (replace(META, samples=24_000 * 8, codebooks=2, kbps=1), 24_000 * 8, (0,)),
    (CODED, 7000, (0,)),
    (replace(CODED_SMALL, samples=None), 8000, (0,)),
    (CODED_STEREO, 9000, (0, 1, 255)),
    (replace(CODED_STEREO, samples=None), 9000, (0, 2)),
    (SECTIONS, 8000, (0,)),
    (SECTIONS_STEREO, 9000, (0, 3, 255)),
    (replace(CODED, coding=ENTROPY), 7000, (0,)),
)
"""Inputs name a file by its place here, up to a multiple of their number: new ones go to the end, and the inputs in
`found` name theirs by a number below all lengths the list has had."""
NOISE_EVERY = 3
"""Of the blocks of an entropy coded file, each so many-th has codes that the tables make unlikely, and so is packed;
where there are sections, the next one has them from the fourth codebook of a channel on."""


def base(number):
    """The file that a number from 0 to 255 chooses."""
    return _made(number % len(BASES))


@lru_cache
def _made(number):
    meta, samples, lags = BASES[number]
    tables = {tables.bits: tables for tables in (FEW, SMALL, MANY)}.get(meta.bits)

    def draw(codebooks, frames, block):
        noise = np.random.default_rng(block).integers(0, 1 << meta.bits, (codebooks, frames), dtype=np.uint16)
        codes = likely_codes(tables, max(codebooks, 1), frames, f"{number} {block} {codebooks}")[:codebooks]
        likely = {1: 0, 2: 3 if meta.coding == ENTROPY else codebooks}.get(block % NOISE_EVERY, codebooks)
        return np.concatenate([codes[:likely], noise[likely:]])

    return make(meta, seed=number, samples=samples, lags=lags, draw=draw if meta.coding in ENTROPY_CODINGS else None)


def changes(program):
    """(operation, place, size, value) for each five bytes."""
    for start in range(1, len(program) - 4, 5):
        kind, high, low, size, value = program[start : start + 5]
        yield kind % 15, high << 8 | low, size + 1 if size < 240 else (size - 239) * 400, value


def mutate(program):
    """(the file chosen, its changed bytes, whether any checksum was made to fit a change)."""
    made = base(program[0] if program else 0)
    data = bytearray(made.data)
    signed = False
    for kind, place, size, value in changes(program):
        # Places as fractions of the file, but exact near its start, where the header is.
        at = place - 0xFF00 if place >= 0xFF00 else place * len(data) // 0xFF00
        at = min(at, len(data))
        other = value * len(data) // 256
        if kind == 0 and at < len(data):
            data[at] ^= 1 << value % 8
        elif kind == 1 and at < len(data):
            data[at] = value
        elif kind == 2:
            data[at:at] = bytes([value]) * size
        elif kind == 3:
            data[at:at] = np.random.default_rng(value).bytes(size)
        elif kind == 4:
            del data[at : at + size]
        elif kind == 5:
            data[at:at] = data[other : other + size]
        elif kind == 6:
            data[at : at + size] = data[other : other + size]
        elif kind == 7:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 8:
            del data[at:]
        elif kind == 9:
            data += made.data[other : other + size]
        elif kind == 10:
            signed = sign_header(data) or signed
        elif kind == 11:
            signed = sign_block(data, made, value) or signed
        elif len(made.blocks) > 1:
            start, end = made.position(value % len(made.blocks)), made.position(value % len(made.blocks) + 1)
            if kind == 12:  # blocks lost
                del data[start:end]
            elif kind == 13:  # a block repeated or out of order
                data[start:start] = made.data[made.position(size % len(made.blocks)) :][: end - start]
            elif kind == 14:  # a block in the place of another
                data[start:end] = made.data[made.position(size % len(made.blocks)) :][: end - start]
    return made, bytes(data), signed


def sign_header(data):
    """Make the checksum of the metadata right again."""
    end = HEADER_BYTES + int.from_bytes(data[4:8], "big")
    if end - 4 < HEADER_BYTES or end > len(data):
        return False
    data[end - 4 : end] = zlib.crc32(data[: end - 4]).to_bytes(4, "big")
    return True


def sign_block(data, made, number):
    """Make the checksum of a block right again, as if it were where it was (or that of the end block)."""
    index = number % (len(made.blocks) + 1)
    if not made.blocks:
        return False
    start = made.position(index) if index < len(made.blocks) else len(data) - 10
    end = made.position(index + 1) if index + 1 < len(made.blocks) else len(data)
    if start < 0 or end > len(data) or end - start < 5:
        return False
    data[end - 4 : end] = block_checksum(index, bytes(data[start : end - 4])).to_bytes(4, "big")
    return True


def verdict(program):
    """What is wrong with how a changed file is read: "" if nothing. Raises what the package raises wrongly."""
    made, data, signed = mutate(program)
    place = int.from_bytes(program[-2:], "big")
    results = [read_all(stream) for stream in (io.BytesIO(data), Pipe(data, 1 + place % 997))]
    ahead = read_all(io.BytesIO(data), ahead=1 + place % 5)
    fed = feed_all(data, 1 + place % 997, ahead=place % 6)
    for function, source, *arguments in (
        (reduce, io.BytesIO(data), 1),
        (reduce, io.BytesIO(data), 2 + place % 11),
        (trim, io.BytesIO(data), place % 50 / 40),
        (concatenate, [io.BytesIO(data), io.BytesIO(made.data)]),
    ):
        target = io.BytesIO()
        with contextlib.suppress(NacError):
            function(source, target, *arguments, tables=LIBRARY)
            target.seek(0)
            if not check(target).intact:
                return f"{function.__name__} makes a damaged file"
    if (results[0] is None) != (results[1] is None) or not same_items(*results):
        return "a pipe is read unlike a file"
    items = results[0]
    if (items is None) != (ahead is None) or not same_items(items, ahead):
        return "reading ahead changes what is read"
    if (items is None) != (fed is None) or not same_items(items, fed):
        return "what is fed is read unlike a file"
    if items is None:
        return "" if data != made.data else "a sound file is refused"
    report = check(io.BytesIO(data))
    damaged = any(isinstance(item, Damage) for item in items)
    # What is checked without decoding: whether a payload can be codes is seen when it is read.
    undecodable = signed and made.meta.coding in ENTROPY_CODINGS and damaged and report.intact
    if (report.intact == damaged and not undecodable) or report.frames != sum(item.frames for item in items):
        return "the check says something else than the reader"
    if report.total_bytes != len(data):
        return f"the check counts {report.total_bytes} of {len(data)} bytes"
    if signed:
        return ""  # the change was made to look right
    if damaged == (data == made.data):
        return "the change is not noticed" if data != made.data else "damage in a sound file"
    return problems(made, items) or seek_verdict(made, data, place)


def read_all(stream, ahead=0):
    """The items of a file, None if it is refused."""
    try:
        return list(BlockReader(stream, read_header(stream), ahead, LIBRARY))
    except NacError:
        return None


def feed_all(data, step, ahead=0):
    """As `read_all`, of bytes that are fed, so many at a time."""
    try:
        size = header_bytes(data)
        reader = BlockReader(None, read_header(io.BytesIO(data[:size])), ahead, LIBRARY)
    except NacError:
        return None
    items = []
    for start in range(size, len(data), step):
        reader.feed(data[start : start + step])
        items += reader
    reader.feed(b"")
    return items + list(reader)


def same_items(one, other):
    for a, b in zip(one or [], other or [], strict=True):
        if isinstance(a, Block) and isinstance(b, Block):
            if (a.index, a.side_lag) != (b.index, b.side_lag) or not same_codes(a.codes, b.codes):
                return False
        elif a != b:
            return False
    return True


def seek_verdict(made, data, place):
    """Seeking must come to the frame, and what follows must be right as well."""
    frame = place % (made.frames + 1)
    stream = io.BytesIO(data)
    reader = BlockReader(stream, read_header(stream), tables=LIBRARY)
    try:
        first = reader.seek(frame)
    except NacError:  # the frame is lost with the end of a file of unknown length
        return "" if made.meta.samples is None else f"no way to frame {frame}"
    items = list(reader)
    if first > frame or (frame < made.frames and made.meta.samples is not None and not items):
        return f"seeking to {frame} came to {first}"
    return problems(made, [Damage(0, 0, first, "not read"), *items])
