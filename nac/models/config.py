"""The one description of a model: a frozen dataclass, stored as JSON inside the weights."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from nac.errors import WeightsError


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a nac model.

    The latent of a frame has `low + len(band_edges) - 1 + high` dimensions: companded transform coefficients below
    the first band edge, the energies of the bands above it, and, for the later codebooks only, the companded
    coefficients of the next `high` bins.
    """

    name: str = "nac-24k"
    sample_rate: int = 24_000
    #: Strides from the waveform down to the frame rate; their product is the hop.
    strides: tuple[int, ...] = (4, 4, 5, 6)
    #: Channels after each stride but the last, encoder; at least hop / (strides still to come) in all.
    encoder_channels: tuple[int, ...] = (16, 32, 112)
    decoder_channels: tuple[int, ...] = (24, 64, 160)
    #: Dilations of the residual units at each of these rates.
    encoder_units: tuple[tuple[int, ...], ...] = ((), (1,), (1,))
    decoder_units: tuple[tuple[int, ...], ...] = ((1,), (1, 3), (1, 3))
    encoder_width: int = 256
    encoder_blocks: int = 4
    decoder_width: int = 384
    decoder_blocks: int = 6
    block_kernel: int = 5
    expansion: int = 3
    activation: str = "silu"
    low: int = 160
    high: int = 160
    #: Edges, in transform bins of sample_rate / 2 / hop Hz, of the bands coded as energies.
    band_edges: tuple[int, ...] = (160, 180, 200, 224, 256, 288, 320, 368, 416, 480)
    codebooks: int = 48
    codebook_size: int = 1024
    #: The first `low_codebooks` code the low coefficients and the energies alone.
    low_codebooks: int = 12
    #: Largest correction of the encoder network, as a share of the frame's root mean square.
    correction: float = 0.5

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
    def bands(self) -> int:
        """Number of bands coded as energies."""
        return len(self.band_edges) - 1

    @property
    def latent_dim(self) -> int:
        """Dimensions of a frame's latent."""
        return self.low + self.bands + self.high

    @property
    def low_dim(self) -> int:
        """Dimensions that the first `low_codebooks` code."""
        return self.low + self.bands

    def codebook_dim(self, index: int) -> int:
        """Dimensions that codebook `index` codes."""
        return self.low_dim if index < self.low_codebooks else self.latent_dim

    def to_json(self) -> str:
        """The config as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Read what `to_json` wrote.

        Raises:
            WeightsError: the text is no config, or has fields or values that this version does not know.

        >>> ModelConfig.from_json(ModelConfig(name="other").to_json()).name
        'other'
        """
        try:
            values: dict[str, Any] = json.loads(text)
            config = cls(**{key: tuples(value) for key, value in values.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise WeightsError("the weights hold a model description that this version cannot read; "
                               "update nac or use other weights") from error
        try:
            config.validate()
        except (TypeError, IndexError) as error:
            raise WeightsError("the weights describe a model with values of a wrong kind; use other weights") from error
        return config

    def validate(self) -> None:
        """Check that the numbers fit each other.

        Raises:
            WeightsError: they do not.
        """
        sizes = (self.encoder_width, self.encoder_blocks, self.decoder_width, self.decoder_blocks, self.block_kernel,
                 self.expansion, self.low, self.high, self.codebooks, self.codebook_size, *self.strides,
                 *self.encoder_channels, *self.decoder_channels)
        steps = len(self.strides) - 1
        ok = (all(isinstance(size, int) and 0 < size <= 65_536 for size in sizes)
              and self.sample_rate % self.hop == 0
              and len(self.encoder_channels) == len(self.decoder_channels) == steps
              and len(self.encoder_units) == len(self.decoder_units) == steps
              and self.low == self.band_edges[0] and self.band_edges[-1] == self.hop
              and self.low + self.high <= self.hop and 2 <= self.codebook_size <= 65_536
              and list(self.band_edges) == sorted(set(self.band_edges)))
        if not ok:
            raise WeightsError("the weights describe a model whose sizes do not fit each other; use other weights")


def tuples(value: Any) -> Any:
    """Lists, at any depth, to the tuples that frozen configs hold: JSON knows no tuples."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value
