"""Fundamental frequency and voicing: correlation at all lags, the best path through them, and a fine search at its lag.

After RAPT (Talkin 1995, "A robust algorithm for pitch tracking"): normalised cross-correlation of the low-passed
signal gives each candidate its score, dynamic programming weighs scores against jumps, and the lag found is refined at
a higher rate. Other than there the candidates are a fixed grid of frequencies, the two segments lie symmetrically about
the frame's centre, and the path is decided hop by hop.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nac.models.layers import State
from nac.models.voice.correlation import Decimator, correlate_within, lowpass, take
from nac.models.voice.timing import FRAMES, HOP, HOPS_AFTER, HOPS_BEFORE, LOOKAHEAD, SAMPLE_RATE, STEP

#: Hz; the candidates cover this range.
LOWEST, HIGHEST = 52.0, 540.0
#: Candidates per octave.
GRID = 24
#: Root mean square of noise that hides weaker sound, of full scale 1.
NOISE_FLOOR = 1e-4
#: Bound of the mean difference, which is nearly 0 in silence with an offset.
MIN_MEAN_DIFFERENCE = 0.02


class PitchTracker(nn.Module):
    """f0 every 5 ms, 0 where unvoiced."""

    #: Factors by which the rate falls for the search and for the refinement.
    COARSE, FINE = 4, 2
    #: Samples of the segments of the search, and one more than the longest lag looked for in each: high voices move
    #: fast and need few.
    SEGMENTS = ((150, 28), (190, 52), (254, 118))
    #: Samples that the refinement compares.
    FINE_WINDOW = 300
    #: Lags tried on each side by the refinement.
    FINE_RANGE = 4

    def __init__(
        self, unvoiced: float = 0.25, octave: float = 0.12, glide: float = 2.5, switch: float = 0.25, ahead: float = 1.0
    ) -> None:
        """A tracker.

        Args:
            unvoiced: score of an unvoiced frame; a voiced one has its correlation.
            octave: how much less the lowest candidate scores than the highest, for a correlation is as good at two
                periods as at one.
            glide: cost of a change of pitch, per octave.
            switch: cost of a change between voiced and unvoiced.
            ahead: weight of the frame after the hop's last.
        """
        super().__init__()
        self.ahead = ahead
        count = math.floor(math.log2(HIGHEST / LOWEST) * GRID) + 1
        grid = np.arange(count) / GRID
        #: Hz of the candidates.
        self.candidates = LOWEST * 2**grid
        self._bias = torch.from_numpy(octave * (1 - grid / grid[-1])).float()[:, None]
        self._unvoiced = unvoiced
        # [from, to]; the last state is unvoiced.
        moves = np.full((count + 1, count + 1), -switch, np.float32)
        moves[:count, :count] = -glide * np.abs(grid[:, None] - grid)
        moves[count, count] = 0
        self._moves = moves
        self._into = np.ascontiguousarray(moves.T)

        self._coarse = Decimator(lowpass(1000, 65, SAMPLE_RATE), self.COARSE, 24)
        self._fine = Decimator(lowpass(2500, 49, SAMPLE_RATE), self.FINE, 24)
        rate = SAMPLE_RATE / self.COARSE
        # Cubic interpolation (Catmull-Rom) from lags to candidates.
        position = torch.from_numpy(rate / self.candidates) - 1
        self._below = position.floor().long()
        t = (position - self._below).float()[:, None]
        self._weights = (
            t * (-0.5 + t * (1 - 0.5 * t)),
            1 + t * t * (-2.5 + 1.5 * t),
            t * (0.5 + t * (2 - 1.5 * t)),
            t * t * (-0.5 + 0.5 * t),
        )

    def forward(self, x: Tensor, state: State | None = None) -> npt.NDArray[np.float64]:
        """Track.

        Args:
            x: `[channels, (hops before + hops + hops after) · hop]`, see `nac.models.voice.timing`.
            state: keeps the scores of the path so far; None: the past is silence.

        Returns:
            f0 in Hz, `[channels, 4 · hops]`.
        """
        scores, ahead = self._scores(x)
        path = self._path(scores, ahead, state)
        return self._refine(x, path)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the candidates.

        Returns:
            Of the frames, `[4 · hops, channels, candidates]`, and of a frame ahead of each hop, centred up to 5 ms
            after its last one, as far as the samples known allow: `[hops, channels, candidates]`.
        """
        half = self._coarse.delay
        y = self._coarse(x)
        step, hop, limit = STEP // self.COARSE, HOP // self.COARSE, LOOKAHEAD // self.COARSE - half
        hops = x.shape[1] // HOP - HOPS_BEFORE - HOPS_AFTER
        first = HOPS_BEFORE * hop - half + step // 2
        parts, low = [], 1
        for size, high in self.SEGMENTS:
            start = first - size // 2
            ahead = start + hop - step + min(step, limit - size // 2)
            segments = [
                y[:, start:].unfold(1, size, step)[:, : FRAMES * hops],
                y[:, ahead:].unfold(1, size, hop)[:, :hops],
            ]
            parts.append(correlate_within(torch.cat(segments, 1), low, high, NOISE_FLOOR))
            low = high
        # [lags, channels · (frames + hops ahead)]: sums and choices by lag are fast along rows.
        r = torch.cat(parts, 2).flatten(0, 1).T.contiguous()
        # A slow sound is like itself at short lags, too. So the difference counts relative to its mean up to the lag,
        # as in YIN (de Cheveigné and Kawahara 2002), where that is less than noise has.
        difference = 1 - r
        mean = difference.cumsum(0) / torch.arange(1, len(r) + 1)[:, None]
        r = 1 - difference / mean.clamp_(MIN_MEAN_DIFFERENCE, 1)
        near = [w * r.index_select(0, self._below + i - 1) for i, w in enumerate(self._weights)]
        scores = (near[0] + near[1] + near[2] + near[3] - self._bias).view(len(self._below), len(x), -1)
        scores = scores.permute(2, 1, 0).contiguous()
        return scores[: FRAMES * hops], scores[FRAMES * hops :]

    def _path(self, scores: Tensor, ahead: Tensor, state: State | None) -> npt.NDArray[np.intp]:
        """The best path (Viterbi 1967), decided for each hop with the frame ahead of it.

        Returns:
            `[frames, channels]`, number of the candidate, or of candidates where unvoiced.
        """
        local = self._with_unvoiced(scores)
        frames, channels, states = local.shape
        before = None if state is None else state.get(self)
        total = np.zeros((channels, states), np.float32) if before is None else before.numpy()
        after = np.empty_like(local)
        steps = np.empty((channels, states, states), np.float32)
        for k in range(frames):
            if k % FRAMES == 0:
                total = total - total.max(1, keepdims=True)
            np.add(total[:, :, None], self._moves, out=steps)
            total = np.add(steps.max(1), local[k], out=after[k])
        if state is not None:
            state[self] = torch.from_numpy(total.copy())

        ends = after[FRAMES - 1 :: FRAMES]
        at = ((ends[..., None] + self._moves).max(2) + self.ahead * self._with_unvoiced(ahead)).argmax(2)
        path = np.empty((frames, channels), np.intp)
        for k in reversed(range(FRAMES)):
            at = (after[k::FRAMES] + self._into[at]).argmax(2)
            path[k::FRAMES] = at
        return path

    def _with_unvoiced(self, scores: Tensor) -> npt.NDArray[np.float32]:
        return nn.functional.pad(scores, (0, 1), value=self._unvoiced).numpy()

    def _refine(self, x: Tensor, path: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """f0 of `path`, to a fraction of a lag: the vertex of a parabola through the best lag and its neighbours."""
        f0 = np.zeros(path.T.shape)
        channel, frame = np.nonzero((path != len(self.candidates)).T)
        if not len(frame):
            return f0
        rate, window, reach = SAMPLE_RATE / self.FINE, self.FINE_WINDOW, self.FINE_RANGE
        half = self._fine.delay
        y = self._fine(x)
        lag = np.round(rate / self.candidates[path[frame, channel]]).astype(np.int64)
        centre = HOPS_BEFORE * HOP // self.FINE - half + frame * (STEP // self.FINE) + STEP // self.FINE // 2
        limit = centre + LOOKAHEAD // self.FINE - half
        start = np.minimum(centre - (window + lag) // 2, limit - window - lag - reach)
        row = torch.from_numpy(channel * y.shape[1] + start)
        early = take(y.reshape(-1), row, window).numpy()
        late = take(y.reshape(-1), row + torch.from_numpy(lag) - reach, window + 2 * reach).numpy()
        late = np.lib.stride_tricks.sliding_window_view(late, window, 1)
        energy = np.einsum("nlw,nlw->nl", late, late) + window * NOISE_FLOOR**2
        r = np.einsum("nlw,nw->nl", late, early) / np.sqrt(energy)
        # Neither beyond the neighbouring candidates nor at the ends, which lack a neighbour.
        offset = np.arange(-reach, reach + 1)
        allowed = np.minimum(np.ceil(lag * (2 ** (1 / GRID) - 1)), reach - 1)
        best = np.where(np.abs(offset) <= allowed[:, None], r, -2).argmax(1)
        a, b, c = (r[np.arange(len(r)), best + i].astype(np.float64) for i in (-1, 0, 1))
        bend = a - 2 * b + c
        vertex = np.where(bend < 0, np.clip(0.5 * (a - c) / np.minimum(bend, -1e-12), -0.5, 0.5), 0)
        f0[channel, frame] = np.clip(rate / (lag + best - reach + vertex), LOWEST, HIGHEST)
        return f0
