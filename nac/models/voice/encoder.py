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
        parameters, voice, shape = analysed.parameters, self.voice, self.voice.config
        one = slice(channel, channel + 1)
        pitch = torch.as_tensor(encode_pitch(parameters.f0[one, frames]), device=analysed.coefficients.device)
        search, decoder = self._runs[channel]
        # Of both kinds of frames; what is too much for a frame's own kind is not kept.
        counts = voice.order.counts(n_codebooks)
        points = [both for point in commit_points for both in voice.order.counts(point)] + counts
        n_envelope, n_low = (max(column) for column in zip(*counts, strict=True))
        envelope_points, low_points = (sorted(set(column)) for column in zip(*points, strict=True))
        codes = pitch.new_zeros(1, shape.n_codebooks, pitch.shape[1])
        codes[:, 0] = pitch
        latent = voice.quantizer.to_latent(parameters.bands[one, frames], parameters.aperiodicity[one, frames])
        envelope = voice.quantizer.encode(latent, n_envelope, self.beam, envelope_points, search)
        codes[:, 1 : 1 + n_envelope] = envelope
        _, core = voice.quantizer.decode(envelope[:, : shape.core_codebooks], decoder)
        if n_low > 0:
            scale = voice.low_band_scale(pitch, core, envelope)
            low = voice.low_band.encode(analysed.coefficients[one, frames], scale, n_low, self.beam, low_points)
            codes[:, 1 + shape.envelope_codebooks :][:, :n_low] = low
        return voice.order.to_file(codes, n_codebooks)[0]
