"""Plain samples, of a WAV file or without any header, read front to back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from nac.arrays import Samples
from nac.audio.chain import Opener
from nac.audio.common import warn, warn_incomplete
from nac.audio.wav import UnsupportedWavError, WavLayout, next_wav, to_float
from nac.errors import AudioError


class WavSource:
    """Samples as a WAV header describes them; see `Backend`.

    Args:
        name: Of the file, for messages.
        stream: At the first sample.
        layout: What the header says.
        available: Bytes from there to the end of a file; None for a pipe.
        owns: Whether closing closes the stream.
    """

    def __init__(
        self, name: str, stream: BinaryIO, layout: WavLayout, available: int | None, owns: bool = True
    ) -> None:
        self._name, self._stream, self._layout, self._owns = name, stream, layout, owns
        self.sample_rate, self.channels = layout.sample_rate, layout.channels
        self._remaining = layout.data_bytes
        self.expected = None if self._remaining is None else self._remaining // layout.frame_bytes
        self.frames: int | None = None
        if available is not None:
            if self._remaining is not None and self._remaining > available:
                self._warn_short()
            self._remaining = available if self._remaining is None else min(available, self._remaining)
            self.frames = self.expected = self._remaining // layout.frame_bytes

    def read(self, samples: int) -> Samples:
        """`[channels, up to n]` samples, none at the end."""
        size = samples * self._layout.frame_bytes
        if self._remaining is not None:
            size = min(size, self._remaining)
        data = self._stream.read(size)
        if self._remaining is not None:
            self._remaining -= len(data)
            if len(data) < size:
                self._warn_short()
                self._remaining = 0
        whole = len(data) - len(data) % self._layout.frame_bytes
        return to_float(data[:whole], self._layout)

    def finish(self) -> None:
        """Read on to the end of the samples and of the byte that makes their number even."""
        while self.read(1 << 16).shape[1]:
            pass
        if self._layout.data_bytes is not None and self._layout.data_bytes % 2:
            self._stream.read(1)

    def _warn_short(self) -> None:
        warn(f"{self._name} ends before the {self.expected} samples that its header announces; it may be cut off")

    def close(self) -> None:
        """Close the stream, if it belongs to this source."""
        if self._owns:
            self._stream.close()


def wav_links(name: str, stream: BinaryIO, layout: WavLayout) -> Iterator[Opener]:
    """What opens the WAV files that follow each other in a pipe; each asked for when the one before is read."""
    following: WavLayout | None = layout
    while following is not None:
        source = WavSource(name, stream, following, None, owns=False)
        yield lambda source=source: source  # type: ignore[misc]
        if following.data_bytes is None:
            return
        source.finish()
        following = read_behind(name, stream)


def read_behind(name: str, stream: BinaryIO) -> WavLayout | None:
    """The next WAV file behind the samples of one, with the stream at its samples; None if that is the end."""
    try:
        following, unread = next_wav(stream)
    except (AudioError, UnsupportedWavError) as error:
        warn_incomplete(f"{name}: behind its samples there are others that cannot be read ({error or 'compressed'})")
        return None
    if unread:
        warn_incomplete(f"{name}: {unread:,} bytes behind the samples that its header announces are not read")
    return following
