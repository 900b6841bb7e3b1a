"""Pictures of a reference and a decoded sound. Needs matplotlib (`pip install nac[eval]`); draws without a display."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nac.arrays import Samples, Spectrum
from nac.errors import OptionError
from nac.evaluation.clips import mono
from nac.evaluation.metrics.spectra import stft_magnitudes
from nac.files import NewFile

WINDOW = 1024
MAX_COLUMNS = 1600  # frames and waveform points across the picture: more than its pixels would not be seen
RANGE_DB = 90  # shown below the loudest bin
ERROR_DB = 30  # end of the error's colour scale
BAND_EDGES = (0, 1000, 2000, 4000, 8000, 12000, 24000)  # Hz, of the curves of error over time
REFERENCE_COLOUR, DECODED_COLOUR = "#9fb0dd", "#d1491f"
FORMATS = {".png", ".svg", ".pdf"}


def plot_comparison(reference: Samples, decoded: Samples, sample_rate: int, target: Path, title: str) -> None:
    """Write a picture of both sounds: waveforms, spectrograms, error over time and frequency, error by band over time.

    Both `[channels, samples]`, aligned, at `sample_rate` Hz; channels are averaged. `target` ends in .png, .svg, .pdf.

    Raises:
        OptionError: The ending is another, the place cannot be written, or matplotlib is missing.
    """
    x, y = mono(reference)[0], mono(decoded)[0]
    hop = max(WINDOW // 4, math.ceil(len(x) / MAX_COLUMNS))
    a, b = spectrogram_db(x, hop), spectrogram_db(y, hop)
    top = max(float(a.max()), -RANGE_DB)
    floor = top - RANGE_DB
    error = np.maximum(b, floor) - np.maximum(a, floor)

    figure, rows, bars = _layout(len(x) / sample_rate)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    _waveforms(rows[0], x, y, sample_rate)
    extent = (-hop / 2 / sample_rate, (len(a) - 0.5) * hop / sample_rate, 0, sample_rate / 2000)
    common: dict[str, Any] = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "nearest"}
    for axes, data, name in ((rows[1], a, "Reference"), (rows[2], b, "Decoded")):
        image = axes.imshow(data.T, cmap="magma", vmin=floor, vmax=top, **common)
        _inside_label(axes, name, "white")
    figure.colorbar(image, cax=bars[1], label="dB full scale")
    figure.colorbar(image, cax=bars[2], label="dB full scale")
    image = rows[3].imshow(error.T, cmap="RdBu_r", vmin=-ERROR_DB, vmax=ERROR_DB, **common)
    _inside_label(rows[3], "Decoded minus reference: blue is missing, red is added", "black")
    figure.colorbar(image, cax=bars[3], label="dB")
    for axes in rows[1:4]:
        axes.set_ylabel("kHz")
    _band_errors(rows[4], error, hop, sample_rate)
    rows[4].set_xlabel("seconds")
    rows[4].set_xlim(0, len(x) / sample_rate)
    figure.align_ylabels(rows)
    save(figure, target)


def plot_spectrograms(versions: Sequence[tuple[str, Samples]], sample_rate: int, target: Path, title: str = "") -> None:
    """Write a picture of spectrograms below each other, in two columns from four on, all on one scale of colours.

    `versions`: a name and `[channels, samples]` each, of one length, at `sample_rate` Hz; channels are averaged.
    `target` ends in .png, .svg, .pdf. Raises `OptionError` as `plot_comparison`, and if there are no versions.
    """
    if not versions:
        raise OptionError("there is nothing to draw")
    columns = 1 if len(versions) < 4 else 2
    lines = math.ceil(len(versions) / columns)
    figure = new_figure(11 if columns == 2 else 9, 2.5 * lines + 0.6)
    figure.set_layout_engine("constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    samples = versions[0][1].shape[1]
    hop = max(WINDOW // 4, math.ceil(samples / (MAX_COLUMNS // columns)))
    top, places = None, []
    for index, (name, audio) in enumerate(versions):
        level = spectrogram_db(mono(audio)[0], hop)
        top = float(level.max()) if top is None else top
        axes = figure.add_subplot(lines, columns, index + 1)
        extent = (0, samples / sample_rate, 0, sample_rate / 2000)
        image = axes.imshow(
            level.T,
            origin="lower",
            aspect="auto",
            extent=extent,
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            interpolation="nearest",
        )
        _inside_label(axes, name, "white")
        places.append(axes)
        if index % columns == 0:
            axes.set_ylabel("kHz")
        if index >= len(versions) - columns:
            axes.set_xlabel("seconds")
    figure.colorbar(image, ax=places, label="dB full scale", fraction=0.03, pad=0.01)
    save(figure, target)


def spectrogram_db(signal: Samples, hop: int) -> Spectrum:
    """Magnitudes `[frames, bins]` in dB relative to a sine of full scale, window of 1024 samples; at least -160 dB."""
    magnitudes = np.concatenate(list(stft_magnitudes(signal, WINDOW, hop)))
    return np.asarray(20 * np.log10(np.maximum(magnitudes / (WINDOW / 4), 1e-8)), dtype=np.float32)


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure (inches) that needs no display.

    Raises:
        OptionError: Matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError("pictures need matplotlib: pip install 'nac[eval]'") from None
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, target: str | os.PathLike[str]) -> None:
    """Write a figure under its name once it is complete, in the format of its ending (.png, .svg, .pdf)."""
    suffix = Path(target).suffix.lower()
    if suffix not in FORMATS:
        raise OptionError(f"cannot tell the format of the picture {target}; end it with .png, .svg or .pdf")
    try:
        with NewFile(target) as new:
            figure.savefig(new.file, format=suffix[1:])
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror or error}") from None


def clean_axes(axes: Any) -> None:
    """No box around the data, a quiet grid behind it."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _layout(seconds: float) -> tuple[Any, list[Any], list[Any]]:
    """A figure with five rows over one time axis, and a narrow column beside them for the colour scales."""
    figure = new_figure(float(np.clip(7 + seconds / 2, 9, 15)), 12)
    grid = figure.add_gridspec(
        5,
        2,
        width_ratios=[1, 0.012],
        height_ratios=[0.8, 1, 1, 1, 0.9],
        left=0.065,
        right=0.93,
        top=0.955,
        bottom=0.05,
        hspace=0.12,
        wspace=0.02,
    )
    rows: list[Any] = []
    for i in range(5):
        rows.append(figure.add_subplot(grid[i, 0], sharex=rows[0] if rows else None))
        rows[i].tick_params(labelbottom=i == 4)
    bars = [figure.add_subplot(grid[i, 1]) if i in (1, 2, 3) else None for i in range(5)]
    return figure, rows, bars


def _waveforms(axes: Any, x: Samples, y: Samples, sample_rate: int) -> None:
    """Both waveforms; where samples are more than pixels, the range of each pixel's (filled, and as an outline)."""
    for signal, colour, name in ((x, REFERENCE_COLOUR, "reference"), (y, DECODED_COLOUR, "decoded")):
        if len(signal) <= 2 * MAX_COLUMNS:
            axes.plot(np.arange(len(signal)) / sample_rate, signal, color=colour, linewidth=0.8, label=name, alpha=0.8)
            continue
        starts = np.linspace(0, len(signal), MAX_COLUMNS, endpoint=False).astype(int)
        low, high = np.minimum.reduceat(signal, starts), np.maximum.reduceat(signal, starts)
        if signal is x:
            axes.fill_between(starts / sample_rate, low, high, color=colour, label=name, linewidth=0)
        else:
            axes.plot(starts / sample_rate, high, color=colour, label=name, linewidth=0.8)
            axes.plot(starts / sample_rate, low, color=colour, linewidth=0.8)
    peak = max(float(np.abs(x).max()), float(np.abs(y).max()), 1e-4)
    axes.set_ylim(-1.05 * peak, 1.4 * peak)  # room for the legend
    axes.set_ylabel("amplitude")
    clean_axes(axes)
    axes.legend(loc="upper right", ncols=2, fontsize=8, framealpha=0.9)


def _band_errors(axes: Any, error: Spectrum, hop: int, sample_rate: int) -> None:
    """Root mean square of the error in dB within each band, smoothed over a fiftieth of the picture."""
    frequencies = np.linspace(0, sample_rate / 2, error.shape[1])
    times = np.arange(len(error)) * hop / sample_rate
    width = max(1, min(len(error) // 50, 40))
    edges = [edge for edge in BAND_EDGES if edge < sample_rate / 2]
    edges.append(sample_rate // 2)
    colours = np.linspace(0.05, 0.9, len(edges) - 1)
    from matplotlib import colormaps

    for low, high, colour in zip(edges, edges[1:], colours, strict=False):
        inside = (frequencies >= low) & (frequencies < high)
        power = np.square(error[:, inside]).mean(axis=1)
        weight = np.convolve(np.ones_like(power), np.ones(width), mode="same")
        smooth = np.sqrt(np.convolve(power, np.ones(width), mode="same") / weight)
        label = f"{low / 1000:g}–{high / 1000:g} kHz"
        axes.plot(times, smooth, label=label, color=colormaps["viridis"](colour), linewidth=1.2)
    axes.set_ylabel("RMS error, dB")
    axes.set_ylim(0, 1.3 * max(1.0, axes.get_ylim()[1]))  # room for the legend above the curves
    clean_axes(axes)
    axes.legend(loc="upper right", ncols=len(edges) - 1, fontsize=8, framealpha=0.9)


def _inside_label(axes: Any, text: str, colour: str) -> None:
    behind = ("black", 0.45) if colour == "white" else ("white", 0.85)
    box = {"facecolor": behind[0], "alpha": behind[1], "pad": 2, "linewidth": 0}
    axes.text(0.006, 0.96, text, transform=axes.transAxes, va="top", fontsize=9, color=colour, bbox=box)
