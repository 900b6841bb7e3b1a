"""Losses modelled on hearing: loudness over Bark bands, and envelopes in third octaves.

Log spectra treat every band alike at every level. The loudness loss knows the threshold of hearing, the compression
of loudness and that added sound disturbs more than missing sound; the envelope loss asks that speech stays
intelligible. Both are differentiable relatives of the scores with these aims.
"""

import math

import torch
from torch import Tensor, nn

#: Frames of the loudness loss, in seconds: a window of 32 ms, every 16 ms.
WINDOW, STEP = 0.032, 0.016
BAND = 0.5
#: Level that speech is heard at: root mean square on a scale where the threshold constants below hold.
LISTENING = 3162.0
#: Highest frequency that counts, in Hz.
TOP = 8000.0
#: Frames with less power, all bands together, at the listening level count as pauses.
ACTIVE = 1e6
#: Signals quieter than this (full scale 1) are not raised to the listening level.
QUIETEST = 0.003


def bark(frequency: Tensor) -> Tensor:
    """Critical-band rate of a frequency in Hz (Zwicker and Terhardt 1980)."""
    return 13 * torch.atan(0.00076 * frequency) + 3.5 * torch.atan((frequency / 7500).square())


def threshold(frequency: Tensor) -> Tensor:
    """Threshold of hearing in dB SPL (Terhardt 1979)."""
    khz = frequency.clamp(min=20.0) / 1000
    return 3.64 * khz.pow(-0.8) - 6.5 * torch.exp(-0.6 * (khz - 3.3).square()) + 1e-3 * khz.pow(4)


class LoudnessLoss(nn.Module):
    """Disturbance of loudness between reference and estimate, in the manner of ITU-T P.862 without its time alignment.

    Bark power up to 8 kHz; what a slow equaliser or volume control could undo is forgiven; Zwicker's loudness; a dead
    zone for what is masked; a second term for sound that was added; and the worst moments of each third of a second
    count most.
    """

    window: Tensor
    bands: Tensor
    quiet: Tensor
    exponent: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.size = int(WINDOW * sample_rate)
        self.step = int(STEP * sample_rate)
        centres = torch.arange(self.size // 2 + 1) * (sample_rate / self.size)
        half = sample_rate / self.size / 2
        low, high = bark((centres - half).clamp(min=0)), bark(centres + half)
        edges = torch.arange(1.0, float(bark(torch.tensor(min(TOP, sample_rate / 2)))), BAND)
        overlap = torch.minimum(high[:, None], edges + BAND) - torch.maximum(low[:, None], edges)
        share = overlap.clamp(min=0) / (high - low)[:, None]
        middle = edges + BAND / 2
        frequency = torch.stack([centres[(bark(centres) - value).abs().argmin()] for value in middle])
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("bands", share * (6.9e-6 * (512 / self.size) ** 2), persistent=False)
        quiet = threshold(frequency)
        self.register_buffer("quiet", 0.25 * 10 ** ((quiet - quiet.min()) / 10), persistent=False)
        # Loudness grows faster with level at the lowest bands.
        low_bands = torch.where(middle < 4, (6 / (middle + 2)).clamp(max=2).pow(0.15), torch.ones(()))
        self.register_buffer("exponent", 0.23 * low_bands, persistent=False)

    def power(self, x: Tensor) -> Tensor:
        """Bark power `[batch, frames, bands]` of `[batch, samples]` at the listening level."""
        level = x.square().mean(-1, keepdim=True).add(1e-12).sqrt().clamp(min=QUIETEST)
        frames = torch.stft(
            x * (LISTENING / level), self.size, self.step, window=self.window, return_complex=True, center=False
        )
        return (frames.real.square() + frames.imag.square()).transpose(1, 2) @ self.bands

    def loudness(self, power: Tensor) -> Tensor:
        """Specific loudness of Bark power (Zwicker's law)."""
        scale = 0.187 * (self.quiet / 0.5).pow(self.exponent)
        return scale * ((0.5 + 0.5 * power / self.quiet).pow(self.exponent) - 1).clamp(min=0)

    def forward(self, reference: Tensor, estimate: Tensor) -> Tensor:
        """Mean disturbance of `[batch, samples]`, about 0 (alike) to 4 (unbearable), one value for each."""
        a, b = self.power(reference), self.power(estimate)
        # The reference takes on the mean spectrum of the estimate, over the frames with sound, ...
        sound = (a.sum(-1, keepdim=True) > ACTIVE).to(a)
        a = a * (((b * sound).mean(1, keepdim=True) + 1e3) / ((a * sound).mean(1, keepdim=True) + 1e3)).clamp(0.01, 100)
        # ... and the estimate the level of each of the reference's frames, smoothed over the frame before.
        ratio = ((a.sum(-1) + 5e3) / (b.sum(-1) + 5e3)).clamp(3e-4, 5.0)
        ratio = torch.cat([ratio[:, :1], 0.8 * ratio[:, 1:] + 0.2 * ratio[:, :-1]], 1)
        b = b * ratio[..., None]
        loud_a, loud_b = self.loudness(a), self.loudness(b)
        masked = 0.25 * torch.minimum(loud_a, loud_b)
        distance = ((loud_b - loud_a).abs() - masked).clamp(min=0)
        added = ((b + 50) / (a + 50)).clamp(min=1e-6).pow(1.2).clamp(max=12.0)
        added = torch.where(added < 3, torch.zeros_like(added), added).detach()
        whole = BAND * distance.shape[-1]
        symmetric = (distance.square().sum(-1) * BAND).add(1e-6).sqrt() * math.sqrt(whole)
        asymmetric = (distance * added).sum(-1) * BAND
        # Loud frames count a little less for the same disturbance.
        weight = ((a.sum(-1) + 1e5) / 1e7).pow(0.04)
        return 0.1 * _worst((symmetric / weight).clamp(max=45)) + 0.0309 * _worst((asymmetric / weight).clamp(max=45))


def _worst(x: Tensor) -> Tensor:
    """Mean over `[batch, frames]` that follows the worst frames of each 20, half overlapping, and then the squares."""
    parts = x.unfold(1, min(20, x.shape[1]), 10) + 1e-3
    return parts.pow(6).mean(-1).pow(1 / 6).square().mean(-1).sqrt()


class EnvelopeLoss(nn.Module):
    """One minus the correlation of short-time envelopes in third-octave bands, after the intelligibility measure of
    Taal et al. (2011), without its removal of silent frames: silent segments do not count."""

    window: Tensor
    bands: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.size, self.fft = int(0.0256 * sample_rate), 1 << math.ceil(math.log2(0.0256 * sample_rate))
        self.length = 30
        centres = torch.arange(self.fft // 2 + 1) * (sample_rate / self.fft)
        middle = 150 * 2 ** (torch.arange(15) / 3)
        inside = (centres[:, None] >= middle * 2 ** (-1 / 6)) & (centres[:, None] < middle * 2 ** (1 / 6))
        self.register_buffer("bands", inside.float(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def envelopes(self, x: Tensor) -> Tensor:
        """`[batch, samples]` to `[batch, segments, bands, 30]`; crops below 0.4 s make one shorter segment."""
        frames = torch.stft(x, self.fft, self.size // 2, self.size, self.window, return_complex=True, center=False)
        power = (frames.real.square() + frames.imag.square()).transpose(1, 2) @ self.bands
        return (power + 1e-7).sqrt().unfold(1, min(self.length, power.shape[1]), 3)

    def forward(self, reference: Tensor, estimate: Tensor) -> Tensor:
        """One value for each of `[batch, samples]`, 0 (alike) to 1."""
        a, b = self.envelopes(reference), self.envelopes(estimate)
        level = a.square().sum((-1, -2))
        counts = (level > 1e-3 * level.amax(1, keepdim=True)) & (level > 1e-3)
        b = b * (a.square().sum(-1, keepdim=True) / b.square().sum(-1, keepdim=True)).sqrt()
        b = torch.minimum(b, a * (1 + 10 ** (15 / 20)))
        a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
        norm = (a.square().sum(-1) * b.square().sum(-1) + 1e-12).sqrt()
        correlation = ((a * b).sum(-1) / norm).mean(-1)
        return ((1 - correlation) * counts).sum(1) / counts.sum(1).clamp(min=1)
