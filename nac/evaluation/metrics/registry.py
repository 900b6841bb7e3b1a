"""The list of scores and the one function that computes them: `score`.

Definitions are in `waveform`, `spectra`, `perceptual`, `mos`, `voicing` and `tonal`. Of these DistillMOS alone needs
torch, and imports it when it is first used. No score here is ever part of a training loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nac.arrays import Samples
from nac.errors import AudioError, OptionError
from nac.evaluation.metrics.mos import distillmos, dnsmos_ovrl, dnsmos_p808, dnsmos_sig
from nac.evaluation.metrics.perceptual import estoi, pesq_wb, stoi, visqol_audio, visqol_speech
from nac.evaluation.metrics.spectra import log_spectral_distance, log_spectrum_rmse, mel_distance
from nac.evaluation.metrics.tonal import tonal_lines
from nac.evaluation.metrics.voicing import f0_error, voicing_kept
from nac.evaluation.metrics.waveform import l1, mse, sdr, si_sdr, snr

VERSION = 1  # raised whenever a definition changes, so that cached scores are computed anew

Compute = Callable[[Samples, Samples, int], float | None]  # reference, decoded (both `[samples]`), sample rate in Hz


@dataclass(frozen=True)
class Metric:
    """One score: how it is named and read, what it needs, how it is computed.

    `kinds`: the kinds of sound it is meant for (empty: all). `packages`: the optional modules it imports, which the
    `extra` of nac brings. `slow`: takes about half as long as the sound or longer. `kind_only`: computed unasked only
    where the sound is known to be of one of its kinds, since a large model must be loaded or the score means nothing
    for other sounds.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    compute: Compute
    digits: int = 2
    kinds: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    slow: bool = False
    extra: str = "eval"
    kind_only: bool = False

    def available(self) -> bool:
        """Whether its packages are installed."""
        return all(find_spec(package) is not None for package in self.packages)


def _mos(name: str, label: str, compute: Compute, packages: tuple[str, ...]) -> Metric:
    return Metric(
        name, label, "MOS", "higher", compute, kinds=("speech",), packages=packages, extra="mos", kind_only=True
    )


# Laid out as a table, by hand.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("pesq_wb", "PESQ-WB", "MOS", "higher", pesq_wb, kinds=("speech",), packages=("pesq",)),
        Metric("stoi", "STOI", "", "higher", stoi, digits=3, kinds=("speech",), packages=("pystoi",)),
        Metric("estoi", "ESTOI", "", "higher", estoi, digits=3, kinds=("speech",), packages=("pystoi",)),
        Metric("visqol_speech", "ViSQOL-speech", "MOS", "higher", visqol_speech, kinds=("speech",),
               packages=("visqol", "ai_edge_litert"), slow=True),
        Metric("visqol_audio", "ViSQOL-audio", "MOS", "higher", visqol_audio, kinds=("music", "environmental"),
               packages=("visqol",), slow=True),
        _mos("distillmos", "DistillMOS", distillmos, ("distillmos",)),
        _mos("dnsmos_sig", "DNSMOS-SIG", dnsmos_sig, ("speechmos", "onnxruntime")),
        _mos("dnsmos_ovrl", "DNSMOS-OVRL", dnsmos_ovrl, ("speechmos", "onnxruntime")),
        _mos("dnsmos_p808", "DNSMOS-P.808", dnsmos_p808, ("speechmos", "onnxruntime")),
        Metric("voicing_kept", "Voicing kept", "", "higher", voicing_kept, digits=3, kinds=("speech",),
               packages=("pyworld",), kind_only=True),
        Metric("f0_error", "F0 error", "cents", "lower", f0_error, digits=1, kinds=("speech",), packages=("pyworld",),
               kind_only=True),
        Metric("tonal_lines", "Lines", "dB", "lower", tonal_lines, digits=1),
        Metric("si_sdr", "SI-SDR", "dB", "higher", lambda x, y, _: si_sdr(x, y)),
        Metric("sdr", "SDR", "dB", "higher", lambda x, y, _: sdr(x, y)),
        Metric("snr", "SNR", "dB", "higher", lambda x, y, _: snr(x, y)),
        Metric("log_spectral_distance", "LSD", "dB", "lower", lambda x, y, _: log_spectral_distance(x, y)),
        Metric("log_spectrum_rmse", "LS-RMSE", "dB", "lower", lambda x, y, _: log_spectrum_rmse(x, y)),
        Metric("mel_distance", "Mel", "decades", "lower", mel_distance),
        Metric("mse", "MSE", "FS²", "lower", lambda x, y, _: mse(x, y), digits=6),
        Metric("l1", "L1", "FS", "lower", lambda x, y, _: l1(x, y), digits=5),
    )
}  # fmt: skip


def default_metrics(kind: str | None = None, slow: bool = False) -> tuple[str, ...]:
    """Names of the scores meant for `kind` (None: not known): the quick ones, and with `slow` the others too.

    >>> "pesq_wb" in default_metrics("music"), "pesq_wb" in default_metrics("speech")
    (False, True)
    >>> sorted(set(default_metrics("speech", slow=True)) - set(default_metrics("speech")))
    ['visqol_speech']
    """
    return tuple(
        metric.name
        for metric in METRICS.values()
        if (slow or not metric.slow)
        and (not metric.kinds or kind in metric.kinds or (kind is None and not metric.kind_only))
    )


def unavailable(metrics: Iterable[str] | None = None) -> list[str]:
    """One line for each of `metrics` (default: all) that `score` leaves out, saying how to get it."""
    lines = []
    for metric in _chosen(METRICS if metrics is None else metrics):
        if not metric.available():
            lines.append(f"{metric.label} is left out: its package is missing (pip install 'nac[{metric.extra}]')")
    return lines


def score(
    reference: ArrayLike,
    decoded: ArrayLike,
    sample_rate: int,
    kind: str | None = None,
    metrics: Iterable[str] | None = None,
) -> dict[str, float | None]:
    """Scores of `decoded` against `reference`, by name, in the order of `METRICS`.

    Both `[samples]` or `[channels, samples]` of equal shape and aligned (see `nac.evaluation.metrics.align`), full
    scale 1.0, at `sample_rate` Hz. `kind` is "speech", "music", "environmental" or None (not known): it chooses the
    scores where `metrics` does not. With several channels each score is the mean of the channels that have one. A score
    is None where it is undefined (silence, a clip too short, samples that are not finite), infinite where the signals
    are equal and the score is a ratio to their difference; it is missing where its package is not installed.

    Raises:
        AudioError: Shapes that do not fit.
        OptionError: A name that is not a metric.

    >>> tone = np.sin(np.arange(2400) / 5).astype(np.float32)
    >>> round(score(tone, tone / 2, 24000, metrics=["snr"])["snr"], 4)
    6.0206
    """
    x, y = (np.atleast_2d(np.asarray(signal, dtype=np.float32)) for signal in (reference, decoded))
    if x.shape != y.shape or x.ndim != 2:
        raise AudioError(f"cannot score signals of different shapes {x.shape} and {y.shape}: align them first")
    chosen = [m for m in _chosen(default_metrics(kind) if metrics is None else metrics) if m.available()]
    if x.size == 0 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return {metric.name: None for metric in chosen}
    out: dict[str, float | None] = {}
    for metric in chosen:
        values = [metric.compute(a, b, sample_rate) for a, b in zip(x, y, strict=True)]
        defined = [value for value in values if value is not None]
        out[metric.name] = sum(defined) / len(defined) if defined else None
    return out


def shown(name: str, value: float | None) -> str:
    """A score as text, rounded to the metric's digits, without its unit.

    >>> shown("stoi", 0.91234), shown("snr", None), shown("snr", float("inf"))
    ('0.912', 'undefined', 'inf')
    """
    return "undefined" if value is None else f"{value:.{METRICS[name].digits}f}"


def _chosen(names: Iterable[str]) -> list[Metric]:
    wanted = set(names)
    unknown = wanted - METRICS.keys()
    if unknown:
        raise OptionError(f"no such metric: {', '.join(sorted(unknown))}; there are {', '.join(METRICS)}")
    return [metric for name, metric in METRICS.items() if name in wanted]
