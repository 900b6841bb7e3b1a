"""The encoder of a model with voices: which frames are voice, and the codes of these."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nac.models.layers import State
from nac.models.voice.analysis import VoiceAnalysis, VoiceParameters
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.mode import ModeClassifier
from nac.models.voice.pitch_code import encode_pitch


@dataclass(frozen=True, eq=False)
class AnalysedVoice:
    """What the encoder knows of consecutive frames; frame f describes the hop before the newest.

    Attributes:
        parameters: of `[channels, frames]`.
        coefficients: of the low bands, `[channels, frames, coefficients]`.
        is_voice: bool `[channels, frames]`.
    """

    parameters: VoiceParameters
    coefficients: Tensor
    is_voice: Tensor


class VoiceEncoder:
    """Samples to codes of voice, with what must be remembered of a stream and of the run of voice at hand.

    Every run starts from new states, as the decoder's does, so that nothing of an earlier run decides a code.
    """

    def __init__(self, voice: VoiceDecoder, mode: ModeClassifier, channels: int, beam: int = 1) -> None:
        """An encoder for one stream.

        Args:
            voice: the quantizers, in evaluation mode.
            mode: tells which frames are voice.
            channels: that are coded each by itself.
            beam: paths kept by the codebook searches.
        """
        self.voice, self.mode, self.beam = voice, mode, beam
        self._analysis = VoiceAnalysis()
        self._state: State = {}
        #: Of each channel's run at hand: the search's state, and the decoder's.
        self._runs: list[tuple[State, State]] = [({}, {}) for _ in range(channels)]

    def analyse(self, samples: Tensor) -> AnalysedVoice:
        """Take in whole hops, `[channels, frames · hop]`, full scale 1."""
        parameters = self._analysis(samples.cpu(), self._state)
        device = self.voice.quantizer.mean.device
        parameters = VoiceParameters(parameters.f0, parameters.bands.to(device), parameters.aperiodicity.to(device))
        return AnalysedVoice(
            parameters,
            self.voice.low_band.analyse(samples, self._state),
            self.mode.decide(parameters, self._state),
        )

    def end_run(self, channel: int) -> None:
        """The next frame of voice in this channel begins a run."""
        self._runs[channel] = {}, {}

    def encode(
        self, analysed: AnalysedVoice, channel: int, frames: slice, n_codebooks: int, commit_points: Sequence[int] = ()
    ) -> Tensor:
        """Code frames of voice that continue the channel's run.

        Args:
            analysed: the frames and more.
            channel: whose frames.
            frames: which of them.
            n_codebooks: how many codebooks to use, at least 1.
            commit_points: numbers of codebooks after which only the best path of a search goes on.

        Returns:
            `[n_codebooks, frames]`.
        """
        parameters, voice = analysed.parameters, self.voice
        one = slice(channel, channel + 1)
        pitch = torch.as_tensor(encode_pitch(parameters.f0[one, frames]), device=analysed.coefficients.device)
        search, decoder = self._runs[channel]
        n_envelope = min(n_codebooks - 1, voice.config.envelope_codebooks)
        latent = voice.quantizer.to_latent(parameters.bands[one, frames], parameters.aperiodicity[one, frames])
        points = [point - 1 for point in commit_points]
        envelope = voice.quantizer.encode(latent, n_envelope, self.beam, points, search)
        parts = [pitch[:, None], envelope]
        n_low = n_codebooks - 1 - n_envelope
        decoded, _ = voice.quantizer.decode(envelope, decoder)
        if n_low > 0:
            scale = voice.low_band.scale(voice.quantizer.to_curves(decoded), voice.spectrum)
            points = [point - 1 - n_envelope for point in commit_points]
            parts.append(voice.low_band.encode(analysed.coefficients[one, frames], scale, n_low, self.beam, points))
        return torch.cat(parts, 1)[0]
