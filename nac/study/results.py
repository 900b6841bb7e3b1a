"""Results of a study: tables, the chart of all systems over true bit rate, curves, pictures and sounds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nac.audio import AudioWriter
from nac.errors import NacError, OptionError
from nac.evaluation.clips import Clip
from nac.evaluation.codecs import Codec, Rates
from nac.evaluation.metrics import shown
from nac.evaluation.report.charts import codec_styles, rate_charts
from nac.evaluation.report.examples import decoded_versions
from nac.evaluation.report.plots import clean_axes, new_figure, plot_comparison, save
from nac.evaluation.report.tables import csv_text, heading, markdown
from nac.evaluation.report.write import clips_csv, summary_csv
from nac.evaluation.sweep.runner import Row
from nac.evaluation.sweep.summary import Summary, summarise
from nac.files import NewFile
from nac.study.config import safe
from nac.training.plots import read_metrics

METRICS = ("snr", "sdr", "si_sdr", "log_spectral_distance", "log_spectrum_rmse", "mel_distance", "mse", "l1")
EVERYTHING = "all kinds"
FILE = "results.json"


@dataclass(frozen=True)
class Facts:
    """A trained system: its name, number of parameters, network input over latent, steps of training.

    `folder`: where it lies, below that of the results.
    """

    name: str
    parameters: int
    compression: float
    steps: int
    folder: str = ""

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """Read what `to_json` wrote.

        Raises:
            OptionError: Anything else.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise OptionError(f"these are not facts of a system: {error}") from None


@dataclass
class Results:
    """Rows of the sweep over all systems and codecs, and facts of the systems by name.

    `minutes`: training time of each system, 0 if it was not the same for all or limited otherwise.
    """

    name: str
    rows: list[Row]
    facts: dict[str, Facts] = field(default_factory=dict)
    minutes: float = 0.0

    def summaries(self, by_kind: bool = False) -> list[Summary]:
        """Over all kinds of sound together, or one by one."""
        rows = self.rows if by_kind else [dataclasses.replace(row, kind=EVERYTHING) for row in self.rows]
        return summarise(rows)

    def write(self, folder: Path) -> None:
        """Write `results.json`, `table.md` and `table.csv`, `clips.csv`, `summary.csv`, the chart and the curves.

        Raises:
            OptionError: matplotlib is missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        summaries, kinds = self.summaries(), self.summaries(by_kind=True)
        table = self.table(summaries)
        _put(
            folder / FILE,
            json.dumps(
                {
                    "name": self.name,
                    "minutes": self.minutes,
                    "rows": [dataclasses.asdict(row) for row in self.rows],
                    "facts": [dataclasses.asdict(fact) for fact in self.facts.values()],
                }
            ),
        )
        _put(folder / "table.csv", csv_text(table))
        _put(folder / "clips.csv", clips_csv(self.rows))
        _put(folder / "summary.csv", summary_csv([*summaries, *kinds]))
        save(rate_distortion(summaries), folder / "rate_distortion.png")
        text = [
            f"# {self.name}",
            "",
            "Means over all clips; kbps are true: all bytes of the files over the duration. "
            "The setting is the bits of a number of the latent, or stages of codebooks; of codecs, nominal kbps.",
            "",
            markdown(table),
            "",
            "![Scores over true bit rate](rate_distortion.png)",
            "",
        ]
        for kind in dict.fromkeys(summary.kind for summary in kinds):
            text += [f"## {kind}", "", markdown(self.table([s for s in kinds if s.kind == kind])), ""]
        _put(folder / "table.md", "\n".join(text))
        curves = {fact.name: folder / fact.folder for fact in self.facts.values() if fact.folder}
        if any((path / "metrics.csv").exists() for path in curves.values()):
            save(loss_curves(curves), folder / "loss_curves.png")

    def table(self, summaries: Iterable[Summary]) -> list[list[str]]:
        """Heading and a row for each system and setting."""
        table = [
            [
                "system",
                "setting",
                "kbps",
                "clips",
                *(heading(name) for name in METRICS),
                "input / latent",
                "parameters",
                "steps",
            ]
        ]
        for s in summaries:
            scores = [s.statistics.get(name) for name in METRICS]
            fact = self.facts.get(s.codec)
            about = ["–"] * 3
            if fact is not None:
                about = [f"{fact.compression:.1f}", f"{fact.parameters / 1e6:.2f} M", str(fact.steps)]
            clips = f"{s.clips} ({s.failed} failed)" if s.failed else str(s.clips)
            means = [shown(name, found.mean) if found else "–" for name, found in zip(METRICS, scores, strict=True)]
            table.append([s.codec, f"{s.nominal:g}", f"{s.kbps:.2f}" if s.clips else "–", clips, *means, *about])
        return table

    def write_examples(
        self, folder: Path, clips: Sequence[Clip], codecs: Sequence[tuple[Codec, Rates]], cache: Path | None
    ) -> None:
        """Write sounds and pictures of some clips.

        In `samples` are each clip and every version of it; in `pictures` waveforms, spectrograms and the heat map of
        the error of each system at its highest setting.
        """
        highest = {f"{codec.name} {rates[-1]:g} (" for codec, rates in codecs}
        for clip in clips:
            name = safe(clip.name)
            reference, rate, versions = decoded_versions(clip, codecs, cache)
            for label, audio in [("reference", reference), *versions]:
                path = folder / "samples" / name / f"{safe(label)}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                with AudioWriter(path, rate, len(audio)) as writer:
                    writer.write(audio)
                if any(label.startswith(start) for start in highest):
                    picture = folder / "pictures" / name / f"{safe(label)}.png"
                    picture.parent.mkdir(parents=True, exist_ok=True)
                    plot_comparison(reference, audio, rate, picture, f"{clip.name}: {label}")


def read_results(folder: Path) -> Results:
    """Read what `Results.write` wrote.

    Raises:
        OptionError: There is none that can be read.
    """
    try:
        values: dict[str, Any] = json.loads((folder / FILE).read_text())
        rows = [Row(**row) for row in values["rows"]]
        facts = [Facts(**fact) for fact in values["facts"]]
        return Results(str(values["name"]), rows, {fact.name: fact for fact in facts}, float(values.get("minutes", 0)))
    except OSError:
        raise OptionError(f"{folder} holds no results; give a folder that python -m nac.study made") from None
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{folder / FILE} is damaged ({error}); run the study again") from None


def compare_results(folders: Sequence[Path], out: Path) -> Results:
    """Several studies in one table and chart, over the clips that all of them have; written into `out`.

    Systems are named after their study where two have the same name; codecs such as nac count once.

    Raises:
        OptionError: a folder without results, or no clip that all have.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise OptionError("give two or more folders of results, none of them twice")
    read = [read_results(folder) for folder in folders]
    common = set.intersection(*({(row.kind, row.clip) for row in results.rows} for results in read))
    if not common:
        raise OptionError("the studies have no clip in common, so their means cannot be compared")
    uses = [name for results in read for name in results.facts]
    labels = [results.name for results in read]
    if len(set(labels)) < len(labels):
        labels = [folder.name if len({f.name for f in folders}) == len(folders) else str(folder) for folder in folders]
    times = {results.minutes for results in read}
    merged = Results(" and ".join(labels), [], minutes=times.pop() if len(times) == 1 else 0.0)
    others: set[tuple[str, float, str, str]] = set()
    for label, results in zip(labels, read, strict=True):
        names = {name: f"{label}: {name}" if uses.count(name) > 1 else name for name in results.facts}
        merged.facts |= {
            names[n]: dataclasses.replace(fact, name=names[n], folder="") for n, fact in results.facts.items()
        }
        for row in results.rows:
            key = (row.codec, row.nominal, row.kind, row.clip)
            if (row.kind, row.clip) not in common or key in others:
                continue
            if row.codec not in names:
                others.add(key)
            merged.rows.append(dataclasses.replace(row, codec=names.get(row.codec, row.codec)))
    merged.write(out)
    return merged


def rate_distortion(summaries: Sequence[Summary]) -> Any:
    """The evaluation's charts over true bit rate, made fit for many systems with long names at very different rates."""
    figure = rate_charts(summaries, EVERYTHING)
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    styles = codec_styles([summary.codec for summary in summaries])
    for legend in figure.legends:
        names = [text.get_text() for text in legend.get_texts()]
        handles = [Line2D([], [], **styles[name]) for name in names]
        columns = max(1, int(width / (0.09 * max(map(len, names)) + 0.6)))
        more = 0.2 * (-(-len(names) // columns) - 1)
        top, bottom = (1 - figure.subplotpars.top) * height, figure.subplotpars.bottom * height
        legend.remove()
        figure.set_size_inches(width, height + more)
        figure.subplots_adjust(top=1 - top / (height + more), bottom=(bottom + more) / (height + more))
        figure.legend(handles, names, loc="lower left", ncols=columns, fontsize=9, frameon=False)
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [4.0**power for power in range(-5, 8) if low <= 4.0**power <= high]
        axes.set_xticks(ticks, [f"{tick:.2g}" if tick < 1 else f"{tick:g}" for tick in ticks])
    return figure


def loss_curves(folders: dict[str, Path]) -> Any:
    """A figure with a small chart for every term of the losses, over minutes of training, a curve for each system."""
    curves: dict[str, list[dict[str, float]]] = {}
    for name, folder in folders.items():
        try:
            curves[name] = read_metrics([folder])
        except NacError:
            continue
    terms = list(
        dict.fromkeys(term for rows in curves.values() for row in rows for term in row if term not in ("step", "hours"))
    )
    columns = min(3, max(1, len(terms)))
    lines = max(1, -(-len(terms) // columns))
    legend = -(-len(curves) // 3)
    height = 2.9 * lines + 0.25 * legend + 0.5
    figure = new_figure(4.4 * columns, height)
    styles, drawn = codec_styles(list(curves)), {}
    for index, term in enumerate(terms):
        axes = figure.add_subplot(lines, columns, index + 1)
        for name, rows in curves.items():
            points = [(row["hours"] * 60, row[term]) for row in rows if term in row]
            if points:
                x, y = zip(*points, strict=True)
                (drawn[name],) = axes.plot(x, y, color=styles[name]["color"], linewidth=1.2)
        axes.set_title(term, fontsize=9.5, loc="left")
        axes.set_xlabel("minutes", fontsize=8.5)
        axes.tick_params(labelsize=8)
        clean_axes(axes)
    if drawn:
        figure.legend(drawn.values(), drawn.keys(), loc="lower left", ncols=3, fontsize=8, frameon=False)
    figure.subplots_adjust(
        left=0.07, right=0.985, top=1 - 0.35 / height, bottom=(0.25 * legend + 0.65) / height, hspace=0.5, wspace=0.25
    )
    return figure


def _put(path: Path, text: str) -> None:
    with NewFile(path) as new:
        new.file.write(text.encode())
