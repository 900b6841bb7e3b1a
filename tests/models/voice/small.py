"""A small voice model for the tests."""

import torch

from nac.models.config import VoiceConfig
from nac.models.voice.decoder import VoiceDecoder

HOP, RATE = 480, 24_000
SMALL = VoiceConfig(
    envelope_dim=12,
    envelope_codebooks=5,
    core_codebooks=2,
    low_bands=((4, 40), (3, 48)),
    steady_order=((4, 3), (1, 4)),
    unsteady_order=((2, 5), (3, 2)),
    crossovers=((900.0, 3, 2), (2050.0, 6, 5)),
    control_width=16,
    control_blocks=1,
    refinement_width=16,
    refinement_frame_blocks=1,
    refinement_blocks=2,
)
CODEBOOKS, SIZE = SMALL.n_codebooks, 64
#: Natural logarithm of power in a band that sounds as loud as speech, and of silence.
LOUD, SILENT = -6.0, -18.0


def small_decoder(seed: int = 0, bands: float = LOUD, network: float = 0.02) -> VoiceDecoder:
    """A decoder whose every part is at work; `network` is the size of the networks' outputs."""
    torch.manual_seed(seed)
    decoder = VoiceDecoder(SMALL, SIZE)
    quantizer = decoder.quantizer
    features = len(quantizer.mean)
    with torch.no_grad():
        means = torch.full((features,), bands)
        means[4 * SMALL.n_bands :] = 0.3
        quantizer.mean.copy_(means * quantizer.weights)
        quantizer.components.copy_(torch.linalg.qr(torch.randn(features, SMALL.envelope_dim))[0])
        quantizer.prediction.copy_(torch.eye(SMALL.envelope_dim) * 0.9)
        for name, value in decoder.named_parameters():
            if name.endswith("codebooks"):
                value.copy_(torch.randn_like(value) * 0.8 ** torch.arange(len(value))[:, None, None])
            elif name.endswith(("out.weight", "n_codebooks_embedding")):
                value.copy_(torch.randn_like(value) * network)
    return decoder.eval()


def flat_decoder(bands: float = LOUD, network: float = 0.0) -> VoiceDecoder:
    """A decoder that has the same flat envelope and little aperiodicity whatever the codes."""
    decoder = small_decoder(bands=bands, network=network)
    decoder.quantizer.components.zero_()
    return decoder
