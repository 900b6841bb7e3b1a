"""Codecs that are command-line programs, where these are installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from nac.arrays import Samples
from nac.audio import AudioWriter
from nac.errors import AudioError
from nac.evaluation.clips import load_audio, mono, same_rate
from nac.evaluation.codecs.base import Rates

TOOL_SECONDS = 600  # after which a tool is taken to hang


@dataclass(frozen=True)
class Tool:
    """A codec that is a pair of command-line programs.

    In the commands `{source}` and `{target}` are the files, `{bps}` the bits a second, `{kbps}` the same in thousands,
    `{rate}` the original's sample rate. `suffix` is that of the coded file. The input is a 16-bit WAV file, at
    `input_rate` Hz where the coder needs one, mono where it knows no more; `raw` stands for headerless samples.
    `package` is the Debian package that has the programs.
    """

    name: str
    encoder: tuple[str, ...]
    decoder: tuple[str, ...]
    suffix: str
    rates: Rates
    package: str
    version: tuple[str, ...]
    input_rate: int | None = None
    mono: bool = False
    raw: bool = False
    lossless: bool = False

    def missing(self) -> str | None:
        absent = sorted({command[0] for command in (self.encoder, self.decoder) if shutil.which(command[0]) is None})
        if not absent:
            return None
        return f"{' and '.join(absent)} not found (Debian package {self.package})"

    def identity(self) -> str:
        return f"{' '.join(self.encoder)} {' '.join(self.decoder)} {_version(self.version)} {self.input_rate}"

    def prepare(self) -> None:
        pass

    def encode(self, audio: Samples, sample_rate: int, kbps: float, folder: Path) -> bytes:
        source, target = folder / ("in.raw" if self.raw else "in.wav"), folder / f"coded.{self.suffix}"
        audio, rate = mono(audio) if self.mono else audio, self.input_rate or sample_rate
        audio = same_rate(audio, sample_rate, rate)
        if self.raw:
            source.write_bytes(np.clip(np.round(audio[0] * 32768), -32768, 32767).astype("<i2").tobytes())
        else:
            with AudioWriter(source, rate, len(audio), subtype="pcm16") as writer:
                writer.write(audio)
        self._run(self.encoder, source, target, kbps, sample_rate)
        return target.read_bytes()

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Samples, int]:
        source, target = folder / f"coded.{self.suffix}", folder / ("out.raw" if self.raw else "out.wav")
        source.write_bytes(data)
        self._run(self.decoder, source, target, 0, sample_rate)
        if not self.raw:
            return load_audio(target)
        samples = np.frombuffer(target.read_bytes(), "<i2").astype(np.float32) / np.float32(32768)
        return samples[None], self.input_rate or sample_rate

    def filled(self, command: tuple[str, ...], source: Path, target: Path, kbps: float, sample_rate: int) -> list[str]:
        """`command`, the tool's encoder or decoder, with the values in their places."""
        values = {
            "source": str(source),
            "target": str(target),
            "bps": str(round(kbps * 1000)),
            "kbps": f"{kbps:g}",
            "rate": str(sample_rate),
        }
        return [part.format(**values) for part in command]

    def _run(self, command: tuple[str, ...], source: Path, target: Path, kbps: float, sample_rate: int) -> None:
        filled = self.filled(command, source, target, kbps, sample_rate)
        try:
            done = subprocess.run(filled, capture_output=True, text=True, errors="replace", timeout=TOOL_SECONDS)
        except subprocess.TimeoutExpired:
            raise AudioError(f"{command[0]} did not finish within {TOOL_SECONDS} s") from None
        if done.returncode != 0 or not target.is_file():
            output = " ".join((done.stderr or done.stdout).split())[-200:]
            raise AudioError(f"{self.name} at {kbps:g} kbps failed: {output or f'exit code {done.returncode}'}")


def _ffmpeg(*options: str) -> tuple[str, ...]:
    return ("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", "{source}", *options, "{target}")


_FFMPEG_VERSION = ("ffmpeg", "-version")
_FFMPEG_DECODE = _ffmpeg("-c:a", "pcm_f32le")

# Laid out as a table, by hand.
TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        # Without its 512 bytes of padding for later comments, which would count as bit rate in short clips.
        Tool("opus", ("opusenc", "--quiet", "--serial", "0", "--padding", "0", "--bitrate", "{kbps}", "{source}",
                      "{target}"),
             ("opusdec", "--quiet", "--rate", "{rate}", "{source}", "{target}"), "opus",
             (6, 8, 12, 16, 24), "opus-tools", ("opusenc", "--version")),
        Tool("mp3", ("lame", "--quiet", "-b", "{kbps}", "{source}", "{target}"),
             ("lame", "--quiet", "--decode", "{source}", "{target}"), "mp3",
             (16, 24, 32), "lame", ("lame", "--version")),
        Tool("aac", _ffmpeg("-c:a", "aac", "-b:a", "{bps}", "-bitexact"), _FFMPEG_DECODE, "m4a",
             (16, 24, 32), "ffmpeg", _FFMPEG_VERSION),
        Tool("vorbis", _ffmpeg("-c:a", "libvorbis", "-b:a", "{bps}", "-bitexact"), _FFMPEG_DECODE, "ogg",
             (24, 32), "ffmpeg", _FFMPEG_VERSION),
        Tool("speex", ("speexenc", "--wideband", "--bitrate", "{bps}", "{source}", "{target}"),
             ("speexdec", "{source}", "{target}"), "spx",
             (4, 5.8, 7.8, 9.8, 12.8, 16.8), "speex", ("speexenc", "--version"), input_rate=16000, mono=True),
        # c2dec wants a mode but goes by the one in the file's header.
        Tool("codec2", ("c2enc", "{bps}", "{source}", "{target}"), ("c2dec", "3200", "{source}", "{target}"), "c2",
             (1.2, 1.6, 2.4, 3.2), "codec2", ("c2enc",), input_rate=8000, mono=True, raw=True),
        Tool("flac", ("flac", "--silent", "--best", "--no-padding", "-o", "{target}", "{source}"),
             ("flac", "--silent", "--decode", "-o", "{target}", "{source}"), "flac",
             (0,), "flac", ("flac", "--version"), lossless=True),
    )
}  # fmt: skip


@lru_cache(maxsize=64)
def _version(command: tuple[str, ...]) -> str:
    """What a tool says of itself, its first lines: the programs differ in how, but not from call to call."""
    if shutil.which(command[0]) is None:
        return "missing"
    done = subprocess.run(list(command), capture_output=True, text=True, errors="replace", timeout=TOOL_SECONDS)
    return " ".join((done.stdout + done.stderr).split()[:16])
