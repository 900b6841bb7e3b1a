"""Predictors of the mean opinion score of speech, heard alone: DistillMOS and DNSMOS.

They know neither the reference nor anything that training here minimises, and so must stay out of every loss: a model
that is trained on a predictor pleases the predictor. The packages are optional (`pip install 'nac[mos]'`) and bring
their models with them.
"""

from __future__ import annotations

import contextlib
import io
import sys
import types
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy.fft import rfft
from scipy.signal import get_window

from nac.arrays import Floats, Samples
from nac.evaluation.metrics.perceptual import SPEECH_RATE, mean_over_pieces
from nac.evaluation.metrics.spectra import slaney_mel_filters

SHORTEST = 0.25  # seconds: less is not enough to judge
MEL_WINDOW, MEL_HOP, MEL_BANDS = 321, 160, 120  # of the P.808 model, in samples at 16 kHz
MEL_RANGE_DB = 80.0


def distillmos(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """DistillMOS: quality of speech as a whole, of the decoded sound alone, at 16 kHz.

    MOS; 1 to 5, higher is better. Undefined (None) for silence and for clips under 0.25 s. Source: Stahl and Gamper,
    "Distillation and pruning for scalable self-supervised representation-based speech quality assessment", 2025;
    package distillmos.
    """

    def one(_: Samples, y: Samples) -> float | None:
        import torch

        if len(y) < SHORTEST * SPEECH_RATE:
            return None
        with torch.inference_mode():
            return float(_distillmos()(torch.from_numpy(np.clip(y, -1, 1))[None]))

    return mean_over_pieces(one, reference, decoded, sample_rate, SPEECH_RATE)


def dnsmos_sig(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """DNSMOS P.835, SIG: quality of the voice itself, of the decoded sound alone, at 16 kHz.

    MOS; 1 to 5, higher is better. Undefined (None) for silence and for clips under 0.25 s. Source: Reddy, Gopal and
    Cutler, "DNSMOS P.835: a non-intrusive perceptual objective speech quality metric to evaluate noise suppressors",
    2022; package speechmos.
    """
    return _dnsmos("sig_mos", reference, decoded, sample_rate)


def dnsmos_ovrl(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """DNSMOS P.835, OVRL: voice and background together, of the decoded sound alone, at 16 kHz.

    MOS; 1 to 5, higher is better. Undefined (None) and source as for `dnsmos_sig`.
    """
    return _dnsmos("ovrl_mos", reference, decoded, sample_rate)


def dnsmos_p808(reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    """DNSMOS P.808: quality as a listening test on the web would rate it, of the decoded sound alone, at 16 kHz.

    MOS; 1 to 5, higher is better. Undefined (None) as for `dnsmos_sig`. Source: Reddy, Gopal and Cutler, "DNSMOS: a
    non-intrusive perceptual objective speech quality metric to evaluate noise suppressors", 2021; package speechmos.
    """
    return _dnsmos("p808_mos", reference, decoded, sample_rate)


@contextlib.contextmanager
def stubs(**modules: dict[str, Any]) -> Iterator[None]:
    """Stand-ins, for the time of an import, for modules that a package asks for but is used without.

    Args:
        modules: Attributes of each stand-in, by name of the module. A module that is installed is left alone.
    """
    added = []
    for name, attributes in modules.items():
        if name not in sys.modules and find_spec(name) is None:
            module = types.ModuleType(name)
            module.__dict__.update(attributes)
            sys.modules[name] = module
            added.append(name)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


@lru_cache(maxsize=1)
def _distillmos() -> Any:
    with stubs(torchaudio={}), contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
        return import_module("distillmos").ConvTransformerSQAModel().eval()


def _dnsmos(name: str, reference: Samples, decoded: Samples, sample_rate: int) -> float | None:
    def one(_: Samples, y: Samples) -> float | None:
        if len(y) < SHORTEST * SPEECH_RATE:
            return None
        return _dnsmos_scores(np.clip(y, -1, 1).tobytes())[name]

    return mean_over_pieces(one, reference, decoded, sample_rate, SPEECH_RATE)


@lru_cache(maxsize=4)
def _dnsmos_scores(samples: bytes) -> dict[str, float]:
    """All scores of one piece, kept because each is asked for by itself."""
    found = _dnsmos_model()(np.frombuffer(samples, np.float32), SPEECH_RATE, False)
    return {name: float(value) for name, value in found.items()}


@lru_cache(maxsize=1)
def _dnsmos_model() -> Any:
    with stubs(librosa={}, requests={"session": None}):
        dnsmos = import_module("speechmos.dnsmos")
    # The package takes mel spectra from librosa, which is large, for this alone.
    model = type("Dnsmos", (dnsmos.DNSMOS,), {"audio_melspec": staticmethod(_log_mel)})
    folder = Path(str(dnsmos.__file__)).parent / "dnsmos_models"
    return model(str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx"))


def _log_mel(audio: Samples) -> Floats:
    """Log mel spectra `[frames, bands]` as the P.808 model wants them: `librosa.feature.melspectrogram` in decibels."""
    padded = np.pad(np.asarray(audio, np.float32), MEL_WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_WINDOW)[::MEL_HOP]
    window = get_window("hann", MEL_WINDOW).astype(np.float32)
    power = np.abs(rfft(frames * window, axis=1)) ** 2 @ slaney_mel_filters(SPEECH_RATE, MEL_WINDOW, MEL_BANDS).T
    level = 10 * np.log10(np.maximum(1e-10, power))
    level -= level.max()
    return np.asarray((np.maximum(level, -MEL_RANGE_DB) + 40) / 40, np.float64)
