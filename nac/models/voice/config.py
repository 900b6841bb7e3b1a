"""The shape of the voice model, a part of the model's config."""

from dataclasses import dataclass
from typing import Annotated

from nac.config import Count, NotNegative, Positive, Range, Share, check
from nac.errors import OptionError

Width = Annotated[int, Range(1, 4096)]
Layers = Annotated[int, Range(1, 64)]
Codebooks = Annotated[int, Range(1, 256)]


@dataclass(frozen=True)
class VoiceConfig:
    """Shape of the voice model.

    A frame's codes are, in this order: one for pitch and voicing, those of the spectral envelope and aperiodicity, and
    those of the low bands' waveform.
    """

    #: Natural logarithms of the envelope's power in bands, and of aperiodicity in bands, in each 5 ms step.
    n_bands: Annotated[int, Range(2, 128)] = 32
    n_aperiodicity_bands: Annotated[int, Range(2, 32)] = 7
    #: Bins of the spectra that filters are made of, and one, twice.
    fft_size: Annotated[int, Range(512, 4096)] = 1024
    #: Dimensions in which envelope and aperiodicity are coded, and the codebooks that code them.
    envelope_dim: Width = 80
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
    #: (codebooks, Hz): from so many low-band codebooks on the waveform that they code replaces the synthesis below that
    #: frequency.
    crossovers: tuple[tuple[Count, NotNegative], ...] = ((6, 900.0), (24, 2050.0))
    control_width: Width = 256
    control_blocks: Layers = 4
    refinement_width: Width = 256
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
        counts = [count for count, _ in self.crossovers]
        if counts != sorted(set(counts)):
            raise OptionError(f"crossovers begin with {counts}; these numbers of codebooks must rise")

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
