"""Predictive residual quantizer of the spectral envelope and aperiodicity.

A frame is predicted from the one before, and the residual is coded. The prediction uses what the first codebooks (the
core) have made of the earlier frames and nothing of the others, so that those can be dropped from coded frames, as
`nac reduce` does, and the decoder still predicts what the encoder did.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nac.errors import WeightsError
from nac.models.config import VoiceConfig
from nac.models.layers import State
from nac.models.quantizer import ResidualCodebooks, SearchCodebook, beam_search
from nac.models.voice.frame_search import search_frame
from nac.models.voice.timing import FRAMES

#: Power added to each band before its logarithm is coded: weaker sound is silence.
POWER_FLOOR = 1e-8
#: Times in a frame for which aperiodicity is coded, each the mean of its 5 ms steps.
APERIODICITY_TIMES = 2
#: A prediction that keeps so much of a state or more would never forget an error.
MAX_SPECTRAL_RADIUS = 0.995


class EnvelopeQuantizer(nn.Module):
    """Envelope and aperiodicity of a frame as one latent, and its codes.

    The features of a frame, its log bands in each 5 ms step and its aperiodicity at two times, are weighted by how well
    errors in them are heard, then projected on their principal components.

    Attributes:
        weights: `[features]`.
        mean: `[features]`, of the weighted features.
        components: `[features, dim]`, orthonormal columns.
        prediction: `[dim, dim]`, a state times it, plus `offset`, is the prediction of the next frame.
        offset: `[dim]`.
    """

    weights: Tensor
    mean: Tensor
    components: Tensor
    prediction: Tensor
    offset: Tensor

    def __init__(self, config: VoiceConfig, codebook_size: int) -> None:
        """Without prediction, and with codebooks of zeros, until they are fitted or loaded."""
        super().__init__()
        self.config = config
        features = FRAMES * config.n_bands + APERIODICITY_TIMES * config.n_aperiodicity_bands
        dim = config.envelope_dim
        self.residual = ResidualCodebooks(config.envelope_codebooks, codebook_size, dim)
        self.register_buffer("weights", feature_weights(config))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("components", torch.eye(features, dim))
        self.register_buffer("prediction", torch.zeros(dim, dim))
        self.register_buffer("offset", torch.zeros(dim))
        self.register_load_state_dict_post_hook(_validate)  # type: ignore[no-untyped-call]

    def validate(self) -> None:
        """Check what was loaded.

        Raises:
            WeightsError: the prediction does not forget, so that an error in it, or a damaged block, would stay for
                ever, or weights are not above zero.
        """
        # Eigenvalues of what is not finite would crash some versions of LAPACK.
        finite = bool(torch.isfinite(self.prediction).all())
        radius = float(torch.linalg.eigvals(self.prediction.double()).abs().max()) if finite else math.inf
        if radius > MAX_SPECTRAL_RADIUS:
            raise WeightsError(
                f"the voice model predicts with a spectral radius of {radius:.3f}, it must be at most "
                f"{MAX_SPECTRAL_RADIUS}; use other weights"
            )
        if not float(self.weights.min()) > 0:
            raise WeightsError("the voice model weights features with a number that is not above 0; use other weights")

    def to_features(self, bands: Tensor, aperiodicity: Tensor) -> Tensor:
        """Weighted features of frames, `[batch, frames, features]`, from what `to_latent` takes."""
        batch, frames = bands.shape[:2]
        bands = (bands.exp() + POWER_FLOOR).log()
        halves = aperiodicity.view(batch, frames, APERIODICITY_TIMES, -1, aperiodicity.shape[-1]).mean(3)
        return torch.cat([bands.flatten(2), halves.flatten(2)], -1) * self.weights

    def to_latent(self, bands: Tensor, aperiodicity: Tensor) -> Tensor:
        """Parameters of frames as latents.

        Args:
            bands: natural logarithm of power, `[batch, frames, 4, bands]`.
            aperiodicity: `[batch, frames, 4, aperiodicity bands]`, 0 to 1.

        Returns:
            `[batch, frames, dim]`.
        """
        return (self.to_features(bands, aperiodicity) - self.mean) @ self.components

    def to_curves(self, latent: Tensor) -> Tensor:
        """Latents as parameters; in the directions of the components the inverse of `to_latent`.

        Args:
            latent: `[batch, frames, dim]`.

        Returns:
            `[batch, 4 · frames, bands + aperiodicity bands]`, a row for each 5 ms step.
        """
        batch, frames, _ = latent.shape
        features = (latent @ self.components.T + self.mean) / self.weights
        split = FRAMES * self.config.n_bands
        bands, halves = features[..., :split], features[..., split:]
        halves = halves.reshape(batch, APERIODICITY_TIMES * frames, -1)
        steps = halves.repeat_interleave(FRAMES // APERIODICITY_TIMES, 1)
        return torch.cat([bands.reshape(batch, FRAMES * frames, -1), steps], -1)

    def decode(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, Tensor]:
        """Dequantize codes.

        Args:
            codes: `[batch, n_codebooks, frames]`, −1 for none: a frame without any is as predicted.
            state: of the stream that the frames continue; None: the first frame has nothing to predict it from.

        Returns:
            The latent, and what the core alone makes of it, both `[batch, frames, dim]`.
        """
        core = self.config.core_codebooks
        innovation = self.residual.decode(codes[:, :core])
        rows, previous = [], self._previous(state, codes.shape[0])
        for frame in range(codes.shape[2]):
            previous = previous @ self.prediction + self.offset + innovation[:, frame]
            rows.append(previous)
        if state is not None:
            state[self] = previous
        states = torch.stack(rows, 1) if rows else innovation
        return self.complete(states, codes), states

    def complete(self, core: Tensor, codes: Tensor) -> Tensor:
        """Add to what the core makes of frames what the other codes say.

        Args:
            core: `[batch, frames, dim]`.
            codes: `[batch, n_codebooks, frames]`, of which those of the core are not read; −1 for none.

        Returns:
            The latent, `[batch, frames, dim]`.
        """
        first = self.config.core_codebooks
        return core + self.residual.decode(codes[:, first:], first)

    @torch.no_grad()
    def encode(
        self,
        latent: Tensor,
        n_codebooks: int,
        beam: int = 1,
        commit_points: Sequence[int] = (),
        state: State | None = None,
    ) -> Tensor:
        """Quantize latents.

        Args:
            latent: `[batch, frames, dim]`.
            n_codebooks: how many codebooks to use, from the first on.
            beam: paths kept by the search.
            commit_points: numbers of codebooks, besides the core, after which only the best path goes on: a file
                reduced to one of them holds what encoding with so many gives.
            state: of the stream that the frames continue, other than the decoder's; None: nothing came before.

        Returns:
            `[batch, n_codebooks, frames]`.
        """
        batch, frames, _ = latent.shape
        core = min(self.config.core_codebooks, n_codebooks)
        codebooks = self.residual.search_codebooks(n_codebooks)
        codes = latent.new_zeros(batch, n_codebooks, frames, dtype=torch.long)
        residual = torch.empty_like(latent)
        previous = self._previous(state, batch)
        # Only the core decides predictions, so only its codes are searched frame by frame.
        for frame in range(frames):
            predicted = previous @ self.prediction + self.offset
            codes[:, :core, frame], left = self._search_core(
                latent[:, frame] - predicted, codebooks[:core], beam, commit_points
            )
            previous = latent[:, frame] - left
            residual[:, frame] = left
        if n_codebooks > core:
            points = [point - core for point in commit_points]
            rest = beam_search(residual.flatten(0, 1), codebooks[core:], beam, points)[0]
            codes[:, core:] = rest.view(batch, frames, -1).transpose(1, 2)
        if state is not None:
            state[self] = previous
        return codes

    def _search_core(
        self, residual: Tensor, codebooks: Sequence[SearchCodebook], beam: int, commit_points: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Codes `[batch, codebooks]` of one frame of each item, and the residuals they leave, both `[batch, dim]`."""
        if residual.device.type != "cpu":
            codes = beam_search(residual, codebooks, beam, commit_points)[0]
            return codes, residual - self.residual.decode(codes[..., None])[:, 0]
        found = [search_frame(item, codebooks, beam, commit_points) for item in residual]
        return torch.tensor([codes for codes, _ in found]), torch.stack([left for _, left in found])

    def _previous(self, state: State | None, batch: int) -> Tensor:
        previous = None if state is None else state.get(self)
        return self.offset.new_zeros(batch, len(self.offset)) if previous is None else previous


def _validate(quantizer: EnvelopeQuantizer, _: object) -> None:
    quantizer.validate()


def feature_weights(config: VoiceConfig) -> Tensor:
    """Weights of the features, `[features]`: errors are heard less in the lowest and the highest bands."""
    bands = _interpolate(config.n_bands, (0, 3 / 31, 22 / 31, 1), (0.7, 1, 1, 0.5))
    aperiodicity = 2.5 * _interpolate(config.n_aperiodicity_bands, (0, 1 / 6, 4 / 6, 5 / 6, 1), (0.7, 1, 1, 0.8, 0.6))
    return torch.cat([bands.repeat(FRAMES), aperiodicity.repeat(APERIODICITY_TIMES)])


def _interpolate(count: int, at: Sequence[float], values: Sequence[float]) -> Tensor:
    """`count` values of the curve through points, from 0 to 1 along its axis."""
    x, points, heights = torch.linspace(0, 1, count), torch.tensor(at), torch.tensor(values)
    right = torch.searchsorted(points, x).clamp(1, len(points) - 1)
    share = (x - points[right - 1]) / (points[right] - points[right - 1])
    return torch.lerp(heights[right - 1], heights[right], share)
