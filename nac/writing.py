"""What a reader has, through an encoder, to where it goes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from nac.audio import AudioReader
from nac.stream import StreamEncoder

#: Called with the seconds of audio that are done.
Progress = Callable[[float], None]


def encoded(reader: AudioReader, stream: StreamEncoder, progress: Progress | None) -> Iterator[bytes]:
    """Encode what a reader has.

    Args:
        reader: of the audio.
        stream: the encoder.
        progress: called with the seconds of audio read so far.

    Yields:
        Bytes of the file, without its end block.
    """
    yield from _pushed(reader, stream, progress)
    yield stream.finish()


def _pushed(reader: AudioReader, stream: StreamEncoder, progress: Progress | None) -> Iterator[bytes]:
    meta = stream.metadata
    # Pieces far shorter than a block, so that no block waits long for the last of its samples: a quarter, up to 250 ms.
    quarters = min(meta.block_frames, meta.frame_rate)
    for samples in reader.blocks(max(1, reader.sample_rate * quarters // (4 * meta.frame_rate))):
        yield stream.push(samples)
        if progress is not None:
            progress(stream.samples / meta.sample_rate)


def write_live(reader: AudioReader, stream: StreamEncoder, out: BinaryIO, progress: Progress | None) -> None:
    """Encode what a reader has, and write what somebody may be waiting for as soon as it is ready.

    Args:
        reader: of the audio.
        stream: the encoder.
        out: flushed after every piece.
        progress: called with the seconds of audio read so far.
    """
    nothing = np.zeros((reader.channels, 0), np.float32)
    head = stream.push(nothing)  # before the audio, which may take its time
    for piece in itertools.chain([head], _pushed(reader, stream, progress)):
        if piece:
            out.write(piece)
            out.flush()
    # Together, so that a live decoder knows the end when it has the last frames.
    out.write(stream.flush())
    out.flush()
