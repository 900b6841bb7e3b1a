"""The decoder of the voice model: codes of frames to samples."""

import torch
from torch import Tensor, nn

from nac.errors import WeightsError
from nac.models.config import VoiceConfig
from nac.models.layers import Delay, State
from nac.models.voice.contour import PitchContour
from nac.models.voice.control import ControlNetwork, pitch_features
from nac.models.voice.crossover import CombFilter, CrossoverLevel
from nac.models.voice.low_band import LowBand
from nac.models.voice.noise import even_noise_table
from nac.models.voice.order import CodeOrder, is_steady
from nac.models.voice.pitch_code import decode_pitch
from nac.models.voice.pulses import PulseTrain
from nac.models.voice.quantizer import EnvelopeQuantizer
from nac.models.voice.refinement import Refinement
from nac.models.voice.spectrum import EnvelopeSpectrum
from nac.models.voice.synthesis import SourceFilter
from nac.models.voice.timing import HOP, STEP


class VoiceDecoder(nn.Module):
    """Codes to samples, one hop late.

    A frame describes a hop. With it, the synthesis is complete up to the centre of the hop's last step, 60 samples
    before its end; a spectrum of the refinement begins with whole steps, which costs 60 more, and overlaps with later
    ones over 360. So a frame completes the hop before the one that it describes.
    """

    #: Samples from the end of the hop that a frame describes back to the end of what it completes.
    DELAY = HOP

    #: See `even_noise_table`.
    noise: Tensor
    comb_shares: Tensor

    def __init__(self, config: VoiceConfig, codebook_size: int) -> None:
        """Without what is fitted on speech, see the parts, a vocoder of silence.

        Args:
            config: the shape of the voice model.
            codebook_size: vectors in each codebook.
        """
        super().__init__()
        self.config = config
        self.order = CodeOrder(config)
        self.quantizer = EnvelopeQuantizer(config, codebook_size)
        self.spectrum = EnvelopeSpectrum(config)
        self.low_band = LowBand(config, codebook_size)
        self.contour = PitchContour()
        self.pulses = PulseTrain()
        self.control = ControlNetwork(config)
        self.source_filter = SourceFilter(config)
        self.comb, self.level = CombFilter(), CrossoverLevel(config)
        self.register_buffer("noise", even_noise_table(HOP), persistent=False)
        self.register_buffer("comb_shares", torch.tensor([0.0, *config.comb]), persistent=False)
        self.refinement = Refinement(config)
        # A spectrum of the refinement ends with a whole step, of which the synthesis lacks its second half.
        self.late_synthesis = Delay(STEP // 2)
        self.late_low_band = Delay(STEP)
        self.late_curves, self.late_conditions = Delay(1), Delay(1)

    def validate(self) -> None:
        """Check what was loaded.

        Raises:
            WeightsError: it would not make finite sound, or not forget errors.
        """
        self.quantizer.validate()
        if not float(self.control.deviation.min()) > 0:
            raise WeightsError("the voice model holds deviations that are not above zero; use other weights")

    def forward(self, codes: Tensor, noise: Tensor, state: State | None = None) -> Tensor:
        """Decode.

        Args:
            codes: `[batch, n_codebooks, frames]`: of pitch, envelope and low bands, in the order of these parts, see
                `CodeOrder`; −1 for none. A frame whose code of pitch is not above 0 is not one of voice; it has no
                sound of its own, and its other codes are not read. A frame of voice without other codes sounds as
                predicted.
            noise: of a power of 1, `[batch, frames, hop]`: rows of `self.noise`.
            state: of the stream that the frames continue; None: silence came before.

        Returns:
            `[batch, frames · hop]`: the hops before the ones that the frames describe.
        """
        is_voice = codes[:, 0] > 0
        spectral = codes[:, 1:].where(is_voice[:, None], -1)
        n_envelope = self.config.envelope_codebooks
        envelope, low = spectral[:, :n_envelope], spectral[:, n_envelope:]
        n_used, n_low = (envelope >= 0).sum(1), (low >= 0).sum(1)

        f0 = self.contour(decode_pitch(codes[:, 0]), state)
        pitch = pitch_features(f0)
        latent, core = self.quantizer.decode(envelope, state)
        linear = self.quantizer.to_curves(latent)
        correction, hidden = self.control(latent, core, pitch, n_used, state)
        bands, aperiodicity = (linear + correction).tensor_split([self.config.n_bands], -1)
        curves = torch.cat([bands, aperiodicity.clamp(0, 1)], -1)

        source = torch.stack([self.pulses(f0, state), noise.flatten(1)], 2)
        source = source * is_voice.repeat_interleave(HOP, 1)[..., None]
        voiced = (f0 > 0).flatten(1)
        parts = self.source_filter(curves, voiced, source, self.spectrum, state)
        steady = is_steady(codes[:, 0])
        coefficients = self.low_band.decode(low, self.low_band_scale(codes[:, 0], core, envelope))
        level = self.level.of_frames(n_low, steady)
        share = self.comb_shares[level].where(steady, 0.0)
        coded = self.comb(self.low_band.synthesise(coefficients, state), f0, share, state)[..., None]
        streams = torch.cat([self.late_synthesis(parts, state), self.late_low_band(coded, state)], 2)

        conditions = None
        if self.refinement.learns:
            conditions = self.late_conditions(self.refinement.condition(hidden, pitch, n_low, state), state)
        levels = self.level(level, state)
        out: Tensor = self.refinement(streams, self.late_curves(curves, state), conditions, levels, state)
        return out

    def low_band_scale(self, pitch_codes: Tensor, core: Tensor, envelope: Tensor) -> Tensor:
        """What coefficients of the low bands are divided by, whatever codes are dropped after theirs.

        Args:
            pitch_codes: `[batch, frames]`.
            core: what the core codebooks make of the envelope, `[batch, frames, dim]`.
            envelope: codes `[batch, n_codebooks, frames]`; only those that come before any of the low bands are read.

        Returns:
            `[batch, frames, coefficients]`.
        """
        number = torch.arange(envelope.shape[1], device=envelope.device)[:, None]
        before = envelope.where(number < self.order.first_envelope(pitch_codes)[:, None], -1)
        curves = self.quantizer.to_curves(self.quantizer.complete(core, before))
        return self.low_band.scale(curves, self.spectrum)
