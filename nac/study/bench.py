"""Trained systems as codecs of the evaluation, so that one sweep measures them beside nac and all the others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nac.arrays import Samples
from nac.study.coder import Coder, load_coder

MODEL = "model.safetensors"
#: The modules of the bench that decide what a system codes.
CODING = (
    "autoencoders",
    "circle",
    "coder",
    "config",
    "losses",
    "quantize",
    "representations",
    "spectrum",
    "system",
    "vector",
    "wave",
)


@dataclass(frozen=True)
class Trained:
    """A system in its folder, behind the surface of `nac.evaluation.codecs.Codec`.

    Its `rates` are not kbps but the settings of the system (bits, or stages of codebooks): the true bit rate is that of
    the files. `phase`: another way to come by the phase than the system's own.
    """

    name: str
    folder: str
    rates: tuple[float, ...]
    phase: str | None = None
    lossless: bool = False

    def _coder(self) -> Coder:
        return _load(self.folder, _stamp(self.folder), self.phase)

    def missing(self) -> str | None:
        return None if (Path(self.folder) / MODEL).is_file() else f"{self.folder} holds no trained system"

    def identity(self) -> str:
        return f"study {_source_hash()} {self._coder().fingerprint:08x}"

    def prepare(self) -> None:
        self._coder()

    def encode(self, audio: Samples, sample_rate: int, kbps: float, folder: Path) -> bytes:
        return self._coder().compress(audio, sample_rate, int(kbps))

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Samples, int]:
        return self._coder().decompress(data)


@lru_cache(maxsize=2)
def _load(folder: str, stamp: int, phase: str | None) -> Coder:
    """`stamp`: when the file was written, so that a system trained anew is read anew."""
    return load_coder(Path(folder) / MODEL, phase)


def _stamp(folder: str) -> int:
    path = Path(folder) / MODEL
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=1)
def _source_hash() -> str:
    """A hash of the code that codes: when it changes, the systems are other codecs, and are judged anew."""
    digest = hashlib.sha256()
    for name in CODING:
        digest.update(name.encode() + b"\0" + Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]
