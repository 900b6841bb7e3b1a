"""One frozen description of a training run of the voice model."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from nac.config import Count, NotNegative, Positive, Range, Share, check
from nac.errors import OptionError
from nac.models.voice.timing import HOP, SAMPLE_RATE
from nac.training.losses.spectra import WINDOWS

AtLeast0 = Annotated[int, Range(0)]
Batch = Annotated[int, Range(1, 4096)]
Hops = Annotated[int, Range(6, 10_000)]
Rate = Annotated[float, Range(0, 1, above=True)]


@dataclass(frozen=True)
class VoiceTrainingConfig:
    """Everything that decides the course of a run, but for the model's shape and the recordings."""

    seed: AtLeast0 = 0
    #: Sources are drawn by their length to this power: 1 by hours, 0 all alike.
    source_power: Share = 0.5
    #: Gain of a recording, natural logarithm of power, lowest and highest.
    gain: tuple[Annotated[float, Range(-10, 5)], Annotated[float, Range(-10, 5)]] = (-2.5, 0.5)

    #: Sequences, and their hops, that the quantizers are fitted on; steps for the map from bands to spectra.
    fit_sequences: Count = 1400
    fit_hops: Hops = 150
    fit_steps: Count = 40_000
    #: Rounds of the closed loop: codes as the quantizer would choose them, then better codebooks for these.
    fit_rounds: AtLeast0 = 2
    kmeans_rounds: Count = 8
    #: Paths of the search for the envelope's codes, and for those of the low bands.
    beam: Annotated[int, Range(1, 64)] = 4
    low_band_beam: Annotated[int, Range(1, 64)] = 1

    control_steps: AtLeast0 = 2300
    control_batch: Batch = 24
    control_hops: Hops = 110
    #: Hops at the start of a sequence that do not count: the network's past is unknown there.
    control_run_in: AtLeast0 = 10
    control_learning_rate: Rate = 1e-3

    batch: Batch = 16
    #: Hops that an example is decoded for, and those before, whose sound does not count.
    hops: Hops = 26
    run_in: AtLeast0 = 5
    #: Root mean square, full scale 1, below which an example is silence and drawn again.
    silence: NotNegative = 2e-3
    learning_rate: Rate = 3e-4
    warmup: Count = 100
    betas: tuple[Share, Share] = (0.8, 0.99)
    gradient_clip: Positive = 1.0
    #: Decay a step of the averaged weights, which are those exported.
    ema: Share = 0.999
    #: Share of examples with every codebook of the envelope; the others have fewer, the fewer the more often.
    all_envelope: Share = 0.3
    #: How many codebooks of the low bands examples with every codebook of the envelope have, all alike.
    low_band_counts: tuple[AtLeast0, ...] = (0, 0, 7, 10, 13, 13, 18, 24, 34)
    #: Weights of the terms of the loss.
    spectrum: NotNegative = 6.0
    adversarial: NotNegative = 1.0
    feature: NotNegative = 2.0
    #: Discriminators: windows and periods in samples, channels, length of what they look at, and steps that they learn
    #: alone.
    discriminator_windows: tuple[Annotated[int, Range(64, 8192)], ...] = (2048, 1024, 512, 256)
    discriminator_channels: Annotated[int, Range(2, 2048)] = 256
    discriminator_periods: tuple[Annotated[int, Range(2, 64)], ...] = (2, 3, 5, 7)
    period_channels: Annotated[int, Range(1, 2048)] = 192
    discriminator_seconds: Annotated[float, Range(0.1, 10)] = 0.5
    discriminator_learning_rate: Rate = 5e-4
    discriminator_warmup: AtLeast0 = 200
    discriminator_clip: Positive = 5.0
    #: Networks in bfloat16; None: where it is measured to be faster.
    bfloat16: bool | None = None

    mode_steps: AtLeast0 = 900
    mode_batch: Batch = 32
    mode_hops: Hops = 100
    mode_learning_rate: Rate = 2e-3

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionError: one is not allowed.
        """
        check(self)
        heard = self.discriminator_seconds * SAMPLE_RATE
        if not max(*self.discriminator_windows, *WINDOWS) <= heard <= self.hops * HOP:
            raise OptionError(
                f"discriminator_seconds is {self.discriminator_seconds}; it must be from the longest window of "
                f"discriminators and spectra to the length of an example, {self.hops * HOP / SAMPLE_RATE} s"
            )

    def to_json(self) -> str:
        """The config as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)
