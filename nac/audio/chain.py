"""Several pieces of audio, one behind the other in a file, as one; and what a file has that could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

import numpy as np

from nac.arrays import Samples
from nac.audio.common import Backend, warn, warn_incomplete
from nac.audio.resample import Resampler
from nac.errors import AudioError

Opener = Callable[[], Backend]


class ChainSource:
    """Links read one after the other, in the sample rate and channels of the first; see `Backend`.

    What cannot be read of a link is left out with an `IncompleteAudioWarning`.

    Args:
        name: Of the file, for messages.
        links: Each opens one; asked for, and called, when its turn comes.
        stream: Closed at the end.
        expected: About how many samples there are in all, if that is known.

    Raises:
        AudioError: The first link cannot be opened; when reading, if no link has anything that can be read.
    """

    def __init__(self, name: str, links: Iterable[Opener], stream: BinaryIO, expected: int | None = None) -> None:
        self._name, self._links, self._stream = name, iter(links), stream
        self._number, self._given = 1, 0
        self._failure: AudioError | None = None
        self._held: Samples | None = None
        self._link: Backend | None = next(self._links)()
        self._resampler: Resampler | None = None
        self.sample_rate, self.channels = self._link.sample_rate, self._link.channels
        self.frames: int | None = None
        self.expected = expected

    def read(self, samples: int) -> Samples:
        """`[channels, up to n]` samples, none at the end."""
        part = self._next_part(samples) if self._held is None else self._held
        # The end of a rate conversion may be more than was asked for.
        self._held = part[:, samples:] if part.shape[1] > samples else None
        return part[:, :samples]

    def _next_part(self, samples: int) -> Samples:
        while self._link is not None:
            try:
                part = self._link.read(samples)
            except AudioError as error:
                self._tell(error)
                part = np.zeros((self._link.channels, 0), np.float32)
            is_end = part.shape[1] == 0
            part = self._converted(part, is_end)
            if is_end:
                self._next()
            if part.shape[1]:
                self._given += part.shape[1]
                return part
        if self._failure is not None and not self._given:
            raise self._failure
        return np.zeros((self.channels, 0), np.float32)

    def _converted(self, part: Samples, is_end: bool) -> Samples:
        if part.shape[0] != self.channels:
            part = part.mean(0, keepdims=True) if self.channels == 1 else np.repeat(part, self.channels, 0)
        if self._resampler is None:
            return part
        out = self._resampler.push(part)
        return np.concatenate([out, self._resampler.flush()], 1) if is_end else out

    def _next(self) -> None:
        """Open the next link that can be opened."""
        self._close()
        for opener in self._links:
            self._number += 1
            try:
                link = opener()
                if link.channels not in (1, self.channels) and self.channels != 1:
                    link.close()
                    raise AudioError(f"it has {link.channels} channels, unlike those before")
            except AudioError as error:
                self._tell(error)
                continue
            self._link, self._resampler = link, None
            if (link.sample_rate, link.channels) != (self.sample_rate, self.channels):
                warn(
                    f"{self._name}: part {self._number}, with {link.channels} channel(s) at {link.sample_rate} Hz, is "
                    f"converted to the {self.channels} at {self.sample_rate} Hz of the first"
                )
                if link.sample_rate != self.sample_rate:
                    self._resampler = Resampler(link.sample_rate, self.sample_rate, self.channels)
            return

    def _tell(self, error: AudioError) -> None:
        self._failure = error
        warn_incomplete(f"{self._name}: part {self._number} cannot be read ({error})")

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None

    def close(self) -> None:
        """Close the link that is open, and the stream."""
        self._close()
        self._stream.close()
