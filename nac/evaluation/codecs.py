"""Codecs to be measured, all behind one small surface: `encode` to the bytes of a file, `decode` back to samples.

nac itself, and the command-line tools that are installed; the neural peers are in `neural_codecs`. Nothing is ever
downloaded: a codec whose tool, package or weights are missing says so and is skipped.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

import nac
from nac.audio import AudioWriter
from nac.errors import AudioError, OptionError
from nac.evaluation.clips import Audio, load_audio, mono, same_rate

Rates = tuple[float, ...]
TOOL_SECONDS = 600  # after which a tool is taken to hang


class Codec(Protocol):
    """What the sweep needs to know of a codec. Instances are small, hashable and can be sent to other processes."""

    @property
    def name(self) -> str:
        """Shown in tables and charts; no two codecs of a sweep share it."""

    @property
    def rates(self) -> Rates:
        """kbps that are tried unless others are asked for."""

    @property
    def lossless(self) -> bool:
        """Whether only the size matters: what comes back is equal, and is not scored."""

    def missing(self) -> str | None:
        """One line on what must be installed, None if nothing is missing."""

    def identity(self) -> str:
        """Version and weights: two codecs of equal identity make equal files."""

    def prepare(self) -> None:
        """Load what is kept for all clips, so that it does not count as time of the first."""

    def encode(self, audio: Audio, sample_rate: int, kbps: float, folder: Path) -> bytes:
        """`[channels, samples]` to the bytes of a file. `folder` is empty and may be written to."""

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Audio, int]:
        """The file back to `[channels, samples]` and their rate; `sample_rate` is the rate the original had."""


@dataclass(frozen=True)
class Nac:
    """This codec. `weights`: a weights file (None: the packaged ones); `effort` as `nac encode --effort`."""

    weights: str | None = None
    effort: str = "default"
    lossless: bool = False

    @property
    def name(self) -> str:
        """`nac`, with the weights file and the effort where they are not the usual ones."""
        parts = [Path(self.weights).stem] if self.weights else []
        parts += [self.effort] if self.effort != "default" else []
        return f"nac ({', '.join(parts)})" if parts else "nac"

    @property
    def rates(self) -> Rates:
        return (1, 2, 3, 6, 9, 12, 18, 24)

    def missing(self) -> str | None:
        if self.weights is not None and not Path(self.weights).is_file():
            return f"there is no weights file {self.weights}"
        return None

    def identity(self) -> str:
        from nac.packaged import default_weights

        path = Path(self.weights) if self.weights else default_weights()
        return f"nac {source_hash()} {file_hash(path)} {self.effort}"

    def prepare(self) -> None:
        _load_nac(self.weights)

    def encode(self, audio: Audio, sample_rate: int, kbps: float, folder: Path) -> bytes:
        if kbps != int(kbps):
            raise OptionError(f"nac codes at whole kbps, not at {kbps:g}")
        return _load_nac(self.weights).encode(audio, sample_rate, kbps=int(kbps), effort=self.effort)

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Audio, int]:
        return _load_nac(self.weights).decode(data)


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

    def encode(self, audio: Audio, sample_rate: int, kbps: float, folder: Path) -> bytes:
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

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Audio, int]:
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
            said = " ".join((done.stderr or done.stdout).split())[-200:]
            raise AudioError(f"{self.name} at {kbps:g} kbps failed: {said or f'exit code {done.returncode}'}")


def _ffmpeg(*options: str) -> tuple[str, ...]:
    return ("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", "{source}", *options, "{target}")


_FFMPEG_VERSION = ("ffmpeg", "-version")
_FFMPEG_DECODE = _ffmpeg("-c:a", "pcm_f32le")

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


def known_codecs() -> dict[str, Codec]:
    """Every codec by name, installed or not."""
    from nac.evaluation.neural_codecs import NEURAL

    return {"nac": Nac(), **TOOLS, **NEURAL}


def parse_codecs(specs: Iterable[str]) -> list[tuple[Codec, Rates]]:
    """Codecs with their bit rates from texts `NAME` or `NAME:KBPS,KBPS`; without rates, the codec's usual ones.

    Raises `OptionError` for a name that is no codec or a rate that is no number above 0.

    >>> [(codec.name, rates) for codec, rates in parse_codecs(["opus:6,12", "flac"])]
    [('opus', (6.0, 12.0)), ('flac', (0,))]
    """
    known = known_codecs()
    out = []
    for spec in specs:
        name, _, listed = spec.partition(":")
        if name not in known:
            raise OptionError(f"no such codec: {name}; there are {', '.join(known)}")
        out.append((known[name], parse_rates(listed) if listed else known[name].rates))
    return out


def parse_rates(text: str) -> Rates:
    """Bit rates in kbps from a text such as `6,12`. Raises `OptionError` if they are no numbers above 0."""
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < 10_000 for rate in rates):
        raise OptionError(f"{text!r} is no list of bit rates; write for example 6,12")
    return rates


@lru_cache(maxsize=1)
def source_hash() -> str:
    """A hash of the code of this package that makes and reads files, so that a change of it is a new codec."""
    root = Path(nac.__file__).parent
    digest = hashlib.sha256()
    for part in (root, root / "audio", root / "format", root / "models"):
        for file in sorted(part.glob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=64)
def _version(command: tuple[str, ...]) -> str:
    """What a tool says of itself, its first lines: the programs differ in how, but not from call to call."""
    if shutil.which(command[0]) is None:
        return "missing"
    done = subprocess.run(list(command), capture_output=True, text=True, errors="replace", timeout=TOOL_SECONDS)
    return " ".join((done.stdout + done.stderr).split()[:16])


@lru_cache(maxsize=16)
def file_hash(path: Path) -> str:
    """The start of the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _load_nac(weights: str | None) -> nac.codec.Codec:
    from nac.codec import Codec as NacCodec

    return NacCodec.load(weights, threads=1)
