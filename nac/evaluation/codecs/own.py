"""This codec, behind the surface of all codecs that are measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nac
from nac.arrays import Samples
from nac.errors import OptionError
from nac.evaluation.codecs.base import Rates, file_hash


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

    def encode(self, audio: Samples, sample_rate: int, kbps: float, folder: Path) -> bytes:
        if kbps != int(kbps):
            raise OptionError(f"nac codes at whole kbps, not at {kbps:g}")
        return _load_nac(self.weights).encode(audio, sample_rate, kbps=int(kbps), effort=self.effort)

    def decode(self, data: bytes, sample_rate: int, folder: Path) -> tuple[Samples, int]:
        return _load_nac(self.weights).decode(data)


@lru_cache(maxsize=1)
def source_hash() -> str:
    """A hash of the code of this package that makes and reads files, so that a change of it is a new codec."""
    root = Path(nac.__file__).parent
    digest = hashlib.sha256()
    files = sorted(root.glob("*.py"))
    for part in ("audio", "format", "models"):
        files += sorted((root / part).rglob("*.py"))
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=4)
def _load_nac(weights: str | None) -> nac.codec.Codec:
    from nac.codec import Codec as NacCodec

    return NacCodec.load(weights, threads=1)
