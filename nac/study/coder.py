"""A trained system as a codec: sound to bytes and back, and the file that it is kept in.

A coded file is a header of 14 bytes (magic `NST`, version, fingerprint of the system, setting, whether the payload is
deflated, number of samples), the payload, and a CRC-32 of all before it. Its size over the duration is the true bit
rate.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nac.errors import AudioError, DamagedError, FormatError, OptionError, WeightsError
from nac.evaluation.clips import same_rate
from nac.files import replacing
from nac.study.config import SystemConfig
from nac.study.quantize import deflate, inflate, pack, unpack
from nac.study.system import System, make_system

HEADER = struct.Struct(">3sBIBBI")
MAGIC, VERSION = b"NST", 1
CHECK = struct.Struct(">I")
LONGEST = 1 << 26  # samples of a coded file, over an hour: the whole of it is held in memory, as a spectrum
FORMAT = "nac-study-1"


class Coder:
    """A trained system, ready to code. Sound is mixed to one channel and brought to the system's rate."""

    def __init__(self, system: System) -> None:
        self.system = system.eval()
        digest = zlib.crc32(system.config.to_json().encode())
        for value in system.state_dict().values():
            digest = zlib.crc32(value.numpy().tobytes(), digest)
        self.fingerprint = digest

    @property
    def sample_rate(self) -> int:
        """Hz of what `decompress` gives."""
        return self.system.config.sample_rate

    def compress(self, audio: npt.NDArray[np.floating], sample_rate: int, setting: int | None = None) -> bytes:
        """Code samples.

        Args:
            audio: `[channels, samples]` or `[samples]`.
            sample_rate: In Hz.
            setting: One of the config's `settings`; None for the largest.

        Returns:
            The bytes of a file.

        Raises:
            AudioError: another shape, values that are not finite, or too long.
            OptionError: no such setting.
        """
        config = self.system.config
        setting = config.settings[-1] if setting is None else setting
        if setting not in config.settings:
            listed = ", ".join(map(str, config.settings))
            raise OptionError(f"{config.name} has no setting {setting}; there are {listed}")
        x = self.samples(audio, sample_rate)
        parts = self.system.parts(len(x), setting) if len(x) else []
        tables = self.system.analyse(torch.from_numpy(x), setting) if len(x) else []
        payload, small = pack(parts, tables), False
        if config.deflate:
            payload, small = deflate(payload)
        data = HEADER.pack(MAGIC, VERSION, self.fingerprint, setting, small, len(x)) + payload
        return data + CHECK.pack(zlib.crc32(data))

    def decompress(self, data: bytes) -> tuple[npt.NDArray[np.float32], int]:
        """The bytes of a file to float32 `[1, samples]` and their rate.

        Raises:
            FormatError: this is not a file of this system.
            DamagedError: it is damaged.
        """
        if len(data) < HEADER.size + CHECK.size or data[:3] != MAGIC:
            raise FormatError("this is not a file coded by a system of the bench")
        _, version, fingerprint, setting, small, samples = HEADER.unpack_from(data)
        if version != VERSION:
            raise FormatError(f"version {version} of coded files cannot be read; code the sound anew")
        if zlib.crc32(data[: -CHECK.size]) != CHECK.unpack(data[-CHECK.size :])[0]:
            raise DamagedError("the coded file is damaged: its checksum does not fit")
        if fingerprint != self.fingerprint:
            raise WeightsError(f"the file was coded by another system than this {self.system.config.name!r}; use that")
        if setting not in self.system.config.settings or samples > LONGEST:
            raise DamagedError("the coded file is damaged: its header says what cannot be")
        if not samples:
            return np.zeros((1, 0), np.float32), self.sample_rate
        parts = self.system.parts(samples, setting)
        payload = data[HEADER.size : -CHECK.size]
        if small:
            payload = inflate(payload, sum(part.size for part in parts))
        out = self.system.synthesise(unpack(parts, payload), samples)
        return out[None].numpy().astype(np.float32), self.sample_rate

    def samples(self, audio: npt.NDArray[np.floating], sample_rate: int) -> npt.NDArray[np.float32]:
        """Sound as the system sees it: float32 `[samples]` at its rate. Raises `AudioError` as `compress`."""
        x = np.atleast_2d(np.asarray(audio, np.float32))
        if x.ndim != 2 or not len(x):
            raise AudioError(f"sound of shape {list(x.shape)} is not [channels, samples]")
        if not np.isfinite(x).all():
            raise AudioError("the sound holds values that are not finite numbers")
        mono = np.ascontiguousarray(same_rate(x.mean(0, dtype=np.float32)[None], sample_rate, self.sample_rate)[0])
        if len(mono) > LONGEST:
            raise AudioError(f"the sound is longer than the {LONGEST} samples that can be coded at once; cut it")
        return mono

    def save(self, path: Path) -> None:
        """Write the system, to be read by `load_coder`.

        Raises:
            WeightsError: A weight is not finite.
        """
        tensors = {name: value.contiguous() for name, value in self.system.state_dict().items()}
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                raise WeightsError(f"{self.system.config.name}: {name} is not finite; train it with a lower rate")
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"format": FORMAT, "config": self.system.config.to_json()})


def load_coder(path: Path, phase: str | None = None) -> Coder:
    """Read a system that `Coder.save` wrote; with `phase`, come by the phase in this way instead of its own.

    Raises:
        WeightsError: it is missing, damaged, or no such file.
    """
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"there is no trained system {path}; train one with python -m nac.study train")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if metadata.get("format") != FORMAT:
            raise WeightsError(f"{path} holds no system of the bench")
        config = SystemConfig.from_json(metadata["config"])
        system = make_system(config if phase is None else dataclasses.replace(config, phase=phase))
        system.load_state_dict(tensors)
    except (SafetensorError, OSError, RuntimeError, KeyError, OptionError) as error:
        raise WeightsError(f"{path} is not a trained system that can be read ({str(error).splitlines()[0]})") from None
    return Coder(system)
