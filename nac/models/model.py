"""The whole network: `NacModel` = encoder, quantizer, decoder and the spectrum they share."""

import torch
from torch import Tensor, nn

from nac.models.config import ModelConfig
from nac.models.layers import State, with_past
from nac.models.quantizer import ResidualQuantizer
from nac.models.seanet import Decoder, Encoder, Spectrum
from nac.models.transform import NOISE_PERIOD
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.mode import ModeClassifier


class NacModel(nn.Module):
    """A causal waveform codec network.

    A signal of n samples, padded to whole frames and by one more, makes ceil(n / hop) + 1 frames; the decoder gives
    as many hops back, of which the first is before the signal's start and dropped.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Starts as the linear codec of `nac.models.transform`, with codebooks of zeros.

        Raises:
            WeightsError: the config is not consistent.
        """
        super().__init__()
        config.validate()
        self.config = config
        self.spectrum = Spectrum(config)
        self.encoder = Encoder(config)
        self.quantizer = ResidualQuantizer(config)
        self.decoder = Decoder(config)
        self.voice = None if config.voice is None else VoiceDecoder(config.voice, config.codebook_size)
        self.mode = None if config.voice is None else ModeClassifier()

    def analyse(self, samples: Tensor, state: State | None = None) -> Tensor:
        """Waveform to latent, before quantization.

        Args:
            samples: `[batch, frames · hop]`, full scale 1.
            state: of the stream that the samples continue; None: silence came before.

        Returns:
            `[batch, frames, latent]`.
        """
        out: Tensor = self.encoder(samples[..., None], self.spectrum, state)
        return out

    def synthesise(
        self, latent: Tensor, n_codebooks: Tensor, first_frame: int | Tensor = 0, state: State | None = None
    ) -> Tensor:
        """Quantized latent to waveform, one hop late.

        Args:
            latent: `[batch, frames, latent]`.
            n_codebooks: `[batch, frames]`: how many codebooks coded each frame, from 0 on.
            first_frame: number of the first frame in its file, or `[batch]` numbers; it selects the noise.
            state: of the stream that the frames continue; None: silence came before.

        Returns:
            `[batch, frames · hop]` samples.
        """
        frames = torch.arange(latent.shape[1], device=latent.device)
        start = torch.as_tensor(first_frame, device=latent.device).reshape(-1, 1)
        noise = self.spectrum.noise[(start + frames) % NOISE_PERIOD].expand(latent.shape[0], -1, -1)
        out: Tensor = self.decoder(latent, noise, n_codebooks, self.spectrum, state)
        return out[..., 0]

    def synthesise_heard(
        self, latent: Tensor, n_codebooks: Tensor, first_frame: int | Tensor = 0, state: State | None = None
    ) -> Tensor:
        """As `synthesise`, but silent where frames have no codes, such as those of the side of two equal channels.

        The network's own output for a latent of zeros is not silent.
        """
        samples = self.synthesise(latent, n_codebooks, first_frame, state)
        # A frame's sound ends one frame later.
        counts = with_past(self, n_codebooks[..., None], 1, state)[..., 0]
        heard = (counts[:, 1:] > 0) | (counts[:, :-1] > 0)
        return samples * heard.repeat_interleave(self.config.hop, 1)
