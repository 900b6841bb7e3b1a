"""Studies and systems as frozen descriptions, read from small TOML files.

A study file has the fields of `StudyConfig` at the top, `[defaults]` with fields of `SystemConfig` that all systems
share, one `[[system]]` for each system, and `[vary]` with lists of values: every system is made in every combination.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from nac.errors import OptionError

REPRESENTATIONS = ("stft", "log-stft", "mel", "log-mel", "mfcc", "complex", "waveform")
ARCHITECTURES = ("conv", "unet", "transformer", "vae", "vqvae", "fully-conv", "none")
PHASES = ("transmitted", "griffin-lim", "predicted")
QUANTIZERS = ("uniform", "max-norm")
TERMS = ("l1", "rmse", "stft", "mel", "si_sdr", "phase")
LONGEST_FILE = 1 << 20  # bytes of a study file

Pairs = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class SystemConfig:
    """One system of the bench: what it codes, with which network, how it is quantized, how it learns."""

    name: str = "system"
    #: What the network sees: one of `REPRESENTATIONS`.
    representation: str = "log-stft"
    #: The network: one of `ARCHITECTURES`; "none" quantizes the representation itself.
    architecture: str = "conv"
    #: Numbers that a chunk becomes ("conv", "transformer", "vae", "vqvae"; of "unet" without its skip connections).
    latent: int = 128
    #: Hz; and seconds of a chunk, the piece of sound that is coded at once and the length of a training crop.
    sample_rate: int = 16_000
    seconds: float = 1.0
    #: Window and hop of the STFT in samples.
    n_fft: int = 1024
    hop: int = 256
    #: Bands of the mel representations, and coefficients kept of them in "mfcc".
    mel_bands: int = 80
    coefficients: int = 40
    #: Widths of the encoder's steps, each of which halves time and frequency (in "waveform": divides time by four).
    channels: tuple[int, ...] = (32, 64, 128)
    #: Channels of the latent of "fully-conv", and of each skip connection of "unet" (0: none).
    latent_channels: int = 8
    skip_channels: int = 1
    #: Codebooks of "vqvae": their size, the dimensions of a code word, and the numbers of stages that are tried.
    codebook: int = 256
    code_dim: int = 8
    stages: tuple[int, ...] = (4,)
    #: Where the phase comes from: one of `PHASES`; and the bits of a transmitted one (0: those of the latent).
    phase: str = "transmitted"
    phase_bits: int = 4
    #: How latents become integers: over the range seen in training, or of the largest of each channel of the file.
    quantizer: str = "uniform"
    #: Bits of a latent's numbers that are tried.
    bits: tuple[int, ...] = (8,)
    #: Whether the payload is deflated where that makes it smaller.
    deflate: bool = True
    #: Weights of the terms of the loss: `TERMS`.
    loss: Pairs = (("l1", 1.0), ("stft", 0.5), ("mel", 0.5))
    #: Weight of the divergence of "vae", and of what draws the encoder of "vqvae" to its codes.
    kl: float = 1e-3
    commitment: float = 0.25
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for field, allowed in (
            ("representation", REPRESENTATIONS),
            ("architecture", ARCHITECTURES),
            ("phase", PHASES),
            ("quantizer", QUANTIZERS),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise OptionError(f"{self.name}: {field} {value!r} is not possible; give one of {', '.join(allowed)}")
        for term, _ in self.loss:
            if term not in TERMS:
                raise OptionError(f"{self.name}: there is no loss {term!r}; give some of {', '.join(TERMS)}")
        wave = self.representation == "waveform"
        checks = (
            (8 <= self.latent <= 65_536, "latent must be from 8 to 65536"),
            (1000 <= self.sample_rate <= 192_000, "sample_rate must be from 1000 to 192000 Hz"),
            (0.1 <= self.seconds <= 30, "seconds must be from 0.1 to 30"),
            (64 <= self.n_fft <= 16_384 and self.n_fft % 4 == 0, "n_fft must be from 64 to 16384, divisible by 4"),
            (1 <= self.hop <= self.n_fft // 2, "hop must be from 1 to half of n_fft"),
            (4 <= self.mel_bands <= self.n_fft // 4, "mel_bands must be from 4 to a quarter of n_fft"),
            (1 <= self.coefficients <= self.mel_bands, "coefficients must be from 1 to mel_bands"),
            (
                1 <= len(self.channels) <= 5 and all(1 <= c <= 1024 for c in self.channels),
                "channels must be 1 to 5 numbers from 1 to 1024",
            ),
            (1 <= self.latent_channels <= 256, "latent_channels must be from 1 to 256"),
            (0 <= self.skip_channels <= 1024, "skip_channels must be from 0 to 1024"),
            (2 <= self.codebook <= 65_536, "codebook must be from 2 to 65536 codes"),
            (1 <= self.code_dim <= self.latent and self.latent % self.code_dim == 0, "code_dim must divide latent"),
            (bool(self.stages) and all(1 <= s <= 64 for s in self.stages), "stages must be numbers from 1 to 64"),
            (0 <= self.phase_bits <= 16, "phase_bits must be from 0 to 16"),
            (bool(self.bits) and all(2 <= b <= 16 for b in self.bits), "bits must be numbers from 2 to 16"),
            (bool(self.loss) and all(weight >= 0 for _, weight in self.loss), "loss needs weights of 0 or more"),
            (
                min(self.kl, self.commitment, self.weight_decay) >= 0 and self.learning_rate > 0,
                "kl, commitment and weight_decay must not be negative, learning_rate must be above 0",
            ),
            (1 <= self.batch <= 4096, "batch must be from 1 to 4096"),
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
                raise OptionError(f"{self.name}: {message}")

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
        """Read what `to_json` wrote. Raises `OptionError` for anything else."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise OptionError(f"this is no description of a system: {error}") from None
        if isinstance(values, dict) and isinstance(values.get("loss"), list):
            try:
                values["loss"] = dict(values["loss"])
            except (TypeError, ValueError):
                raise OptionError("this is no description of a system: its loss is damaged") from None
        made: SystemConfig = build(cls, values, "system")
        return made


@dataclass(frozen=True)
class StudyConfig:
    """Systems that get the same time to learn, and how they are compared."""

    name: str
    systems: tuple[SystemConfig, ...]
    #: Training time of each system; and steps after which it ends even so (0: no limit).
    minutes: float = 10.0
    steps: int = 0
    #: How much of the training audio is used at most: files, and seconds of each (0: all).
    max_files: int = 0
    max_seconds: float = 0.0
    #: Clips of each kind that are judged; how long they are at most; of how many in all there are pictures and samples.
    clips: int = 6
    clip_seconds: float = 6.0
    examples: int = 3
    #: Judge every system that transmits or predicts the phase a second time with a phase found by Griffin–Lim.
    griffin_lim: bool = False
    #: Codecs beside the systems, with their bit rates, as `nac.evaluation.codecs.parse_codecs` reads them.
    codecs: tuple[str, ...] = ("nac:1,3,6,12,24",)

    def __post_init__(self) -> None:
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
        if not (
            self.minutes > 0
            and self.clip_seconds > 0
            and min(self.clips, self.examples) >= 0
            and self.clips
            and min(self.steps, self.max_files, self.max_seconds) >= 0
        ):
            raise OptionError("minutes, clips and clip_seconds must be above 0, and no limit below 0")

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
    """Read a study file. Raises `OptionError` in one line if it is missing or says what is not possible."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE:
            raise OptionError(f"{path} is too long for a study file")
        values = _toml().loads(text.decode())
    except OSError as error:
        raise OptionError(f"cannot read the study {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise OptionError(f"{path} is no TOML file: {error}") from None
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
            systems.append(build(SystemConfig, {**defaults, **own, **chosen, "name": name}, name))
    study: StudyConfig = build(StudyConfig, {**rest, "systems": tuple(systems)}, "study")
    return study


def build(kind: type[Any], values: Any, where: str) -> Any:
    """A dataclass from plain values; raises `OptionError` for unknown fields and values of a wrong kind."""
    hints = typing.get_type_hints(kind)
    known = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    out = {}
    for key, value in _table(values, where).items():
        if key not in known:
            raise OptionError(f"{where}: there is no setting {key!r}; there are {', '.join(known)}")
        out[key] = _converted(value, known[key], f"{where}: {key}")
    try:
        return kind(**out)
    except TypeError as error:
        raise OptionError(f"{where}: {error}") from None


def _converted(value: Any, hint: Any, where: str) -> Any:
    if hint == Pairs and isinstance(value, dict):
        return tuple((str(key), _converted(item, float, where)) for key, item in value.items())
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)) and hint != Pairs:
        return tuple(_converted(item, typing.get_args(hint)[0], where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    wanted = "a table of numbers" if hint == Pairs else getattr(hint, "__name__", str(hint))
    raise OptionError(f"{where} cannot be {value!r}; it must be {wanted}")


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
    raise OptionError("study files need Python 3.11 or later, or: pip install 'nac[eval]'")
