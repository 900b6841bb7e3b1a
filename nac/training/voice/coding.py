"""The codes of all recordings, mapped into memory like the recordings themselves.

    codes.npy   int16 `[hops, codebooks]`: pitch, envelope, low bands
    core.npy    float16 `[hops, dim]`: the state that predicts the next frame
    gains.npy   float64 `[pieces]`: gains with which the pieces were coded, natural logarithm of power
    coded.txt   numbers of the pieces that are done, one a line

The first two have a row for each hop of the recordings.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nac.errors import AudioError
from nac.models.voice.decoder import VoiceDecoder
from nac.models.voice.pitch_code import encode_pitch
from nac.training.voice.config import VoiceTrainingConfig
from nac.training.voice.examples import Stretch, draw_gains, parameters, samples
from nac.training.voice.fit import low_coefficients
from nac.training.voice.parts import load_parts
from nac.training.voice.recordings import Recordings
from nac.training.voice.workers import left, work_through

CODES, CORE, GAINS, CODED = "codes.npy", "core.npy", "gains.npy", "coded.txt"
#: Pieces that are coded side by side.
_LANES = 48


class CodedRecordings:
    """Recordings with the codes of their pieces."""

    def __init__(self, recordings: Recordings, folder: Path, writable: bool = False) -> None:
        """Map what `encode` has written.

        Raises:
            AudioError: there is nothing, or it does not fit the recordings.
        """
        self.recordings = recordings
        self.pieces = recordings.pieces()
        mode = "r+" if writable else "r"
        try:
            self._codes: npt.NDArray[np.int16] = np.load(folder / CODES, mmap_mode=mode)  # type: ignore[arg-type]
            self._core: npt.NDArray[np.float16] = np.load(folder / CORE, mmap_mode=mode)  # type: ignore[arg-type]
            self.gains: list[float] = np.load(folder / GAINS).tolist()
        except (OSError, ValueError) as error:
            raise AudioError(f"{folder} does not hold codes ({error}); run the stage fit again") from error
        if len(self._codes) != recordings.hops or len(self.gains) != len(self.pieces):
            raise AudioError(f"the codes in {folder} are not those of the recordings; run the stage fit again")

    def stretch(self, number: int) -> Stretch:
        """All of a piece."""
        piece = self.pieces[number]
        return Stretch(number, piece.first, piece.hops, self.gains[number])

    def write(self, stretch: Stretch, codes: Tensor, core: Tensor) -> None:
        """Store `[codebooks, hops]` codes and `[hops, dim]` states; what is longer than the stretch is dropped."""
        place = slice(stretch.first, stretch.first + stretch.hops)
        self._codes[place] = codes.T[: stretch.hops].numpy()
        self._core[place] = core[: stretch.hops].numpy()

    def codes(self, stretches: Sequence[Stretch]) -> Tensor:
        """int64 `[batch, codebooks, hops]` of stretches of equal length."""
        rows = [self._codes[item.first : item.first + item.hops].T.astype(np.int64) for item in stretches]
        return torch.from_numpy(np.stack(rows))

    def core_before(self, stretches: Sequence[Stretch]) -> Tensor:
        """The state of the quantizer before each stretch, `[batch, dim]`: zeros at the start of a piece."""
        rows = [
            self._core[item.first - 1] if item.first > self.pieces[item.piece].first else np.zeros_like(self._core[0])
            for item in stretches
        ]
        return torch.from_numpy(np.stack(rows).astype(np.float32))


def encode(
    recordings: Recordings, parts: Path, folder: Path, config: VoiceTrainingConfig, processes: int = 1
) -> CodedRecordings:
    """Code all pieces, those left over from an earlier call with the same quantizers.

    Args:
        recordings: what to code.
        parts: file of the fitted parts, see `nac.training.voice.parts`.
        folder: where the codes are written.
        config: seed and gains, and paths of the search.
        processes: how many work at once.
    """
    decoder = load_parts(parts)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CODED).exists():
        shapes = (
            (CODES, (recordings.hops, decoder.config.n_codebooks), np.int16),
            (CORE, (recordings.hops, decoder.config.envelope_dim), np.float16),
        )
        for name, shape, kind in shapes:
            np.lib.format.open_memmap(folder / name, "w+", kind, shape).flush()
        np.save(folder / GAINS, draw_gains(len(recordings.pieces()), config.gain, config.seed))
        (folder / CODED).touch()
    pieces = recordings.pieces()
    numbers = sorted(left(len(pieces), folder / CODED), key=lambda number: pieces[number].hops)
    tasks = [tuple(numbers[first : first + _LANES]) for first in range(0, len(numbers), _LANES)]
    work = partial(_encode, recordings.folder, parts, folder, config)
    work_through(tasks, work, folder / CODED, processes, "codes")
    return CodedRecordings(recordings, folder)


@lru_cache(1)
def _quantizers(parts: Path, changed: int) -> VoiceDecoder:
    return load_parts(parts)


@torch.no_grad()
def _encode(
    folder: Path, parts: Path, out: Path, config: VoiceTrainingConfig, numbers: tuple[int, ...]
) -> dict[int, bool]:
    """Code some pieces side by side."""
    recordings = Recordings(folder)
    coded = CodedRecordings(recordings, out, writable=True)
    stretches = [coded.stretch(number) for number in numbers]
    codes, core = encode_stretches(
        _quantizers(parts, parts.stat().st_mtime_ns), recordings, stretches, config.beam, config.low_band_beam
    )
    for row, stretch in enumerate(stretches):
        coded.write(stretch, codes[row], core[row])
    return dict.fromkeys(numbers, True)


def encode_stretches(
    decoder: VoiceDecoder, recordings: Recordings, stretches: Sequence[Stretch], beam: int, low_band_beam: int
) -> tuple[Tensor, Tensor]:
    """Codes `[batch, codebooks, hops]` and core states `[batch, hops, dim]` of stretches, from a new state.

    Shorter ones have what follows from silence at their ends.
    """
    hops = max(item.hops for item in stretches)
    found = [parameters(recordings, [item]) for item in stretches]
    f0 = _stacked([item.f0[0] for item in found], hops)
    bands = _stacked([item.bands[0] for item in found], hops)
    aperiodicity = _stacked([item.aperiodicity[0] for item in found], hops)
    sound = _stacked([samples(recordings, [item])[0].view(item.hops, -1) for item in stretches], hops).flatten(1)

    quantizer, low_band, config = decoder.quantizer, decoder.low_band, decoder.config
    envelope = quantizer.encode(quantizer.to_latent(bands, aperiodicity), config.envelope_codebooks, beam)
    _, core = quantizer.decode(envelope[:, : config.core_codebooks])
    pitch = encode_pitch(f0)
    scale = decoder.low_band_scale(pitch, core, envelope)
    low = low_band.encode(low_coefficients(low_band, sound), scale, config.low_band_codebooks, low_band_beam)
    return torch.cat([pitch[:, None], envelope, low], 1), core


def _stacked(rows: Sequence[Tensor], hops: int) -> Tensor:
    """Rows `[hops, ...]` of different lengths as one batch, zeros at their ends."""
    out = rows[0].new_zeros(len(rows), hops, *rows[0].shape[1:])
    for into, row in zip(out, rows, strict=True):
        into[: len(row)] = row
    return out
