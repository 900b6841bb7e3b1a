"""Decoding of a model with voices: a channel's frames in runs of one mode, each by the decoder of that mode.

Every run starts from silence, so that only one decoder is at work and any cut of the frames gives the same samples. A
frame describes a hop. The general decoder completes that hop with the frame, the voice decoder with the frame after it;
both are handed on when the later one is ready. Where one run follows another, the new one's first hop fades in while
what the old one makes of that hop fades out.
"""

import itertools
from typing import ClassVar

import torch
from torch import Tensor

from nac.models.layers import State
from nac.models.model import NacModel
from nac.models.voice.decoder import VoiceDecoder


def runs_of(modes: Tensor) -> list[slice]:
    """Where `[frames]` values are alike, one after another."""
    changes = ((modes[1:] != modes[:-1]).nonzero()[:, 0] + 1).tolist()
    return [slice(a, b) for a, b in itertools.pairwise([0, *changes, len(modes)]) if a < b]


class RunDecoder:
    """Codes of one channel to samples, `hop` for each frame but the first, and the last ones by `flush`."""

    #: Share of a hop over which a voice fades in, and a general sound.
    FADES: ClassVar = {True: 0.5, False: 1.0}
    #: Hops over which concealment fades out.
    FADE_HOPS = 3

    def __init__(self, model: NacModel, first_frame: int = 0) -> None:
        """A decoder for one channel.

        Args:
            model: with voices, in evaluation mode.
            first_frame: number, within the file, of the first frame; it selects the noise.
        """
        assert model.voice is not None
        self.model = model
        self._voice: VoiceDecoder = model.voice
        self._hop = model.config.hop
        self._frame_number = first_frame
        self._state: State = {}
        #: The part of it, before lost frames, from which envelopes are predicted.
        self._prediction: State = {}
        #: Whether the run at hand is of voice; None before the first frame.
        self._is_voice: bool | None = None
        #: Whether the run at hand has no frames yet.
        self._begins = True
        #: The last frame's codes, `[n_codebooks, 1]`.
        self._last = torch.zeros(0, 1, dtype=torch.long)
        #: What the run before makes of the first hop of this one, while this one has not made it.
        self._tail: Tensor | None = None
        #: Samples that are made and not handed on; frames pushed and hops handed on in all; and, after lost frames,
        #: hops handed on since the first of them.
        self._ready = torch.zeros(0)
        self._n_frames = self._n_hops = self._n_concealed = 0

    def push(self, codes: Tensor) -> Tensor:
        """Decode frames.

        Args:
            codes: `[n_codebooks, frames]`, −1 for none. The first is 0 in a general frame and above it in one of voice.

        Returns:
            `[samples]`: a hop for each frame, from the one before the signal on, but none for the first frame.
        """
        if self._n_concealed and codes.shape[1]:
            short = self._n_concealed < self.FADE_HOPS
            self._end_run()
            self._ready = self._faded(self._ready)
            self._n_concealed += len(self._ready) // self._hop
            self._tail = None if self._tail is None else self._faded(self._tail)
            self._n_concealed = 0
            # A prediction from before a short gap is nearer to the truth than none; from before a long one it may be
            # far too loud.
            if short and self._is_voice and (codes[0, 0] if len(codes) else 0) > 0:
                self._state = self._prediction
            self._is_voice = None
        return self._decode(codes)

    def conceal(self, frames: int) -> Tensor:
        """Go on with the last frame, fading out, in place of lost frames: `[samples]` as from `push`."""
        if not self._n_concealed:
            predictor = self._voice.quantizer
            self._prediction = {predictor: self._state[predictor]} if predictor in self._state else {}
        out = self._faded(self._decode(self._last.expand(-1, frames)))
        self._n_concealed += len(out) // self._hop
        return out

    def flush(self) -> Tensor:
        """The last hop, which ends the stream."""
        if self._is_voice:
            self._keep(self._run(self._nothing()))
        return self._take(self._n_frames - self._n_hops)

    def _decode(self, codes: Tensor) -> Tensor:
        is_voice = codes[0] > 0 if len(codes) else torch.zeros(codes.shape[1], dtype=torch.bool)
        for run in runs_of(is_voice):
            part, mode = codes[:, run], bool(is_voice[run.start])
            if self._is_voice is not None and self._is_voice != mode:
                self._end_run()
            self._is_voice = mode
            self._keep(self._run(part))
            self._frame_number += part.shape[1]
            self._last = part[:, -1:]
        self._n_frames += codes.shape[1]
        return self._take(self._n_frames - 1 - self._n_hops)

    def _end_run(self) -> None:
        """Let the run at hand make what is missing, and the first hop of the next run."""
        if self._is_voice:
            # With the last frame once more the hop that it describes is complete, and another one like it follows.
            made = self._run(torch.cat([self._last, self._nothing()], 1))
            self._keep(made[: -self._hop])
            self._tail = made[-self._hop :]
        else:
            self._tail = self._run(self._nothing())
        self._state, self._begins = {}, True

    def _nothing(self) -> Tensor:
        """A frame without codes."""
        return torch.full_like(self._last, -1)

    def _run(self, codes: Tensor) -> Tensor:
        """Samples of frames of the run at hand."""
        frames = codes.shape[1]
        if not self._is_voice:
            latent = self.model.quantizer.decode(codes[None, 1:])
            return self.model.synthesise_heard(latent, (codes[None, 1:] >= 0).sum(1), self._frame_number, self._state)[
                0
            ]
        rows = (self._frame_number + torch.arange(frames, device=codes.device)) % len(self._voice.noise)
        codes = self._voice.order.to_parts(codes[None])
        samples: Tensor = self._voice(codes, self._voice.noise[None, rows], self._state)[0]
        # The first frame completes a hop that is not of this run.
        samples = samples[self._hop * self._begins :]
        self._begins = False
        return samples

    def _keep(self, samples: Tensor) -> None:
        """Add what the run at hand has made, the first of it faded into what the run before makes of it."""
        if self._tail is not None and len(samples):
            length = int(self._hop * self.FADES[bool(self._is_voice)])
            phase = torch.arange(0.5, length, device=samples.device) / length
            share = torch.ones(self._hop, device=samples.device)
            share[:length] = (phase * torch.pi / 2).sin().square()
            samples = torch.cat([torch.lerp(self._tail, samples[: self._hop], share), samples[self._hop :]])
            self._tail = None
        self._ready = torch.cat([self._ready.to(samples), samples])

    def _take(self, hops: int) -> Tensor:
        """The first hops of what is ready."""
        count = max(hops, 0) * self._hop
        out, self._ready = self._ready[:count], self._ready[count:]
        self._n_hops += max(hops, 0)
        return out

    def _faded(self, samples: Tensor) -> Tensor:
        """Samples that follow `_n_concealed` hops since frames were lost, of which the first is as it was sent."""
        hops = self._n_concealed + torch.arange(len(samples), device=samples.device) / self._hop
        return samples * (1 - (hops - 1) / self.FADE_HOPS).clamp(0, 1)
