"""The one description of a model: a frozen dataclass, stored as JSON inside the weights."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from nac.config import Count, NotNegative, Positive, Range, Share, check, load
from nac.errors import OptionError, WeightsError

Width = Annotated[int, Range(1, 4096)]
Layers = Annotated[int, Range(1, 64)]
Codebooks = Annotated[int, Range(1, 256)]
#: Coefficients of the lapped transform of a hop, 20 ms at 24 kHz.
MAX_LOW_COEFFICIENTS = 480


@dataclass(frozen=True)
class VoiceConfig:
    """Shape of the voice model.

    A frame's codes are one for pitch and voicing, those of the spectral envelope and aperiodicity, and those of the low
    bands' waveform. That of pitch comes first, and with it the order of the others.
    """

    #: Natural logarithms of the envelope's power in bands, and of aperiodicity in bands, in each 5 ms step.
    n_bands: Annotated[int, Range(2, 128)] = 40
    n_aperiodicity_bands: Annotated[int, Range(2, 32)] = 7
    #: Bins of the spectra that filters are made of, and one, twice.
    fft_size: Annotated[int, Range(512, 4096)] = 1024
    #: Dimensions in which envelope and aperiodicity are coded, and the codebooks that code them.
    envelope_dim: Width = 96
    envelope_codebooks: Codebooks = 13
    #: So many of these codebooks decide the prediction of the next frame; the others can be dropped without a trace in
    #: later frames.
    core_codebooks: Codebooks = 3
    #: (codebooks, coefficients) of each low band, from 0 Hz up; a coefficient is sample_rate / 2 / hop Hz.
    low_bands: tuple[tuple[Codebooks, Width], ...] = ((18, 40), (16, 48))
    #: How far the scale of coefficients follows the envelope: 0 is not at all, 1 makes their spectrum white.
    scale_tilt: Share = 0.65
    #: Root mean square of scaled coefficients above which they are coded by its logarithm.
    companding_knee: Positive = 1.5
    #: How codebooks of the envelope and of the low bands take turns, as pairs of so many of each: in frames that are
    #: voiced throughout, and in others. The first pair has the core codebooks.
    steady_order: tuple[tuple[Count, Count], ...] = ((11, 12), (2, 22))
    unsteady_order: tuple[tuple[Count, Count], ...] = ((6, 5), (3, 9), (4, 20))
    #: (Hz, codebooks, codebooks): from so many low-band codebooks on, in steady and in other frames, the waveform that
    #: they code replaces the synthesis below that frequency.
    crossovers: tuple[tuple[NotNegative, Count, Count], ...] = ((900.0, 12, 3), (2125.0, 30, 24))
    #: For each crossover, share of the sound one period ago in the coded waveform of steady voice.
    comb: tuple[Share, ...] = (0.3, 0.15)
    control_width: Width = 256
    control_blocks: Layers = 4
    #: 0: no network, a fixed mixture.
    refinement_width: Annotated[int, Range(0, 4096)] = 256
    #: Blocks of the refinement at the frame rate, and at the rate of the 5 ms steps.
    refinement_frame_blocks: Layers = 2
    refinement_blocks: Layers = 4
    #: Kernels of blocks, in frames and in steps.
    frame_kernel: Layers = 5
    step_kernel: Layers = 3
    expansion: Layers = 3

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            OptionError: a value is out of range, or does not fit the others.
        """
        check(self)
        if self.core_codebooks > self.envelope_codebooks:
            raise OptionError(
                f"core_codebooks is {self.core_codebooks}; it must be at most envelope_codebooks "
                f"({self.envelope_codebooks})"
            )
        for name, values in (("crossovers", self.crossovers), ("low_bands", self.low_bands)):
            if not values:
                raise OptionError(f"{name} is empty; it must have at least one pair")
        if self.fft_size % 2:
            raise OptionError(f"fft_size is {self.fft_size}; it must be even")
        if self.n_low_coefficients > MAX_LOW_COEFFICIENTS:
            raise OptionError(
                f"low_bands have {self.n_low_coefficients} coefficients; there are {MAX_LOW_COEFFICIENTS} in all"
            )
        for column in zip(*self.crossovers, strict=True):
            if list(column) != sorted(set(column)):
                raise OptionError(f"crossovers have {list(column)}; frequencies and numbers of codebooks must rise")
        if len(self.comb) != len(self.crossovers):
            raise OptionError(f"comb is {self.comb}; it must have {len(self.crossovers)} values, one a crossover")
        both = [self.envelope_codebooks, self.low_band_codebooks]
        for name, order in (("steady_order", self.steady_order), ("unsteady_order", self.unsteady_order)):
            if [sum(column) for column in zip(*order, strict=True)] != both:
                raise OptionError(f"{name} is {order}; it must have {both[0]} and {both[1]} codebooks in all")
            if order[0][0] < self.core_codebooks:
                raise OptionError(
                    f"{name} begins with {order[0]}; it must begin with the {self.core_codebooks} of the core"
                )

    @property
    def low_band_codebooks(self) -> int:
        """Codebooks of all low bands."""
        return sum(count for count, _ in self.low_bands)

    @property
    def n_codebooks(self) -> int:
        """Codebooks of a frame, with that for pitch."""
        return 1 + self.envelope_codebooks + self.low_band_codebooks

    @property
    def n_low_coefficients(self) -> int:
        """Coefficients that the low bands have."""
        return sum(count for _, count in self.low_bands)

    @property
    def n_curves(self) -> int:
        """Values of a 5 ms step: bands of the envelope, then of aperiodicity."""
        return self.n_bands + self.n_aperiodicity_bands


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a nac model.

    The latent of a frame holds the companded transform coefficients below the first band edge, the energies of the
    bands above it, and, for the later codebooks only, the companded coefficients above that edge.
    """

    name: str = "nac-24k"
    sample_rate: int = 24_000
    #: Strides from the waveform down to the frame rate; their product is the hop.
    strides: tuple[int, ...] = (4, 4, 5, 6)
    #: Channels after each stride but the last, encoder; at least hop / (strides still to come) in all.
    encoder_channels: tuple[int, ...] = (16, 32, 112)
    decoder_channels: tuple[int, ...] = (24, 64, 160)
    #: Dilations of the residual units at each of these rates.
    encoder_units: tuple[tuple[int, ...], ...] = ((), (), (1,))
    decoder_units: tuple[tuple[int, ...], ...] = ((), (), (1, 3))
    encoder_width: int = 256
    encoder_blocks: int = 4
    decoder_width: int = 384
    decoder_blocks: int = 6
    block_kernel: int = 5
    expansion: int = 3
    activation: str = "silu"
    #: (codebook, coefficients): from this codebook on, so many coefficients of sample_rate / 2 / hop Hz each are coded
    #: as they are. At a low bit rate few coefficients coded well and energies above them sound better than many coded
    #: badly.
    layers: tuple[tuple[int, int], ...] = ((0, 40), (12, 60), (24, 110), (36, 200))
    #: Edges, in the same bins, of the bands coded as energies; the first is where the coefficients of layer 0 end.
    band_edges: tuple[int, ...] = (
        40,
        46,
        53,
        60,
        68,
        76,
        86,
        98,
        110,
        124,
        140,
        160,
        180,
        200,
        224,
        256,
        288,
        320,
        368,
        416,
        480,
    )
    #: Coefficients are coded as their power, so that errors grow with the level, where they are masked.
    companding: float = 0.6
    #: Weight of the energies' natural logarithm beside the coefficients.
    energy_scale: float = 0.19
    codebooks: int = 48
    codebook_size: int = 1024
    #: Largest correction of the encoder network, as a share of the frame's root mean square.
    correction: float = 0.5
    #: The model of voices beside this one, of which a frame's first code says which it is; None: there is only this.
    voice: VoiceConfig | None = None

    @property
    def hop(self) -> int:
        """Samples per frame."""
        out = 1
        for stride in self.strides:
            out *= stride
        return out

    @property
    def frame_rate(self) -> int:
        """Frames per second."""
        return self.sample_rate // self.hop

    @property
    def bits(self) -> int:
        """Bits of one code."""
        return (self.codebook_size - 1).bit_length()

    @property
    def n_bands(self) -> int:
        """Number of bands coded as energies."""
        return len(self.band_edges) - 1

    @property
    def n_base_coefficients(self) -> int:
        """Number of coefficients that every codebook codes."""
        return self.layers[0][1]

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients that the last codebook codes."""
        return self.layers[-1][1]

    @property
    def latent_dim(self) -> int:
        """Dimensions of a frame's latent."""
        return self.n_bands + self.n_coefficients

    def codebook_dim(self, index: int) -> int:
        """Number of dimensions that codebook `index` codes."""
        return self.n_bands + max(count for first, count in self.layers if first <= index)

    def to_json(self) -> str:
        """The config as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Read what `to_json` wrote.

        Raises:
            WeightsError: the text is not a config, or has fields or values that this version does not know.

        >>> ModelConfig.from_json(ModelConfig(name="other").to_json()).name
        'other'
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise WeightsError("the weights hold a damaged model config; use other weights") from error
        config = load(
            cls, values, "the weights hold a model config that this version cannot read, update nac", WeightsError
        )
        try:
            config.validate()
        except (TypeError, IndexError) as error:
            raise WeightsError("the weights describe a model with values of a wrong type; use other weights") from error
        return config

    def validate(self) -> None:
        """Check that the numbers fit each other.

        Raises:
            WeightsError: they do not.
        """
        sizes = (
            self.encoder_width,
            self.encoder_blocks,
            self.decoder_width,
            self.decoder_blocks,
            self.block_kernel,
            self.expansion,
            self.codebooks,
            self.codebook_size,
            *self.strides,
            *self.encoder_channels,
            *self.decoder_channels,
            *(count for _, count in self.layers),
        )
        firsts, counts = [list(values) for values in zip(*self.layers, strict=True)]
        steps = len(self.strides) - 1
        ok = (
            all(isinstance(size, int) and 0 < size <= 65_536 for size in sizes)
            and self.sample_rate % self.hop == 0
            and len(self.encoder_channels) == len(self.decoder_channels) == steps
            and len(self.encoder_units) == len(self.decoder_units) == steps
            and firsts[0] == 0
            and firsts == sorted(set(firsts))
            and counts == sorted(counts)
            and self.n_base_coefficients == self.band_edges[0]
            and self.band_edges[-1] == self.hop
            and self.n_coefficients <= self.hop
            and 0 < self.companding <= 1
            and 0 < self.energy_scale <= 1
            and 2 <= self.codebook_size <= 65_536
            and list(self.band_edges) == sorted(set(self.band_edges))
            and (self.voice is None or self.voice.n_codebooks <= self.codebooks)
            and (self.voice is None or (self.sample_rate, self.hop) == (24_000, 480))
        )
        if not ok:
            raise WeightsError("the weights describe a model whose sizes do not fit each other; use other weights")
