"""From a folder of audio files to prepared recordings, see `nac.training.voice.recordings`."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch

from nac.errors import AudioError, OptionError
from nac.extensions import AUDIO_EXTENSIONS
from nac.models.layers import State
from nac.models.voice.analysis import VoiceAnalysis
from nac.models.voice.timing import FRAMES, HOP, SAMPLE_RATE
from nac.training.data.corpus import read_clip
from nac.training.voice.recordings import (
    AUDIO,
    COLUMNS,
    FINISHED,
    INDEX,
    PARAMETERS,
    Recording,
    Recordings,
    read_index,
    write_index,
)
from nac.training.voice.workers import left, work_through

log = logging.getLogger(__name__)
#: Recordings with fewer hops are left out.
LEAST_HOPS = 20
#: Hops that are analysed at once.
_CHUNK = 1000


def prepare(audio: Path, folder: Path, processes: int = 1) -> Recordings:
    """Decode and analyse every audio file below `audio`, those left over from an earlier call.

    Args:
        audio: files of any rate and format that libsndfile reads, mixed to mono; `audio/<source>/…` gives sources.
        folder: where the arrays are written.
        processes: how many work at once.

    Returns:
        The recordings.

    Raises:
        AudioError: no audio file can be read.
        OptionError: the folder holds other recordings.
    """
    items = plan(audio)
    if (folder / INDEX).exists():
        if read_index(folder) != items:
            raise OptionError(f"{folder} holds other recordings than {audio}; give another folder")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FINISHED).unlink(missing_ok=True)
        hops = sum(item.hops for item in items)
        for name, shape, kind in (
            (AUDIO, (hops * HOP,), np.int16),
            (PARAMETERS, (hops * FRAMES, COLUMNS), np.float16),
        ):
            np.lib.format.open_memmap(folder / name, "w+", kind, shape).flush()
        write_index(folder, items)
    numbers = left(len(items), folder / FINISHED)
    work_through(numbers, partial(_analyse, audio, folder), folder / FINISHED, processes, "analysis")
    return Recordings(folder)


def plan(audio: Path) -> list[Recording]:
    """All files below a folder and where they go; those that cannot be read are named in the log.

    Raises:
        AudioError: there is none.
    """
    if not audio.is_dir():
        raise AudioError(f"{audio} is not a folder; give a folder of audio files to train on")
    items, first = [], 0
    for path in sorted(p for p in audio.rglob("*") if p.suffix.lower() in AUDIO_EXTENSIONS):
        try:
            info = soundfile.info(path)
        except Exception as error:
            log.warning("skipped %s: %s", path, (str(error) or repr(error)).splitlines()[0])
            continue
        hops = int(info.frames * SAMPLE_RATE / info.samplerate) // HOP
        if hops >= LEAST_HOPS:
            items.append(Recording(path.relative_to(audio).as_posix(), first, hops))
            first += hops
    if not items:
        raise AudioError(f"{audio} holds no audio file that can be read; put WAV, FLAC, OGG or MP3 files there")
    return items


def _analyse(audio: Path, folder: Path, number: int) -> dict[int, bool]:
    """Decode and analyse one recording."""
    recordings = Recordings(folder, writable=True)
    item = recordings.items[number]
    clip = read_clip(audio / item.name, SAMPLE_RATE)
    if isinstance(clip, Exception):
        log.warning("skipped %s: %s", item.name, (str(clip) or repr(clip)).splitlines()[0])
        return {number: False}
    # What a file's header promises may be more than it holds.
    samples = np.zeros(item.hops * HOP, np.int16)
    samples[: min(len(clip), len(samples))] = clip[: len(samples)]
    recordings.audio[item.first * HOP :][: len(samples)] = samples
    rows = analyse(samples).reshape(-1, COLUMNS)
    recordings.parameters[item.first * FRAMES :][: len(rows)] = rows.astype(np.float16)
    return {number: True}


def analyse(samples: np.ndarray) -> np.ndarray:
    """Parameters of every hop of int16 `[samples]`: float32 `[hops, 4, 48]`."""
    analysis, state, parts = VoiceAnalysis(), State(), []
    # A hop is known with the one after it, and the first that comes out is the silence before the first.
    x = torch.from_numpy(np.append(samples, np.zeros(HOP, np.int16)).astype(np.float32) / 32767)[None]
    for chunk in torch.split(x, _CHUNK * HOP, 1):
        found = analysis(chunk, state)
        parts.append(torch.cat([found.f0[..., None], found.bands, found.aperiodicity], -1)[0])
    out: np.ndarray = torch.cat(parts)[1:].numpy()
    return out
