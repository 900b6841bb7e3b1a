"""The start of a voice model: what is fitted on its parameters before any network learns.

The map from bands to spectra by least squares; the envelope's components, prediction and codebooks in a closed loop,
that is with the prediction that the decoder will have; and the codebooks of the low bands.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nac.errors import AudioError
from nac.models.quantizer import ResidualCodebooks
from nac.models.voice.analysis import BAND_FLOOR
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.envelope import SIZE, band_weights, spectral_envelope
from nac.models.voice.low_band import SCALE_STEPS, LowBand, compress
from nac.models.voice.quantizer import MAX_SPECTRAL_RADIUS, EnvelopeQuantizer
from nac.models.voice.spectrum import EnvelopeSpectrum
from nac.models.voice.timing import FRAMES, HOP, STEP
from nac.training.codebooks.initialise import kmeans
from nac.training.codebooks.trainer import nearest
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.examples import Sampler, Stretch, draw_gains, parameters, samples
from nac.training.voice.recordings import Recordings

log = logging.getLogger(__name__)
#: Frames whose mean weighted band is below this share of all are silence, and only counted by the prediction.
_SILENT_SHARE = 0.15
#: Strength of the ridge regressions of spectra and of predictions.
_SPECTRUM_RIDGE, _PREDICTION_RIDGE = 1e-3, 30.0
#: Largest spectral radius that a fitted prediction keeps, below what is allowed.
_RADIUS = MAX_SPECTRAL_RADIUS - 0.005
#: Log power of the lower bands below which coefficients are those of silence.
_AUDIBLE, _LOWER_BANDS = -11.0, 20
#: Vectors that the codebooks of the low bands are fitted on.
_LOW_VECTORS = 60_000


def fit(decoder: VoiceDecoder, recordings: Recordings, config: VoiceTrainingConfig) -> None:
    """Fit everything of `decoder` that is not a network.

    Raises:
        AudioError: the recordings are too short for the codebooks.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    pieces = recordings.pieces()
    hops = min(config.fit_hops, max(piece.hops for piece in pieces))
    sampler = Sampler(pieces, draw_gains(len(pieces), config.gain, config.seed), hops, config.source_power)
    stretches = [sampler.draw(rng, hops) for _ in range(config.fit_sequences)]
    size = decoder.quantizer.residual.codebooks.shape[1]
    if len(stretches) * hops < 2 * size:
        raise AudioError(f"codebooks of {size} vectors need more than {len(stretches) * hops} frames to be fitted on")
    fit_spectrum(decoder.spectrum, recordings, config.fit_steps, rng)
    latent = fit_envelope(decoder.quantizer, recordings, stretches, config)
    fit_low_band(decoder, recordings, stretches, latent, config)
    decoder.control.deviation.copy_(latent.core.flatten(0, 1).std(0) + 0.05)


@torch.no_grad()
def fit_spectrum(spectrum: EnvelopeSpectrum, recordings: Recordings, count: int, rng: np.random.Generator) -> None:
    """Least squares from log bands to the log spectrum, over random steps."""
    weights = band_weights()
    steps = np.sort(rng.integers(0, recordings.hops * FRAMES, count))
    gram = cross = None
    for part in np.array_split(steps, max(1, count // 4000)):
        starts = part * STEP + STEP // 2 - SIZE // 2
        places = (starts[:, None] + np.arange(SIZE)).clip(0, len(recordings.audio) - 1)
        cut = torch.from_numpy(recordings.audio[places].astype(np.float32) / 32767)
        f0 = torch.from_numpy(recordings.parameters[part, 0].astype(np.float32))
        envelope = spectral_envelope(cut, f0).double()
        bands = (envelope @ weights.double() + BAND_FLOOR).log()
        x = torch.cat([bands, torch.ones(len(bands), 1, dtype=torch.float64)], 1)
        gram = x.T @ x + (0 if gram is None else gram)
        cross = x.T @ (envelope + BAND_FLOOR).log() + (0 if cross is None else cross)
    assert gram is not None and cross is not None
    ridge = _SPECTRUM_RIDGE * torch.eye(len(gram), dtype=torch.float64)
    spectrum.basis.copy_(torch.linalg.solve(gram + ridge, cross))


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the quantizer makes of the sequences: latents, and those of the core alone, `[sequences, hops, dim]`."""

    latent: Tensor
    core: Tensor


@torch.no_grad()
def fit_envelope(
    quantizer: EnvelopeQuantizer, recordings: Recordings, stretches: Sequence[Stretch], config: VoiceTrainingConfig
) -> Decoded:
    """Components, prediction and codebooks; returns what they then make of the sequences."""
    found = parameters(recordings, stretches)
    features = quantizer.to_features(found.bands, found.aperiodicity)
    level = features[..., : FRAMES * quantizer.config.n_bands].mean(-1)
    active = level > level.flatten().kthvalue(1 + int(_SILENT_SHARE * (level.numel() - 1))).values
    chosen = features[active]
    dim = quantizer.config.envelope_dim
    quantizer.mean.copy_(chosen.mean(0))
    quantizer.components.copy_(torch.linalg.eigh(torch.cov((chosen - quantizer.mean).T))[1].flip(1)[:, :dim])
    latent = quantizer.to_latent(found.bands, found.aperiodicity)
    loud = active[:, 1:]
    variance = (latent[active] - latent[active].mean(0)).square().sum()

    # First as if there were no quantizer, then with what it does to the state that predictions come from.
    _fit_prediction(quantizer, latent[:, :-1], latent[:, 1:])
    predicted = latent[:, :-1] @ quantizer.prediction + quantizer.offset
    fit_residual(quantizer.residual, (latent[:, 1:] - predicted)[loud], config.kmeans_rounds, anew=True)
    for number in range(config.fit_rounds + 1):
        codes = quantizer.encode(latent, quantizer.config.envelope_codebooks, config.beam if number else 1)
        decoded = Decoded(*quantizer.decode(codes))
        errors = [float((latent - x)[active].square().sum() / variance) for x in (decoded.core, decoded.latent)]
        log.info("envelope, round %d: the core leaves %.4f of the variance, all codebooks %.4f", number, *errors)
        if number < config.fit_rounds:
            _fit_prediction(quantizer, decoded.core[:, :-1], latent[:, 1:])
            predicted = decoded.core[:, :-1] @ quantizer.prediction + quantizer.offset
            residual = (latent[:, 1:] - predicted)[loud]
            fit_residual(quantizer.residual, residual, config.kmeans_rounds, anew=number == 0)
    return decoded


def _fit_prediction(quantizer: EnvelopeQuantizer, before: Tensor, after: Tensor) -> None:
    """Ridge regression from the states before to the latents after."""
    x = torch.cat([before.flatten(0, 1), torch.ones(before.shape[0] * before.shape[1], 1)], 1)
    gram = x.T @ x + _PREDICTION_RIDGE * torch.eye(x.shape[1])
    found = torch.linalg.solve(gram, x.T @ after.flatten(0, 1))
    radius = float(torch.linalg.eigvals(found[:-1].double()).abs().max())
    quantizer.prediction.copy_(found[:-1] * min(1.0, _RADIUS / radius))
    quantizer.offset.copy_(found[-1])


@torch.no_grad()
def fit_residual(codebooks: ResidualCodebooks, vectors: Tensor, rounds: int, anew: bool) -> None:
    """Codebooks one after another by k-means, each on what those before it leave of `[vectors, dim]`.

    Args:
        codebooks: to set.
        vectors: to fit them on.
        rounds: of k-means.
        anew: start from random vectors, not from the codebooks as they are.
    """
    count, size, _ = codebooks.codebooks.shape
    residual = vectors.clone()
    for index in range(count):
        start = residual[torch.randperm(len(residual))[:size]] if anew else codebooks.codebooks[index]
        if len(start) < size:
            start = torch.cat([start, residual[torch.randint(len(residual), (size - len(start),))]])
        book, _ = kmeans(residual, start.clone(), rounds)
        codebooks.codebooks[index] = book
        residual -= book[nearest(residual, book)]


@torch.no_grad()
def fit_low_band(
    decoder: VoiceDecoder,
    recordings: Recordings,
    stretches: Sequence[Stretch],
    decoded: Decoded,
    config: VoiceTrainingConfig,
) -> None:
    """Codebooks of each low band, on coefficients scaled by the decoded envelope."""
    curves = decoder.quantizer.to_curves(decoded.latent)
    scale = decoder.low_band.scale(curves, decoder.spectrum)
    coefficients = low_coefficients(decoder.low_band, samples(recordings, stretches))
    steps = curves.view(*scale.shape[:2], FRAMES, -1)[:, :, -SCALE_STEPS:, :_LOWER_BANDS]
    # The last hop of a sequence lacks the one after it.
    audible = (steps.mean((2, 3)) > _AUDIBLE)[:, :-1]
    rows = (coefficients / scale)[:, :-1][audible]
    if not len(rows):
        raise AudioError("the recordings are silent below 2 kHz; train on voices")
    first = 0
    for codebooks in decoder.low_band.bands:
        assert isinstance(codebooks, ResidualCodebooks)
        width = codebooks.codebooks.shape[2]
        target = compress(rows[:, first : first + width], decoder.config.companding_knee)
        chosen = target[torch.randperm(len(target))[:_LOW_VECTORS]]
        fit_residual(codebooks, chosen, config.kmeans_rounds, anew=True)
        log.info("low band of %d coefficients: %d codebooks on %d frames", width, len(codebooks.codebooks), len(chosen))
        first += width


def low_coefficients(low_band: LowBand, sound: Tensor) -> Tensor:
    """Coefficients of frames that each span a hop and the one after it, `[batch, hops, coefficients]`.

    Args:
        low_band: whose transform it is.
        sound: `[batch, hops · hop]`; silence follows.
    """
    return low_band.analyse(torch.nn.functional.pad(sound, (0, HOP)))[:, 1:]
