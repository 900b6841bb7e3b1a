"""One frozen description of a training run, saved with it."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from nac.config import Count, NotNegative, Positive, Range, Share, Weights, check, load
from nac.errors import OptionError
from nac.training.data.augment import Augmentation

AtLeast0 = Annotated[int, Range(0)]


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the course of a run, but for the model's shape and the data themselves."""

    seed: AtLeast0 = 0
    batch: Annotated[int, Range(1, 4096)] = 8
    #: Length of a training crop in seconds.
    seconds: Annotated[float, Range(0.1, 60)] = 2.0
    #: Share of each kind of audio (name of the folder below the data folder); others share the rest equally.
    balance: Weights = (("speech", 0.5), ("music", 0.3), ("environmental", 0.2))
    #: Sources (folders below a kind) are drawn by their length to this power: 1 by hours, 0 all alike.
    source_power: Share = 0.6
    #: How often a crop is mixed with another, played at another speed, equalised, put into a room, or given noise;
    #: and its gain in dB, lowest and highest.
    mix: Share = 0.125
    speed: Share = 0.15
    equaliser: Share = 0.15
    reverb: Share = 0.06
    noise: Share = 0.04
    gain: tuple[Annotated[float, Range(-60, 20)], Annotated[float, Range(-60, 20)]] = (-18.0, 0.0)
    learning_rate: Annotated[float, Range(0, 1, above=True)] = 5e-4
    #: The learning rate falls to this share of itself, along a cosine, over the time budget.
    final_share: Share = 0.03
    #: Learning rate of the layers at the waveform's rates, as a share: their start is exact, and noise of a thousandth
    #: in them drowns the quiet high frequencies.
    wave_share: Share = 0.03
    #: Learning rate of the encoder's other layers, as a share.
    encoder_share: Share = 0.3
    #: Learning rate of the codes, as a share, if they learn by gradient (0: not; else codebook_decay must be 1).
    codebook_share: Share = 0.0
    #: Steps over which the learning rate rises.
    warmup: Count = 100
    betas: tuple[Share, Share] = (0.8, 0.99)
    weight_decay: NotNegative = 0.0
    #: Largest norm of the gradient of a group of parameters.
    gradient_clip: Positive = 1.0
    #: Weights of the terms of the loss.
    mel: NotNegative = 6.0
    si_sdr: NotNegative = 0.005
    commitment: NotNegative = 1.0
    adversarial: NotNegative = 0.0
    feature: NotNegative = 0.0
    #: The discriminators, at work where one of the two weights above is not zero: windows in samples, channels, length
    #: of the pieces they look at, learning rate, and steps that they learn alone before the decoder hears of them.
    discriminator_windows: tuple[Annotated[int, Range(32, 16_384)], ...] = (2048, 1024, 512, 256)
    discriminator_channels: Annotated[int, Range(2, 2048)] = 256
    discriminator_seconds: Annotated[float, Range(0.05, 60)] = 0.5
    discriminator_learning_rate: Annotated[float, Range(0, 1, above=True)] = 3e-4
    discriminator_warmup: AtLeast0 = 50
    #: Train the decoder alone; the codes, and so every file already written, stay valid.
    decoder_only: bool = False
    #: How often each number of codebooks is drawn for an example; and the share of examples with any number, all alike
    #: (stereo splits its codebooks between mid and side, so each number from 1 on is in use).
    n_codebooks: tuple[tuple[Count, NotNegative], ...] = (
        (2, 0.06),
        (4, 0.06),
        (6, 0.15),
        (8, 0.06),
        (12, 0.36),
        (16, 0.05),
        (24, 0.12),
        (48, 0.14),
    )
    any_n_codebooks: Share = 0.2
    #: Decay a step of the codebooks' statistics (1 freezes the codebooks), and how many uses the start counts as.
    codebook_decay: Share = 0.9998
    codebook_hits: Positive = 4000.0
    #: Paths of the search while the codebooks are frozen.
    beam: Annotated[int, Range(1, 64)] = 4
    #: Decay a step of the averaged weights, which are those exported.
    ema: Share = 0.999
    bfloat16: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionError: one is not allowed.
        """
        check(self)
        if not sum(weight for _, weight in self.n_codebooks) > 0:
            raise OptionError(f"n_codebooks is {self.n_codebooks}; it must have a weight above 0")

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
            OptionError: the text is not such a config.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise OptionError(f"this is not a training config: {error}") from error
        return load(cls, values, "training config")
