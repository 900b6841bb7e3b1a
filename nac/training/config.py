"""One frozen description of a training run, saved with it."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from nac.errors import OptionError
from nac.models.config import to_tuples
from nac.training.data.augment import Augmentation


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the course of a run, but for the model's shape and the data themselves."""

    seed: int = 0
    batch: int = 8
    #: Length of a training crop in seconds. The losses modelled on hearing need more than one.
    seconds: float = 2.0
    #: Share of each kind of audio (name of the folder below the data folder); others share what is left equally.
    balance: tuple[tuple[str, float], ...] = (("speech", 0.5), ("music", 0.3), ("environmental", 0.2))
    #: Sources (folders below a kind) are drawn by their length to this power: 1 by hours, 0 all alike.
    source_power: float = 0.6
    #: How often a crop is mixed with another, played at another speed, equalised, put into a room, or given noise;
    #: and its gain in dB.
    mix: float = 0.125
    speed: float = 0.15
    equaliser: float = 0.15
    reverb: float = 0.06
    noise: float = 0.04
    gain: tuple[float, float] = (-18.0, 0.0)
    learning_rate: float = 5e-4
    #: The rate falls to this share of itself, along a cosine, over the time budget.
    final_share: float = 0.03
    #: Rate of the layers at the waveform's rates, as a share: their start is exact, and noise of a thousandth in them
    #: drowns the quiet high frequencies.
    wave_share: float = 0.03
    #: Rate of the encoder's other layers, as a share.
    encoder_share: float = 0.3
    #: Rate of the codes, as a share, if they learn by gradient (0: they do not); codebook_decay must be 1 then.
    codebook_share: float = 0.0
    warmup: int = 100
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 0.0
    clip: float = 1.0
    #: Weights of the terms of the loss.
    mel: float = 6.0
    si_sdr: float = 0.005
    loudness: float = 1.0
    envelope: float = 4.0
    neurogram: float = 4.0
    level: float = 0.5
    commitment: float = 1.0
    adversarial: float = 0.0
    feature: float = 0.0
    #: The discriminators, at work where one of the two weights above is not zero: windows in samples, channels, length
    #: of the pieces they judge, learning rate, and steps that they learn alone before the decoder plays against them.
    judge_windows: tuple[int, ...] = (2048, 1024, 512, 256)
    judge_channels: int = 16
    judged_seconds: float = 0.5
    judge_rate: float = 3e-4
    judge_steps: int = 50
    #: Train the decoder alone; the codes, and so every file already written, stay valid.
    decoder_only: bool = False
    #: How often each number of codebooks is drawn for an example; and the share of examples with any number, all alike
    #: (stereo splits its codebooks between mid and side, so each number from 1 on is in use).
    rates: tuple[tuple[int, float], ...] = (
        (2, 0.06),
        (4, 0.06),
        (6, 0.15),
        (8, 0.06),
        (12, 0.36),
        (16, 0.05),
        (24, 0.12),
        (48, 0.14),
    )
    any_rate: float = 0.2
    #: Decay a step of the codebooks' statistics (1 freezes the codebooks), and how many hits the start counts as.
    codebook_decay: float = 0.9998
    codebook_hits: float = 4000.0
    #: Paths of the search while the codebooks are frozen.
    beam: int = 4
    ema: float = 0.999
    bfloat16: bool = False

    @property
    def augmentation(self) -> Augmentation:
        """What is done to the crops."""
        return Augmentation(self.mix, self.speed, self.equaliser, self.reverb, self.noise, self.gain)

    def to_json(self) -> str:
        """The config as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "TrainingConfig":
        """Read what `to_json` wrote.

        Raises:
            OptionError: the text is no such config.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            return cls(**{key: to_tuples(value) for key, value in values.items()})
        except (ValueError, TypeError) as error:
            raise OptionError(f"this is no training config of this version: {error}") from error
