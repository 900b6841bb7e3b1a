"""Reports of a sweep: CSV, Markdown, charts, and one HTML page that holds everything and needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nac.evaluation.metrics import METRICS, shown
from nac.evaluation.report.charts import overview_chart, rate_charts
from nac.evaluation.report.plots import save
from nac.evaluation.report.render import render
from nac.evaluation.report.tables import csv_text, heading, markdown
from nac.evaluation.sweep.runner import Row
from nac.evaluation.sweep.summary import Statistic, Summary
from nac.files import NewFile

NOTE = (
    "kbps are true: the bytes of whole files over the duration. Scores are means over the clips with 95 % bootstrap "
    "intervals in brackets; clips for which a score is undefined do not count in it. The delay of each codec was "
    "removed; decoded sound was brought to the rate of the original. CPU: seconds of one core for a second of sound, "
    "encoding / decoding, with the start of the tool where the codec is one."
)
CSV_ONLY = {"mse", "l1"}  # too small and too many digits for tables to read; SNR says the same


@dataclass(frozen=True)
class Listed:
    """A version of an example clip in the HTML page: name, sound (a FLAC file), spectrogram (a PNG file)."""

    label: str
    sound: bytes
    picture: bytes | None = None


@dataclass(frozen=True)
class Example:
    """An example clip of the HTML page; the first version is the reference."""

    clip: str
    kind: str
    versions: tuple[Listed, ...]


def write_report(
    folder: Path, rows: Sequence[Row], summaries: Sequence[Summary], examples: Sequence[Example] | None = None
) -> list[Path]:
    """Write `clips.csv`, `summary.csv`, `report.md`, charts, and with `examples` also `report.html`.

    `chart.svg` has the main scores of all kinds, `chart_<kind>.svg` all scores of one.

    Returns the paths.

    Raises:
        OptionError: Matplotlib is missing.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def put(name: str, text: str) -> None:
        with NewFile(folder / name) as new:
            new.file.write(text.encode())
        written.append(folder / name)

    put("clips.csv", clips_csv(rows))
    put("summary.csv", summary_csv(summaries))
    save(overview_chart(summaries), folder / "chart.svg")
    written.append(folder / "chart.svg")
    charts = {}
    for kind in _kinds(summaries):
        path = folder / f"chart_{_safe(kind)}.svg"
        save(rate_charts(summaries, kind), path)
        charts[kind] = path
        written.append(path)
    put("report.md", report_markdown(summaries, {kind: path.name for kind, path in charts.items()}))
    if examples is not None:
        put("report.html", report_html(summaries, {kind: path.read_bytes() for kind, path in charts.items()}, examples))
    return written


def clips_csv(rows: Sequence[Row]) -> str:
    """Every row of the sweep, one line each."""
    names = [name for name in METRICS if any(name in row.scores for row in rows)]
    fixed = ["kind", "clip", "codec", "nominal", "kbps", "bytes", "seconds", "encode_cpu", "decode_cpu", "error"]
    table: list[list[object]] = [[*fixed, *names]]
    table += [[*(getattr(row, f) for f in fixed), *(row.scores.get(name) for name in names)] for row in rows]
    return csv_text(table)


def summary_csv(summaries: Sequence[Summary]) -> str:
    """Every summary, one line each: of each score its mean, median, interval of the mean, and number of clips."""
    names = _names(summaries)
    fixed = ["kind", "codec", "nominal", "kbps", "clips", "failed", "encode_cpu", "decode_cpu"]
    parts = ["mean", "median", "low", "high", "count"]
    table: list[list[object]] = [[*fixed, *(f"{name}_{part}" for name in names for part in parts)]]
    for summary in summaries:
        found = [summary.statistics.get(name) for name in names]
        cells = [None if value is None else getattr(value, part) for value in found for part in parts]
        table.append([*(getattr(summary, f) for f in fixed), *cells])
    return csv_text(table)


def report_markdown(summaries: Sequence[Summary], charts: dict[str, str] | None = None) -> str:
    """Tables of means and of medians for each kind of sound; `charts`: file names by kind, linked in."""
    out = ["# Evaluation", "", NOTE]
    if charts:
        out += ["", "![Main scores over bit rate](chart.svg)"]
    for kind in _kinds(summaries):
        out += ["", f"## {kind}", "", markdown(mean_table(summaries, kind)), "", "Medians:", ""]
        out += [markdown(median_table(summaries, kind))]
        if line := fewer(summaries, kind):
            out += ["", line]
        if charts and kind in charts:
            out += ["", f"![Scores over bit rate, {kind}]({charts[kind]})"]
    return "\n".join([*out, ""])


def mean_table(summaries: Sequence[Summary], kind: str, intervals: bool = True) -> list[list[str]]:
    """Heading and rows of one kind: codec, true kbps, clips, means (with their intervals), CPU."""
    chosen = [summary for summary in summaries if summary.kind == kind]
    names = [name for name in _names(chosen) if name not in CSV_ONLY]
    table = [["codec", "kbps", "clips", *(heading(name) for name in names), "CPU"]]
    for s in chosen:
        clips = f"{s.clips} ({s.failed} failed)" if s.failed else str(s.clips)
        means = [_mean(name, s.statistics.get(name), intervals) for name in names]
        cpu = f"{s.encode_cpu:.3f} / {s.decode_cpu:.3f}" if s.clips else "–"
        table.append([s.label, f"{s.kbps:.2f}" if s.clips else "–", clips, *means, cpu])
    return table


def median_table(summaries: Sequence[Summary], kind: str) -> list[list[str]]:
    """Heading and rows of one kind: codec, true kbps, medians."""
    chosen = [summary for summary in summaries if summary.kind == kind and summary.statistics]
    names = [name for name in _names(chosen) if name not in CSV_ONLY]
    table = [["codec", "kbps", *(heading(name) for name in names)]]
    for s in chosen:
        found = [(name, s.statistics.get(name)) for name in names]
        medians = ["–" if value is None else shown(name, value.median) for name, value in found]
        table.append([s.label, f"{s.kbps:.2f}", *medians])
    return table


def fewer(summaries: Sequence[Summary], kind: str) -> str:
    """A line on the slow scores that were computed for some clips of a kind only; empty if there are none.

    >>> from nac.evaluation.sweep.summary import statistic
    >>> fewer([Summary("music", "opus", 6, 6.1, 9, 0, 0, 0, {"visqol_audio": statistic([3.0])})], "music")
    'ViSQOL-audio is over 1 of the 9 clips.'
    """
    parts = []
    chosen = [summary for summary in summaries if summary.kind == kind]
    clips = max((summary.clips for summary in chosen), default=0)
    for name in (name for name in _names(chosen) if METRICS[name].slow):
        counts = [found.count for summary in chosen if (found := summary.statistics.get(name)) is not None]
        if counts and max(counts) < clips:
            parts.append(f"{METRICS[name].label} is over {max(counts)} of the {clips} clips.")
    return " ".join(parts)


def report_html(summaries: Sequence[Summary], charts: dict[str, bytes], examples: Sequence[Example]) -> str:
    """One page with all in it: tables, charts (SVG files by kind), example clips with players and spectrograms.

    Raises:
        OptionError: Jinja2 is missing.
    """
    kinds = [
        {
            "name": kind,
            "table": mean_table(summaries, kind),
            "fewer": fewer(summaries, kind),
            "chart": charts.get(kind),
            "examples": [example for example in examples if example.kind == kind],
        }
        for kind in _kinds(summaries)
    ]
    return render(Path(__file__).parent / "templates" / "report.html", note=NOTE, kinds=kinds)


def flac_bytes(samples: object, sample_rate: int) -> bytes:
    """`[channels, samples]` as a 16-bit FLAC file, clipped at full scale: small, and played by every browser."""
    import numpy as np
    import soundfile

    out = io.BytesIO()
    clipped = np.clip(np.asarray(samples, dtype=np.float32), -1, 1 - 2**-15)
    soundfile.write(out, clipped.T, sample_rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def _mean(name: str, found: Statistic | None, interval: bool) -> str:
    if found is None:
        return "–"
    if found.count < 2 or not interval:
        return shown(name, found.mean)
    return f"{shown(name, found.mean)} [{shown(name, found.low)}, {shown(name, found.high)}]"


def _names(summaries: Sequence[Summary]) -> list[str]:
    return [name for name in METRICS if any(name in summary.statistics for summary in summaries)]


def _kinds(summaries: Sequence[Summary]) -> list[str]:
    return list(dict.fromkeys(summary.kind for summary in summaries))


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
