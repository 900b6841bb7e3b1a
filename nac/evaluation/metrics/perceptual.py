"""Scores that model a listener: intelligibility (STOI) and quality (PESQ, ViSQOL), each through its reference package.

All functions take two aligned signals of one channel and equal length, `[samples]`, full scale 1.0, any sample rate.
The packages are optional (`pip install nac[eval]`): they are imported when first used, and `ImportError` comes through
where they are missing. Signals longer than `PIECE_SECONDS` are scored in equal pieces, the
mean of which is returned: the models are made for clips, and PESQ's reference code for at most 50 utterances.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from nac.arrays import Samples

SPEECH_RATE = 16000  # Hz: PESQ-WB and ViSQOL's speech mode are defined there, STOI is taken there
AUDIO_RATE = 48000  # Hz: ViSQOL's audio mode is defined there
PIECE_SECONDS = 30.0
SHORTEST_VISQOL = 1.0  # seconds: below this no patch of the spectrogram is left to compare


def stoi(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """Short-time objective intelligibility of speech, at 16 kHz.

    The mean correlation of one-third-octave envelopes (150 Hz to 4.3 kHz) over 384 ms. No unit; about 0 to 1, higher is
    better. Undefined (None) for silence and for less than 0.4 s of sound. Source: Taal and others, IEEE Transactions on
    Audio, Speech and Language Processing, 2011; package pystoi.
    """
    return _intelligibility(reference, decoded, sample_rate, extended=False)


def estoi(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """Extended STOI, at 16 kHz: also sees gaps and fluctuating noise, as it correlates whole spectra.

    No unit; about 0 to 1, higher is better; undefined as STOI. Source: Jensen and Taal, "An algorithm for predicting
    the intelligibility of speech masked by modulated noise maskers", 2016; package pystoi.
    """
    return _intelligibility(reference, decoded, sample_rate, extended=True)


def pesq_wb(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """PESQ wideband (ITU-T P.862.2), at 16 kHz.

    Mean opinion score predicted for speech heard over headphones, 50 Hz to 7 kHz. MOS-LQO; 1.04 to 4.64, higher is
    better. Undefined (None) for silence, where no utterance is found, and for clips under 0.25 s. Source: ITU-T P.862,
    P.862.2; package pesq.
    """
    from pesq import BufferTooShortError, NoUtterancesError, pesq

    def one(x: Samples, y: Samples) -> float | None:
        try:
            return float(pesq(SPEECH_RATE, x, y, "wb"))
        except (BufferTooShortError, NoUtterancesError):
            return None

    return mean_over_pieces(one, reference, decoded, sample_rate, SPEECH_RATE)


def visqol_speech(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """ViSQOL in speech mode, at 16 kHz (heard to 8 kHz), with the lattice network that maps similarity to quality.

    MOS-LQO; 1 to 5, higher is better. Undefined (None) for silence and for clips under 1 s. Source: Chinen and others,
    "ViSQOL v3: an open source production ready objective speech and audio metric", 2020; package visqol-python with
    its extra `lattice`, a port of version 3.3.3 of the authors' own program. It takes about half a second for each
    second of sound.
    """
    return _visqol("speech", reference, decoded, sample_rate, SPEECH_RATE)


def visqol_audio(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """ViSQOL in audio mode, at 48 kHz, for music and any sound.

    MOS-LQO; 1 to 4.73 (equal sounds), higher is better. Undefined (None) for silence and for clips under 1 s. It
    punishes band-limiting hard and takes about a second for each second of sound. Source as for the speech mode.
    """
    return _visqol("audio", reference, decoded, sample_rate, AUDIO_RATE)


def resample(signal: Samples, rate_in: int, rate_out: int) -> Samples:
    """`[samples]` or `[channels, samples]` at another sample rate (soxr, high quality); itself at equal rates."""
    if rate_in == rate_out:
        return signal
    import soxr

    return np.ascontiguousarray(soxr.resample(signal.T, rate_in, rate_out).T, dtype=np.float32)


def _intelligibility(reference: Samples, decoded: Samples, sample_rate: int, extended: bool) -> float | None:
    from pystoi import stoi as reference_stoi

    def one(x: Samples, y: Samples) -> float | None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # "not enough frames", which otherwise scores 1e-5
            try:
                return float(reference_stoi(x, y, SPEECH_RATE, extended=extended))
            except (RuntimeWarning, ValueError):
                return None

    return mean_over_pieces(one, reference, decoded, sample_rate, SPEECH_RATE)


def _visqol(mode: str, reference: Samples, decoded: Samples, sample_rate: int, rate: int) -> float | None:
    api = _visqol_api(mode)

    def one(x: Samples, y: Samples) -> float | None:
        if len(x) < SHORTEST_VISQOL * rate:
            return None
        try:
            return float(api.measure_from_arrays(x.astype(np.float64), y.astype(np.float64), rate).moslqo)
        except ValueError:  # no patch with any sound in it
            return None

    return mean_over_pieces(one, reference, decoded, sample_rate, rate)


@lru_cache(maxsize=2)
def _visqol_api(mode: str) -> Any:
    from visqol import VisqolApi

    api = VisqolApi()
    # Without the lattice, speech mode scores up to two points higher: not comparable, so it is never used silently.
    with _quiet():
        api.create(mode=mode, use_lattice_model=True if mode == "speech" else None)
    return api


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what compiled code writes to standard error from there: the lattice's runtime announces itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def mean_over_pieces(
    one: Callable[[Samples, Samples], float | None],
    reference: Samples,
    decoded: Samples,
    sample_rate: int,
    rate: int,
) -> float | None:
    """The mean score of equal pieces of at most `PIECE_SECONDS`, resampled to `rate`; None where no piece has one."""
    x, y = resample(reference, sample_rate, rate), resample(decoded, sample_rate, rate)
    count = max(1, math.ceil(len(x) / (PIECE_SECONDS * rate)))
    scores = []
    for a, b in zip(np.array_split(x, count), np.array_split(y, count), strict=True):
        value = one(a, b) if a.any() and b.any() else None
        if value is not None and math.isfinite(value):
            scores.append(value)
    return float(np.mean(scores)) if scores else None
