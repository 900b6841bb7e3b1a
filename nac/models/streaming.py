"""Samples to codes and back at the model's sample rate, piece by piece, with state and in constant memory."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nac.arrays import Codes, Samples
from nac.models.layers import State
from nac.models.model import NacModel
from nac.models.quantizer import COMMIT_POINTS
from nac.models.runs import RunDecoder, runs_of
from nac.models.voice.encoder import AnalysedVoice, VoiceEncoder

#: (total codebooks, channels, side lag) to the codebooks of each channel.
SplitCodebooks = Callable[[int, int, int], Sequence[int]]

Method = TypeVar("Method", bound=Callable[..., Any])

#: Stereo shares its codebooks so that mid and side end with about equal errors: each codebook multiplies the error
#: power by about this factor, so a side channel weaker than mid by its n-th power has n codebooks fewer.
STAGE_GAIN = 0.93
#: The largest lag, for a side that is silent.
MAX_LAG = 255
#: By how many rows of the noise table channels are apart.
CHANNEL_NOISE = 499


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """Codes of consecutive frames.

    Attributes:
        codes: an array `[codebooks of the channel, frames]` for mono, or one each for mid and side.
        side_lag: by how many codebooks the side channel has fewer than mid.
    """

    codes: list[Codes]
    side_lag: int = 0

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.codes[0].shape[1])


def _inference(method: Method) -> Method:
    """As `torch.inference_mode`, and in full precision, whatever autocast the caller is in."""

    @functools.wraps(method)
    def run(self: Any, *arguments: Any) -> Any:
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            return method(self, *arguments)

    return cast(Method, run)


def _as_codes(codes: Tensor) -> Codes:
    return codes.cpu().numpy().astype(np.uint16)


class FrameEncoder:
    """Samples at the model's sample rate, in pieces of any size, to codes.

    The network always sees `chunk_frames` frames at a time, however the samples arrive, so that every cut gives the
    same codes to the bit. The delay is that of a chunk: with `chunk_frames=1` frame f comes as soon as the samples
    before (f + 1) · hop are in.
    """

    def __init__(
        self,
        model: NacModel,
        channels: int,
        n_codebooks: int,
        split: SplitCodebooks,
        beam: int = 1,
        chunk_frames: int = 50,
    ) -> None:
        """An encoder for one stream.

        Args:
            model: in evaluation mode.
            channels: 1, or 2, which are coded as mid and side.
            n_codebooks: over all channels.
            split: the codebooks of each channel for a total and a side lag, 0 to `MAX_LAG` (0 for mono), which is
                chosen for every chunk. It is also called with the totals in `COMMIT_POINTS`, so that both channels of
                a file truncated to one of them hold what encoding with so many codebooks gives.
            beam: paths kept by the codebook search.
            chunk_frames: frames coded at a time.
        """
        self.model, self.channels, self.n_codebooks = model, channels, n_codebooks
        self.beam, self.chunk_frames = beam, chunk_frames
        self._split = split
        #: By side lag: codebooks of each channel, and the commit points of each.
        self._allocations: dict[int, tuple[Sequence[int], list[tuple[int, ...]]]] = {}
        self._hop = model.config.hop
        self._device = model.spectrum.deviation.device
        self._waiting: list[Samples] = []
        self._n_waiting = 0
        self.samples = 0
        self._start()

    def push(self, samples: Samples) -> list[CodedFrames]:
        """Add samples.

        Args:
            samples: `[channels, n]`, n >= 0.

        Returns:
            What became ready, `chunk_frames` frames each.
        """
        self.samples += samples.shape[1]
        self._waiting.append(samples)
        self._n_waiting += samples.shape[1]
        size = self.chunk_frames * self._hop
        if self._n_waiting < size:
            return []
        joined = np.concatenate(self._waiting, 1)
        whole = joined.shape[1] // size * size
        self._waiting = [joined[:, whole:].copy()]
        self._n_waiting = joined.shape[1] - whole
        return [self._code(joined[:, i : i + size]) for i in range(0, whole, size)]

    def flush(self) -> list[CodedFrames]:
        """Code the last frames, with one more to complete the last one's overlap; none if there were no samples."""
        if self.samples == 0:
            return []
        frames = -(-self._n_waiting // self._hop) + 1
        out = []
        joined = np.concatenate(self._waiting, 1)
        for first in range(0, frames, self.chunk_frames):
            piece = joined[:, first * self._hop : (first + self.chunk_frames) * self._hop]
            padded = np.zeros((self.channels, self.chunk_frames * self._hop), np.float32)
            padded[:, : piece.shape[1]] = piece
            out.append(self._code(padded, min(self.chunk_frames, frames - first)))
        self._waiting, self._n_waiting, self.samples = [], 0, 0
        self._start()
        return out

    def _start(self) -> None:
        """Forget the stream."""
        model = self.model
        self._state: State = {}
        self._voice = (
            VoiceEncoder(model.voice, model.mode, self.channels, self.beam)
            if model.voice is not None and model.mode is not None
            else None
        )

    @_inference
    def _code(self, samples: Samples, frames: int | None = None) -> CodedFrames:
        if self.channels == 2:
            samples = np.stack([samples[0] + samples[1], samples[0] - samples[1]]) * np.float32(0.5)
        # Far beyond full scale there is nothing to hear, and squares would overflow.
        x = torch.from_numpy(samples.clip(-1e3, 1e3)).to(self._device)
        latent = self.model.analyse(x, self._state)[:, :frames]
        analysed = None if self._voice is None else self._voice.analyse(x)
        lag = self._choose_side_lag(latent) if self.channels == 2 else 0
        allocation = zip(latent, *self._allocation(lag), strict=True)
        codes = [self._encode_runs(channel, analysed, *values) for channel, values in enumerate(allocation)]
        return CodedFrames(codes, lag)

    def _allocation(self, lag: int) -> tuple[Sequence[int], list[tuple[int, ...]]]:
        if lag not in self._allocations:
            commit_points = zip(*(self._split(total, self.channels, lag) for total in COMMIT_POINTS), strict=True)
            self._allocations[lag] = self._split(self.n_codebooks, self.channels, lag), list(commit_points)
        return self._allocations[lag]

    def _encode_runs(
        self,
        channel: int,
        analysed: AnalysedVoice | None,
        latent: Tensor,
        count: int,
        commit_points: Sequence[int],
    ) -> Codes:
        """Codes of a channel's frames, each run of one mode by the quantizers of that mode."""
        # A beam of paths for one frame each: the same result for any number of frames.
        if self._voice is None or analysed is None:
            return _as_codes(self.model.quantizer.encode(latent, count, self.beam, commit_points).T)
        out = np.zeros((count, len(latent)), np.uint16)
        is_voice = analysed.is_voice[channel, : len(latent)] & (count > 0)
        for run in runs_of(is_voice):
            if is_voice[run.start]:
                out[:, run] = _as_codes(self._voice.encode(analysed, channel, run, count, commit_points))
                continue
            self._voice.end_run(channel)
            if count > 1:  # the first code, 0, says that the frame is not one of voice
                points = [point - 1 for point in commit_points]
                out[1:, run] = _as_codes(self.model.quantizer.encode(latent[run], count - 1, self.beam, points).T)
        return out

    @staticmethod
    def _choose_side_lag(latent: Tensor) -> int:
        mid, side = (float(latent[i].square().sum()) + 1e-6 for i in (0, 1))
        lag = np.log(mid / side) / -np.log(STAGE_GAIN)
        return int(np.clip(round(lag), 0, MAX_LAG))


class FrameDecoder:
    """Codes, in pieces of any size, to samples `[channels, n]` at the model's sample rate, `hop` samples per frame.

    The first frame begins one hop before the signal does and gives no samples: f frames make (f − 1) · hop samples.

    Lost frames are concealed by the last one before the gap, fading out. The frames after the gap do not continue the
    network's state of the concealment: it goes back to the state before the gap and is warmed up on the next frames in
    reverse order, whose output is discarded. The sound after the gap fades in within a frame.
    """

    #: Frames decoded at a time, which bounds memory.
    CHUNK_FRAMES = 50
    #: Frames within which concealment fades to silence.
    FADE_FRAMES = 3
    #: Most frames of warm-up after a gap.
    WARM_UP_FRAMES = 6

    def __init__(self, model: NacModel, channels: int, first_frame: int = 0) -> None:
        """A decoder for one stream.

        Args:
            model: in evaluation mode.
            channels: 1, or 2 coded as mid and side.
            first_frame: number, within the file, of the first frame that will be pushed.
        """
        self.model, self.channels = model, channels
        self._hop = model.config.hop
        self._device = model.spectrum.deviation.device
        #: With voices each channel is decoded by itself, run by run. The channels have different noise.
        self._runs: list[RunDecoder] = []
        if model.voice is not None:
            self._runs = [RunDecoder(model, first_frame + CHANNEL_NOISE * channel) for channel in range(channels)]
        self._state: State = {}
        self._frame_number = first_frame
        self._skip = self._hop
        #: Latent and number of codebooks of the last intact frame, `[channels, 1, latent]` and `[channels, 1]`.
        self._last_frame: tuple[Tensor, Tensor] | None = None
        #: Frames lost since then, and the state before them.
        self._n_lost = 0
        self._state_before: State = {}

    @_inference
    def push(self, codes: Sequence[npt.NDArray[np.integer]]) -> Samples:
        """Decode frames.

        Args:
            codes: of each channel, `[codebooks of the channel, frames]`; −1 for none.

        Returns:
            `[channels, n]` samples.
        """
        out = []
        for first in range(0, codes[0].shape[1], self.CHUNK_FRAMES):
            chunk = slice(first, first + self.CHUNK_FRAMES)
            part = [torch.from_numpy(channel[:, chunk].astype(np.int64)) for channel in codes]
            if self._runs:
                out.append(torch.stack([run.push(c.to(self._device)) for run, c in zip(self._runs, part, strict=True)]))
                continue
            latent = torch.cat([self.model.quantizer.decode(channel[None].to(self._device)) for channel in part])
            n_codebooks = torch.stack(
                [
                    (channel >= 0).sum(0) if len(channel) else torch.zeros(latent.shape[1], dtype=torch.long)
                    for channel in part
                ]
            ).to(self._device)
            if self._n_lost:
                out.append(self._after_gap(latent, n_codebooks))
            else:
                out.append(self._synthesise(latent, n_codebooks, self._frame_number))
            self._frame_number += latent.shape[1]
            self._last_frame = latent[:, -1:], n_codebooks[:, -1:]
        return self._to_output(out)

    @_inference
    def conceal(self, frames: int) -> Samples:
        """Make samples for lost frames: the last sound fades out within 60 ms, then silence.

        Args:
            frames: how many are lost.

        Returns:
            `[channels, n]` samples.
        """
        if self._runs:
            pieces = [min(self.CHUNK_FRAMES, frames - first) for first in range(0, frames, self.CHUNK_FRAMES)]
            return self._to_output([torch.stack([run.conceal(count) for run in self._runs]) for count in pieces])
        if not self._n_lost:
            self._state_before = dict(self._state)
        latent = torch.zeros(self.channels, 1, self.model.config.latent_dim, device=self._device)
        n_codebooks = torch.zeros(self.channels, 1, dtype=torch.long, device=self._device)
        if self._last_frame is not None:
            latent, n_codebooks = self._last_frame
        out = []
        for first in range(0, frames, self.CHUNK_FRAMES):
            lost = self._n_lost + torch.arange(min(self.CHUNK_FRAMES, frames - first), device=self._device)
            fade = (1 - lost / self.FADE_FRAMES).clamp(min=0)
            faded = latent * fade[None, :, None]
            out.append(self._synthesise(faded, n_codebooks.expand(-1, len(lost)), self._frame_number))
            self._frame_number += len(lost)
            self._n_lost += len(lost)
        return self._to_output(out)

    @_inference
    def flush(self) -> Samples:
        """Return the last samples, `[channels, n]`, which ends the stream: a hop if the model has voices, else none.

        f frames make (f − 1) · hop samples in all.
        """
        return self._to_output([torch.stack([run.flush() for run in self._runs])] if self._runs else [])

    def _after_gap(self, latent: Tensor, n_codebooks: Tensor) -> Tensor:
        """The first samples after a gap."""
        lost, self._n_lost = self._n_lost, 0
        concealed = self._synthesise(latent[:, :1], n_codebooks[:, :1], self._frame_number)
        self._state = self._state_before
        count = min(lost, self.WARM_UP_FRAMES)
        order = np.pad(np.arange(latent.shape[1]), (count, 0), "symmetric")[:count]
        self._synthesise(latent[:, order], n_codebooks[:, order], self._frame_number - count)
        samples = self._synthesise(latent, n_codebooks, self._frame_number)
        phase = torch.arange(0.5, self._hop, device=self._device) / self._hop
        samples[:, : self._hop] = torch.lerp(concealed, samples[:, : self._hop], (phase * torch.pi / 2).sin().square())
        return samples

    def _synthesise(self, latent: Tensor, n_codebooks: Tensor, frame: int) -> Tensor:
        """Samples of each coded channel, `[channels, frames · hop]`, of frames from number `frame` on."""
        first = torch.tensor([frame + CHANNEL_NOISE * channel for channel in range(self.channels)])
        return self.model.synthesise_heard(latent, n_codebooks, first, self._state)

    def _to_output(self, parts: list[Tensor]) -> Samples:
        """Drop the hop before the signal; turn mid and side into left and right."""
        if not parts:
            return np.zeros((self.channels, 0), np.float32)
        samples: Samples = torch.cat(parts, 1).cpu().numpy()
        if self.channels == 2:
            samples = np.stack([samples[0] + samples[1], samples[0] - samples[1]])
        skip = min(self._skip, samples.shape[1])
        self._skip -= skip
        return samples[:, skip:]
