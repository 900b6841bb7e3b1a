"""Prepared recordings: a folder of arrays mapped into memory, so that nothing is decoded or analysed while training.

    index.json       what is in the others
    audio.npy        int16 `[samples]`, all recordings one after another, each a whole number of hops
    parameters.npy   float16 `[steps, 48]`, every 5 ms: f0 in Hz, log bands, aperiodicity
    finished.txt     numbers of the recordings that are done, one a line

They lie in the order of the index, from the first hop of the first recording on.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nac.errors import AudioError
from nac.files import replacing
from nac.models.voice.aperiodicity import EDGES
from nac.models.voice.envelope import BANDS
from nac.models.voice.timing import FRAMES, HOP

INDEX, AUDIO, PARAMETERS, FINISHED = "index.json", "audio.npy", "parameters.npy", "finished.txt"
#: Columns of the parameters: f0, bands, aperiodicity.
COLUMNS = 1 + BANDS + len(EDGES) - 1
#: Hops of a piece, the longest stretch in which the quantizer goes on from frame to frame: 30 s.
PIECE = 1500


@dataclass(frozen=True)
class Recording:
    """Where a recording lies in the arrays: its file below the folder of audio, first hop and number of hops."""

    name: str
    first: int
    hops: int

    @property
    def source(self) -> str:
        """The folder that the file is in, right below the folder of audio; "" for none."""
        return self.name.split("/")[0] if "/" in self.name else ""


class Recordings:
    """A folder of prepared recordings.

    Attributes:
        items: all that are planned, in their order.
        audio: int16 `[samples]`.
        parameters: float16 `[steps, 48]`.
    """

    def __init__(self, folder: Path, writable: bool = False) -> None:
        """Map what `plan` has laid out.

        Raises:
            AudioError: there is no such folder, or it is not whole.
        """
        self.folder = folder
        self.items = read_index(folder)
        mode = "r+" if writable else "r"
        try:
            self.audio: npt.NDArray[np.int16] = np.load(folder / AUDIO, mmap_mode=mode)  # type: ignore[arg-type]
            self.parameters: npt.NDArray[np.float16] = np.load(
                folder / PARAMETERS,
                mmap_mode=mode,  # type: ignore[arg-type]
            )
        except (OSError, ValueError) as error:
            raise AudioError(f"{folder} does not hold prepared recordings ({error}); prepare them anew") from error
        hops = sum(item.hops for item in self.items)
        if self.audio.shape != (hops * HOP,) or self.parameters.shape != (hops * FRAMES, COLUMNS):
            raise AudioError(f"the arrays in {folder} do not fit its {INDEX}; delete the folder and prepare it anew")

    @property
    def hops(self) -> int:
        """Hops of all recordings."""
        return len(self.audio) // HOP

    def samples(self, first: int, hops: int) -> npt.NDArray[np.float32]:
        """float32 `[hops · hop]` from hop `first` on, full scale 1."""
        out: npt.NDArray[np.float32] = self.audio[first * HOP : (first + hops) * HOP].astype(np.float32)
        out /= 32767
        return out

    def steps(self, first: int, hops: int) -> npt.NDArray[np.float32]:
        """float32 `[hops, 4, 48]` from hop `first` on."""
        rows = self.parameters[first * FRAMES : (first + hops) * FRAMES]
        return np.asarray(rows, np.float32).reshape(hops, FRAMES, COLUMNS)

    def pieces(self) -> list[Recording]:
        """The recordings, the long ones in pieces, without those that could not be read."""
        failed = {number for number, ok in finished(self.folder / FINISHED).items() if not ok}
        return [
            Recording(item.name, item.first + start, min(PIECE, item.hops - start))
            for number, item in enumerate(self.items)
            if number not in failed
            for start in range(0, item.hops, PIECE)
        ]


def read_index(folder: Path) -> list[Recording]:
    """What a folder of prepared recordings holds.

    Raises:
        AudioError: it is none.
    """
    try:
        rows = json.loads((folder / INDEX).read_text())["recordings"]
        return [Recording(str(name), int(first), int(hops)) for name, first, hops in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AudioError(f"{folder} does not hold prepared recordings; give a folder that was prepared") from error


def write_index(folder: Path, items: list[Recording]) -> None:
    """Write what the arrays hold."""
    rows = [[item.name, item.first, item.hops] for item in items]
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"recordings": rows}))


def finished(path: Path) -> dict[int, bool]:
    """The numbers in a list of what is done, and whether it succeeded; a last line that is cut short does not count."""
    text = path.read_text() if path.exists() else ""
    rows = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
    return {int(row[0]): row[1] == "ok" for row in rows if len(row) == 2}
