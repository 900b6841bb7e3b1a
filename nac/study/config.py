"""Studies and systems as frozen descriptions, read from small TOML files.

A study file has the fields of `StudyConfig` at the top, `[defaults]` with fields of `SystemConfig` that all systems
share, one `[[system]]` for each system, and `[vary]` with lists of values: every system is made in every combination.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from nac.config import Count, NotNegative, OneOf, Positive, Range, Weights, check, load
from nac.errors import OptionError

REPRESENTATIONS = ("stft", "log-stft", "mel", "log-mel", "mfcc", "complex", "waveform")
ARCHITECTURES = ("conv", "unet", "transformer", "vae", "vqvae", "fully-conv", "none")
PHASES = ("transmitted", "griffin-lim", "predicted")
QUANTIZERS = ("uniform", "max-norm")
TERMS = ("l1", "rmse", "stft", "mel", "si_sdr", "phase")
LONGEST_FILE = 1 << 20  # bytes of a study file

Limit = Annotated[int, Range(0)]


@dataclass(frozen=True)
class SystemConfig:
    """One system of the bench: what it codes, with which network, how it is quantized, how it learns."""

    name: str = "system"
    #: What the network sees: one of `REPRESENTATIONS`.
    representation: Annotated[str, OneOf(REPRESENTATIONS)] = "log-stft"
    #: The network: one of `ARCHITECTURES`; "none" quantizes the representation itself.
    architecture: Annotated[str, OneOf(ARCHITECTURES)] = "conv"
    #: Numbers that a chunk becomes ("conv", "transformer", "vae", "vqvae"; of "unet" without its skip connections).
    latent: Annotated[int, Range(8, 65_536)] = 128
    #: Hz; and seconds of a chunk, the piece of sound that is coded at once and the length of a training crop.
    sample_rate: Annotated[int, Range(1000, 192_000)] = 16_000
    seconds: Annotated[float, Range(0.1, 30)] = 1.0
    #: Window and hop of the STFT in samples.
    n_fft: Annotated[int, Range(64, 16_384)] = 1024
    hop: Count = 256
    #: Bands of the mel representations, and coefficients kept of them in "mfcc".
    mel_bands: Annotated[int, Range(4)] = 80
    coefficients: Count = 40
    #: Widths of the encoder's steps, each of which halves time and frequency (in "waveform": divides time by four).
    channels: tuple[Annotated[int, Range(1, 1024)], ...] = (32, 64, 128)
    #: Channels of the latent of "fully-conv", and of each skip connection of "unet" (0: none).
    latent_channels: Annotated[int, Range(1, 256)] = 8
    skip_channels: Annotated[int, Range(0, 1024)] = 1
    #: Codebooks of "vqvae": their size, the dimensions of a code word, and the numbers of stages that are tried.
    codebook: Annotated[int, Range(2, 65_536)] = 256
    code_dim: Count = 8
    stages: tuple[Annotated[int, Range(1, 64)], ...] = (4,)
    #: Where the phase comes from: one of `PHASES`; and the bits of a transmitted one (0: those of the latent).
    phase: Annotated[str, OneOf(PHASES)] = "transmitted"
    phase_bits: Annotated[int, Range(0, 16)] = 4
    #: How latents become integers: over the range seen in training, or of the largest of each channel of the file.
    quantizer: Annotated[str, OneOf(QUANTIZERS)] = "uniform"
    #: Bits of a latent's numbers that are tried.
    bits: tuple[Annotated[int, Range(2, 16)], ...] = (8,)
    #: Whether the payload is deflated where that makes it smaller.
    deflate: bool = True
    #: Weights of the terms of the loss: `TERMS`.
    loss: Weights = (("l1", 1.0), ("stft", 0.5), ("mel", 0.5))
    #: Weight of the divergence of "vae", and of what draws the encoder of "vqvae" to its codes.
    kl: NotNegative = 1e-3
    commitment: NotNegative = 0.25
    batch: Annotated[int, Range(1, 4096)] = 8
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.01
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        check(self)
        for term, weight in self.loss:
            if term not in TERMS or weight < 0:
                allowed = f"weights of 0 or more of {', '.join(TERMS)}"
                raise OptionError(f"loss is {dict(self.loss)}; it must be {allowed}")
        wave = self.representation == "waveform"
        checks = (
            (self.n_fft % 4 == 0, f"n_fft is {self.n_fft}; it must be divisible by 4"),
            (self.hop <= self.n_fft // 2, f"hop is {self.hop}; it must be at most half of n_fft"),
            (self.mel_bands <= self.n_fft // 4, f"mel_bands is {self.mel_bands}; it must be at most n_fft / 4"),
            (self.coefficients <= self.mel_bands, f"coefficients is {self.coefficients}; it must be at most mel_bands"),
            (1 <= len(self.channels) <= 5, f"channels is {list(self.channels)}; it must be 1 to 5 numbers"),
            (self.latent % self.code_dim == 0, f"code_dim is {self.code_dim}; it must divide latent, {self.latent}"),
            (bool(self.stages), "stages is empty; it must have a number"),
            (bool(self.bits), "bits is empty; it must have a number"),
            (bool(self.loss), "loss is empty; it must have a weight above 0"),
            (
                self.phase != "predicted" or self.representation == "complex",
                'only the representation "complex" predicts the phase; give phase = "transmitted" or "griffin-lim"',
            ),
            (
                self.phase != "predicted"
                or self.architecture == "none"
                or any(weight for term, weight in self.loss if term in ("phase", "si_sdr")),
                'nothing in the loss teaches the predicted phase; give "phase" or "si_sdr" a weight',
            ),
            (
                "phase" not in dict(self.loss) or self.representation == "complex",
                'the loss "phase" needs the representation "complex"',
            ),
            (
                not wave or self.architecture in ("conv", "none"),
                'the representation "waveform" goes with the architectures conv and none',
            ),
        )
        for fine, message in checks:
            if not fine:
                raise OptionError(message)

    @property
    def frames(self) -> int:
        """Frames of a chunk: whole groups of 16, so that it can be halved four times; at least one group."""
        return max(16, round(self.seconds * self.sample_rate / self.hop / 16) * 16)

    @property
    def settings(self) -> tuple[int, ...]:
        """What the bit rate is chosen by: stages of "vqvae", bits of the others."""
        return tuple(sorted(set(self.stages if self.architecture == "vqvae" else self.bits)))

    def to_json(self) -> str:
        """The description as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> SystemConfig:
        """Read what `to_json` wrote.

        Raises:
            OptionError: Anything else.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise OptionError(f"this is not a description of a system: {error}") from None
        return load(cls, values, "this is not a description of a system")


@dataclass(frozen=True)
class StudyConfig:
    """Systems that get the same time to learn, and how they are compared."""

    name: str
    systems: tuple[SystemConfig, ...]
    #: Training time of each system; and steps after which it ends even so (0: no limit).
    minutes: Positive = 10.0
    steps: Limit = 0
    #: How much of the training audio is used at most: files, and seconds of each (0: all).
    max_files: Limit = 0
    max_seconds: NotNegative = 0.0
    #: Clips of each kind that are judged; how long they are at most; of how many in all there are pictures and samples.
    clips: Count = 6
    clip_seconds: Positive = 6.0
    examples: Limit = 3
    #: Judge every system that transmits or predicts the phase a second time with a phase found by Griffin–Lim.
    griffin_lim: bool = False
    #: Codecs beside the systems, with their bit rates, as `nac.evaluation.codecs.parse_codecs` reads them.
    codecs: tuple[str, ...] = ("nac:1,3,6,12,24",)

    def __post_init__(self) -> None:
        check(self)
        names = [system.name for system in self.systems]
        for name in names:
            if names.count(name) > 1:
                raise OptionError(f"two systems are called {name!r}; give each a name of its own")
            if len({safe(other) for other in names}) < len(set(names)):
                raise OptionError("two systems have names that are the same as file names; choose other names")
            if name.split()[:1] == ["nac"] or not name.strip():
                raise OptionError(f"a system cannot be called {name!r}; choose another name")
        if not self.systems:
            raise OptionError("the study has no system")
        if len({system.sample_rate for system in self.systems}) > 1:
            raise OptionError("all systems of a study need the same sample_rate")

    @property
    def sample_rate(self) -> int:
        """Hz at which everything is trained and judged."""
        return self.systems[0].sample_rate


def safe(name: str) -> str:
    """A name as that of a file.

    >>> safe("log-mel 64 (1.2 kbps)"), safe("music/a.b")
    ('log-mel-64-1.2-kbps', 'music-a.b')
    """
    kept = "".join(letter if letter.isalnum() or letter in "-_.+=" else " " for letter in name)
    return "-".join(kept.split()).lstrip(".") or "_"


def read_study(path: Path) -> StudyConfig:
    """Read a study file.

    Raises:
        OptionError: It is missing or says what is not possible.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE:
            raise OptionError(f"{path} is too long for a study file")
        values = _toml().loads(text.decode())
    except OSError as error:
        raise OptionError(f"cannot read the study {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise OptionError(f"{path} is not a TOML file: {error}") from None
    try:
        return make_study({"name": path.stem, **values})
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from None


def make_study(values: Mapping[str, Any]) -> StudyConfig:
    """A study from the values of its file.

    >>> study = make_study({"name": "sizes", "vary": {"latent": [64, 128]}})
    >>> [system.name for system in study.systems]
    ['latent 64', 'latent 128']

    Raises:
        OptionError: a field that there is not, or a value that is not possible.
    """
    rest = {key: value for key, value in values.items() if key not in ("defaults", "vary", "system")}
    defaults, vary = _table(values.get("defaults", {}), "defaults"), _table(values.get("vary", {}), "vary")
    entries = values.get("system", [{}])
    if not isinstance(entries, list):
        raise OptionError("write [[system]], with two brackets, above each system")
    for key, choices in vary.items():
        if not isinstance(choices, list) or not choices:
            raise OptionError(f"vary: {key} needs a list of values")
    systems = []
    for entry in entries:
        own = _table(entry, "system")
        for combination in itertools.product(*vary.values()):
            chosen = dict(zip(vary, combination, strict=True))
            parts = [str(own["name"])] if "name" in own else []
            parts += [f"{key} {_shown(value)}" for key, value in chosen.items()]
            name = " ".join(parts) or "system"
            systems.append(load(SystemConfig, {**defaults, **own, **chosen, "name": name}, name))
    return load(StudyConfig, {**rest, "systems": tuple(systems)}, "study")


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise OptionError(f"{where} must be a table of settings")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "+".join(value)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # the first is part of Python from 3.11 on
        try:
            return import_module(name)
        except ImportError:
            continue
    raise OptionError("study files need Python 3.11 or later, or: pip install tomli")
