"""What libsndfile does not know (m4a, aac, webm ...), by way of ffmpeg where it is installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from typing import BinaryIO, cast

from nac.arrays import Samples
from nac.audio.common import warn, warn_incomplete
from nac.audio.wav import read_wav_header
from nac.audio.wav_source import WavSource
from nac.errors import AudioError

# Containers of sound and of pictures with sound. Never playlists and the like, which name other files to be opened.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,loas,"
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,ogg,rm,shn,tak,truehd,tta,w64,wav,wv"
)


def has_ffmpeg() -> bool:
    """Whether the program is on the PATH."""
    return shutil.which("ffmpeg") is not None


class FfmpegSource:
    """The first sound track of a file, decoded by a process of ffmpeg; see `Backend`. Closes the stream.

    Args:
        name: Of the file, for messages.
        stream: The file; it must not be moved by others meanwhile.
        path: Where it lies, if it is a file of its own and all of it is meant; the process then opens it itself, which
            formats with an index at the end need.

    Raises:
        AudioError: ffmpeg cannot read it.
    """

    def __init__(self, name: str, stream: BinaryIO, path: str | None = None) -> None:
        self._name, self._stream = name, stream
        self._feeder: threading.Thread | None = None
        self._errors = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed with the source
        limits = ["-protocol_whitelist", "file,pipe", "-format_whitelist", _CONTAINERS]
        descriptors: tuple[int, ...] = ()
        if path is None and os.path.exists("/dev/fd"):
            with contextlib.suppress(OSError):
                descriptors = (stream.fileno(),)
                stream.seek(0)
                path = f"/dev/fd/{stream.fileno()}"
        source = "pipe:0" if path is None else f"file:{os.path.abspath(path)}"
        command = ["ffmpeg", "-v", "error", *([] if path is None else ["-nostdin"]), *limits, "-i", source]
        command += ["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if path is not None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=descriptors,
        )
        if path is None:
            self._feeder = threading.Thread(target=self._feed, daemon=True)
            self._feeder.start()
        assert self._process.stdout is not None
        try:
            layout = read_wav_header(cast(BinaryIO, self._process.stdout))
        except Exception as error:
            reason = self._reason() or error
            self.close()
            raise AudioError(f"{name} cannot be read, not with ffmpeg either ({reason})") from None
        self._source = WavSource(name, cast(BinaryIO, self._process.stdout), layout, None)
        self.sample_rate, self.channels = self._source.sample_rate, self._source.channels
        self.frames: int | None = None
        self.expected: int | None = None

    def _feed(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._stream.seek(0)
            shutil.copyfileobj(self._stream, self._process.stdin, 1 << 16)
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def read(self, samples: int) -> Samples:
        """`[channels, up to n]` samples, none at the end."""
        block = self._source.read(samples)
        if block.shape[1] == 0 and self._process.returncode is None:
            if self._process.wait() != 0:
                warn_incomplete(f"{self._name} cannot be read to its end ({self._reason()})")
            elif reason := self._reason():
                warn(f"{self._name}: ffmpeg says: {reason}")
        return block

    def _reason(self) -> str:
        """The last line that the process wrote, without the address of a part of it."""
        self._errors.seek(0)
        lines = self._errors.read(1 << 16).decode(errors="replace").strip().splitlines()
        return lines[-1].rpartition("] ")[2].strip().rstrip(".") if lines else ""

    def close(self) -> None:
        """End the process and close the stream."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._feeder is not None:
            self._feeder.join()
        self._errors.close()
        self._stream.close()
