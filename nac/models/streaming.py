"""Samples to codes and back at the model's rate, piece by piece, with state and in constant memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nac.models.layers import State, with_past
from nac.models.model import NacModel
from nac.models.quantizer import ANCHORS

Samples = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint16]
Split = Callable[[int, int, int], Sequence[int]]

#: Stages share the bits of stereo so that mid and side end with like errors: each codebook lowers the error power by
#: this factor, about, so a side that is weaker by its n-th power does without n codebooks.
STAGE_GAIN = 0.93
#: The largest lag, for a side that is silent.
MAX_LAG = 255


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """Codes of consecutive frames: one array `[codebooks of channel, frames]` for mono, or mid and side.

    `side_lag` is by how many codebooks the side channel has fewer than mid.
    """

    codes: list[Codes]
    side_lag: int = 0

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.codes[0].shape[1])


class FrameEncoder:
    """Takes samples `[channels, n]` at the model's rate in any pieces; gives codes.

    `split(codebooks, channels, lag)` tells the codebooks of each channel (mono, or mid and side) for a total and a side
    lag from 0 to `MAX_LAG` (0 for mono), which is chosen for every `chunk` frames. It is asked also for the totals in
    `ANCHORS`, so that both channels of a file cut down to one of them hold what coding at that rate gives.

    The network always sees `chunk` frames at a time, however the samples arrive, so that every cut gives the same
    codes to the bit. The delay is that of the chunk: with `chunk=1` frame f comes as soon as the samples before
    (f + 1) · hop are in.
    """

    def __init__(
        self, model: NacModel, channels: int, codebooks: int, split: Split, beam: int = 1, chunk: int = 50
    ) -> None:
        self.model, self.channels, self.codebooks, self.beam, self.chunk = model, channels, codebooks, beam, chunk
        self._split = split
        self._hop = model.config.hop
        self._device = model.spectrum.deviation.device
        self._state: State = {}
        self._held: list[Samples] = []
        self._count = 0
        self.samples = 0

    def push(self, samples: Samples) -> list[CodedFrames]:
        """Take `[channels, n]` samples, n >= 0; return what became ready, `chunk` frames each."""
        self.samples += samples.shape[1]
        self._held.append(samples)
        self._count += samples.shape[1]
        size = self.chunk * self._hop
        if self._count < size:
            return []
        joined = np.concatenate(self._held, 1)
        whole = joined.shape[1] // size * size
        self._held = [joined[:, whole:].copy()]
        self._count = joined.shape[1] - whole
        return [self._code(joined[:, i : i + size]) for i in range(0, whole, size)]

    def flush(self) -> list[CodedFrames]:
        """The frames that are left, with one more to complete the last one's overlap; none after no samples."""
        if self.samples == 0:
            return []
        frames = -(-self._count // self._hop) + 1
        out = []
        joined = np.concatenate(self._held, 1)
        for first in range(0, frames, self.chunk):
            piece = joined[:, first * self._hop : (first + self.chunk) * self._hop]
            padded = np.zeros((self.channels, self.chunk * self._hop), np.float32)
            padded[:, : piece.shape[1]] = piece
            out.append(self._code(padded, min(self.chunk, frames - first)))
        self._held, self._count, self.samples, self._state = [], 0, 0, {}
        return out

    @torch.inference_mode()
    def _code(self, samples: Samples, frames: int | None = None) -> CodedFrames:
        if self.channels == 2:
            samples = np.stack([samples[0] + samples[1], samples[0] - samples[1]]) * np.float32(0.5)
        # Far beyond full scale there is nothing to hear, and squares would overflow.
        latent = self.model.analyse(torch.from_numpy(samples.clip(-1e3, 1e3)).to(self._device), self._state)[:, :frames]
        lag = self._lag(latent) if self.channels == 2 else 0
        anchors = list(zip(*(self._split(total, self.channels, lag) for total in ANCHORS), strict=True))
        counts = self._split(self.codebooks, self.channels, lag)
        codes = [self._search(latent[i], count, anchors[i]) for i, count in enumerate(counts)]
        return CodedFrames(codes, lag)

    def _search(self, latent: Tensor, count: int, anchors: Sequence[int]) -> Codes:
        # A beam of paths for one frame each: the same result for any number of frames.
        found = self.model.quantizer.encode(latent, count, self.beam, anchors)
        return found.T.cpu().numpy().astype(np.uint16)

    @staticmethod
    def _lag(latent: Tensor) -> int:
        mid, side = (float(latent[i].square().sum()) + 1e-6 for i in (0, 1))
        lag = np.log(mid / side) / -np.log(STAGE_GAIN)
        return int(np.clip(round(lag), 0, MAX_LAG))


class FrameDecoder:
    """Takes codes in any pieces; gives samples `[channels, n]` at the model's rate, `hop` samples a frame.

    The first frame given begins one hop before the signal does, so nothing comes of it: f frames make (f − 1) · hop
    samples. `first_frame` is the number, within the file, of the first frame that is pushed.

    Frames that are lost are made up from the last one before the gap, fading. For the frames behind the gap the network
    had better not remember these: they follow what was before the gap and, in reverse order, the frames that are to
    come, unheard. The sound behind the gap fades in within a frame.
    """

    CHUNK = 50
    #: Frames within which a made-up sound fades to silence.
    FADE = 3
    #: Most frames in reverse order before the first one behind a gap.
    RUN_UP = 6

    def __init__(self, model: NacModel, channels: int, first_frame: int = 0) -> None:
        self.model, self.channels = model, channels
        self._hop = model.config.hop
        self._device = model.spectrum.deviation.device
        self._state: State = {}
        self._frame = first_frame
        self._skip = self._hop
        #: Latent and rate of the last frame that was there, `[channels, 1, latent]` and `[channels, 1]`.
        self._last: tuple[Tensor, Tensor] | None = None
        #: Frames lost since then, and the state before them.
        self._lost = 0
        self._state_before: State = {}

    @torch.inference_mode()
    def push(self, codes: Sequence[npt.NDArray[np.integer]]) -> Samples:
        """Codes of each channel, `[codebooks of channel, frames]`, to samples."""
        out = []
        for first in range(0, codes[0].shape[1], self.CHUNK):
            part = [torch.from_numpy(channel[:, first : first + self.CHUNK].astype(np.int64)) for channel in codes]
            latent = torch.cat([self.model.quantizer.decode(channel[None].to(self._device)) for channel in part])
            rate = torch.stack(
                [
                    (channel >= 0).sum(0) if len(channel) else torch.zeros(latent.shape[1], dtype=torch.long)
                    for channel in part
                ]
            ).to(self._device)
            out.append(self._resume(latent, rate) if self._lost else self._run(latent, rate, self._frame))
            self._frame += latent.shape[1]
            self._last = latent[:, -1:], rate[:, -1:]
        return self._samples(out)

    @torch.inference_mode()
    def conceal(self, frames: int) -> Samples:
        """Samples for frames that are lost: the last sound fades within 60 ms, then silence."""
        if not self._lost:
            self._state_before = dict(self._state)
        latent = torch.zeros(self.channels, 1, self.model.config.latent_dim, device=self._device)
        rate = torch.zeros(self.channels, 1, dtype=torch.long, device=self._device)
        if self._last is not None:
            latent, rate = self._last
        out = []
        for first in range(0, frames, self.CHUNK):
            lost = self._lost + torch.arange(min(self.CHUNK, frames - first), device=self._device)
            fade = (1 - lost / self.FADE).clamp(min=0)
            out.append(self._run(latent * fade[None, :, None], rate.expand(-1, len(lost)), self._frame))
            self._frame += len(lost)
            self._lost += len(lost)
        return self._samples(out)

    def _resume(self, latent: Tensor, rate: Tensor) -> Tensor:
        """The first samples behind a gap."""
        lost, self._lost = self._lost, 0
        faded = self._run(latent[:, :1], rate[:, :1], self._frame)  # the made-up sound, on its way out
        self._state = self._state_before
        count = min(lost, self.RUN_UP)
        order = np.pad(np.arange(latent.shape[1]), (count, 0), "symmetric")[:count]
        self._run(latent[:, order], rate[:, order], self._frame - count)
        samples = self._run(latent, rate, self._frame)
        phase = torch.arange(0.5, self._hop, device=self._device) / self._hop
        samples[:, : self._hop] = torch.lerp(faded, samples[:, : self._hop], (phase * torch.pi / 2).sin().square())
        return samples

    def _run(self, latent: Tensor, rate: Tensor, frame: int) -> Tensor:
        """Samples of each coded channel, `[channels, frames · hop]`, of frames from number `frame` on."""
        # The channels have different noise.
        first = torch.tensor([frame + 499 * channel for channel in range(self.channels)])
        samples = self.model.synthesise(latent, rate, first, self._state)
        # Where nothing was coded, as in the side channel of two alike, there is nothing to hear, not even what the
        # network makes of nothing. A frame's sound ends one frame later.
        rates = with_past(self.model, rate[..., None], 1, self._state)[..., 0]
        heard = (rates[:, 1:] > 0) | (rates[:, :-1] > 0)
        return samples * heard.repeat_interleave(self._hop, 1)

    def _samples(self, parts: list[Tensor]) -> Samples:
        """What is heard of these: without the hop before the signal, and left and right instead of mid and side."""
        if not parts:
            return np.zeros((self.channels, 0), np.float32)
        samples: Samples = torch.cat(parts, 1).cpu().numpy()
        if self.channels == 2:
            samples = np.stack([samples[0] + samples[1], samples[0] - samples[1]])
        skip = min(self._skip, samples.shape[1])
        self._skip -= skip
        return samples[:, skip:]
