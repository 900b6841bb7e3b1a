"""Decoded clips to listen to: chosen from a sweep, made from its cache, with their spectrograms."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from nac.arrays import Samples
from nac.errors import NacError
from nac.evaluation.clips import Clip, load_audio, mono
from nac.evaluation.codecs import Codec, Rates
from nac.evaluation.report.plots import RANGE_DB, WINDOW, new_figure, spectrogram_db
from nac.evaluation.report.write import Example, Listed, flac_bytes
from nac.evaluation.sweep.runner import Task, code, decode

EXAMPLE_SECONDS = 12.0  # of each clip, from its beginning


def decoded_versions(
    clip: Clip, codecs: Sequence[tuple[Codec, Rates]], cache: Path | None
) -> tuple[Samples, int, list[tuple[str, Samples]]]:
    """The reference, its sample rate, and the aligned result of every codec and rate that can code the clip."""
    reference, sample_rate = load_audio(clip.path)
    out = []
    for codec, rates in codecs:
        for nominal in () if codec.lossless else rates:
            try:
                coded = code(Task(clip, codec, nominal, (), cache), reference, sample_rate)
                (_, decoded), _ = decode(coded, codec, reference, sample_rate)
            except (NacError, OSError, RuntimeError, ValueError):
                continue  # the sweep's table says what failed
            kbps = len(coded.data) * 8 / 1000 / (reference.shape[1] / sample_rate)
            out.append((f"{codec.name} {nominal:g} ({kbps:.1f} kbps)", decoded))
    return reference, sample_rate, out


def make_example(clip: Clip, codecs: Sequence[tuple[Codec, Rates]], cache: Path | None) -> Example:
    """An example for the HTML page: the reference and every version of the clip, with spectrograms."""
    reference, sample_rate, versions = decoded_versions(clip, codecs, cache)
    keep = int(EXAMPLE_SECONDS * sample_rate)
    listed = [
        Listed(label, flac_bytes(audio[:, :keep], sample_rate), spectrogram_png(audio[:, :keep], sample_rate))
        for label, audio in [("reference", reference), *versions]
    ]
    return Example(clip.name, clip.kind or "other", tuple(listed))


def spectrogram_png(audio: Samples, sample_rate: int) -> bytes:
    """A small spectrogram of `[channels, samples]` as a PNG file, without axes but for the frequencies."""
    hop = max(WINDOW // 4, audio.shape[1] // 600)
    level = spectrogram_db(mono(audio)[0], hop)
    figure = new_figure(4.2, 1.9)
    axes = figure.add_axes((0.075, 0.03, 0.92, 0.94))
    extent = (0, audio.shape[1] / sample_rate, 0, sample_rate / 2000)
    axes.imshow(level.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-10 - RANGE_DB, vmax=-10)
    axes.set_xticks([])
    axes.tick_params(labelsize=7)
    axes.text(0.01, 0.95, "kHz", transform=axes.transAxes, va="top", fontsize=7, color="white")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()
