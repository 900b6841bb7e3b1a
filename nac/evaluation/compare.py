"""`nac compare`: two files, or two folders paired by name, aligned, scored, shown as text, JSON, CSV and pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nac.arrays import Samples
from nac.errors import AudioError, OptionError
from nac.evaluation.clips import KINDS, Clip, find_clips, load_audio, mono, same_rate
from nac.evaluation.metrics import METRICS, default_metrics, score, unavailable
from nac.evaluation.metrics.align import delay
from nac.evaluation.report.plots import FORMATS, plot_comparison
from nac.evaluation.report.tables import aligned, cell, columns, csv_text, heading, json_text, means

LONGEST_DELAY = 1.0  # seconds, looked for in either direction
LONGEST_SLOW = 60.0  # seconds: of longer sounds, slow scores are computed only when named
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pair:
    """One comparison. `delay` in samples at `sample_rate`: how much later the decoded sound comes; it was removed.

    `seconds`: the length that was compared. `notes`: what had to be done to make the two comparable, one line each.
    """

    name: str
    reference: str
    decoded: str
    kind: str | None
    sample_rate: int
    channels: int
    seconds: float
    delay: int
    notes: tuple[str, ...]
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Comparison:
    """All pairs of one comparison.

    `unpaired`: files without a partner. `hints`: lines on metrics that were left out because a package is missing.
    """

    pairs: tuple[Pair, ...]
    unpaired: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    def text(self) -> str:
        """A table, one row a pair (and their mean), followed by notes. For one pair: one line for each metric."""
        lines = [aligned(self._one() if len(self.pairs) == 1 else self._many())]
        several = len(self.pairs) > 1
        lines += [f"{f'{pair.name}: ' if several else ''}{note}" for pair in self.pairs for note in pair.notes]
        lines += [f"not compared, no partner: {path}" for path in self.unpaired]
        return "\n".join(lines)

    def json(self) -> str:
        """JSON: `metrics` (label, unit, which direction is better), `pairs`, `mean`, `unpaired`.

        Undefined scores are null, infinite ones the string "inf".
        """
        names = columns(pair.scores for pair in self.pairs)
        return json_text(
            {
                "metrics": {
                    name: {"label": METRICS[name].label, "unit": METRICS[name].unit, "better": METRICS[name].better}
                    for name in names
                },
                "pairs": [asdict(pair) for pair in self.pairs],
                "mean": means([pair.scores for pair in self.pairs]),
                "unpaired": list(self.unpaired),
            }
        )

    def csv(self) -> str:
        """CSV, one row a pair; empty where a score is undefined."""
        names = columns(pair.scores for pair in self.pairs)
        fixed = ["name", "kind", "sample_rate", "channels", "seconds", "delay"]
        rows: list[list[object]] = [[*fixed, *names, "notes"]]
        for pair in self.pairs:
            facts = [getattr(pair, field) for field in fixed]
            rows.append([*facts, *(pair.scores.get(name) for name in names), "; ".join(pair.notes)])
        return csv_text(rows)

    def _one(self) -> list[list[str]]:
        pair = self.pairs[0]
        rows = [["score", "value", "unit", "better"]]
        for name in columns([pair.scores]):
            rows.append([METRICS[name].label, cell(name, pair.scores), METRICS[name].unit, METRICS[name].better])
        return rows

    def _many(self) -> list[list[str]]:
        names = columns(pair.scores for pair in self.pairs)
        rows = [["file", *(heading(name) for name in names)]]
        rows += [[pair.name, *(cell(name, pair.scores) for name in names)] for pair in self.pairs]
        mean = means([pair.scores for pair in self.pairs])
        return [*rows, ["mean", *(cell(name, mean) for name in names)]]


def compare(
    reference: str | os.PathLike[str],
    decoded: str | os.PathLike[str],
    *,
    kind: str | None = None,
    metrics: Iterable[str] | None = None,
    sample_rate: int | None = None,
    keep_delay: bool = False,
    model: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two audio files, or all files of two folders that have the same name but for the suffix.

    .nac files are decoded first, with the weights file `model` (None: the packaged one). The decoded sound is moved by
    its delay (unless `keep_delay`) and resampled to the reference's rate (both to `sample_rate` Hz if given); stereo
    and mono are compared as mono; of different lengths the common part is compared. The notes say what was done.

    `metrics` are names of `nac.evaluation.metrics.METRICS`; without them, all that are meant for the `kind` ("speech",
    "music", "environmental"; None: not known), but no slow ones for sounds above a minute. In folders the kind is the
    subfolder's name unless given. `plot` is a picture to write for two files, a folder for two folders.
    `progress(done, total)` is called after each pair.

    Raises:
        AudioError: Something cannot be read or nothing fits together.
        OptionError: A wrong option.
    """
    first, second = Path(reference), Path(decoded)
    chosen = None if metrics is None else tuple(metrics)
    if kind is not None and kind not in KINDS:
        raise OptionError(f"no such kind of sound: {kind}; there are {', '.join(KINDS)}")
    if sample_rate is not None and not 1000 <= sample_rate <= 384000:
        raise OptionError(f"cannot compare at {sample_rate} Hz; 1000 to 384000 are possible")
    hints = unavailable(default_metrics(kind, slow=True) if chosen is None else chosen)
    weights = None if model is None else os.fspath(model)
    if first.is_dir() != second.is_dir():
        for path in (first, second):
            if not path.exists():
                raise AudioError(f"there is no file or folder {path}")
        raise AudioError(f"cannot compare a file with a folder: {first}, {second}")
    if first.is_dir():
        couples, unpaired = pair_up(find_clips(first), find_clips(second))
        if not couples:
            raise AudioError(f"no file in {first} has the same name as one in {second}")
    else:
        couples, unpaired = [(Clip(first, first.stem, None), Clip(second, second.stem, None))], []
    pictures = _pictures(plot, [left.name for left, _ in couples], first.is_dir())
    pairs = []
    for (left, right), picture in zip(couples, pictures, strict=True):
        of_kind = kind or (left.kind if left.kind in KINDS else None)
        pairs.append(_compare_pair(left, right, of_kind, chosen, sample_rate, keep_delay, weights, picture))
        if progress is not None:
            progress(len(pairs), len(couples))
    return Comparison(tuple(pairs), tuple(unpaired), tuple(hints))


def pair_up(references: Sequence[Clip], decoded: Sequence[Clip]) -> tuple[list[tuple[Clip, Clip]], list[str]]:
    """Clips of the same name, and the paths of those without a partner."""
    partners = {clip.name: clip for clip in decoded}
    couples = [(clip, partners[clip.name]) for clip in references if clip.name in partners]
    paired = {clip.name for clip, _ in couples}
    return couples, [str(clip.path) for clip in (*references, *decoded) if clip.name not in paired]


def fit(
    reference: Samples,
    decoded: Samples,
    rates: tuple[int, int],
    sample_rate: int | None = None,
    keep_delay: bool = False,
) -> tuple[Samples, Samples, int, int, list[str]]:
    """Make two signals `[channels, samples]` comparable: rate, channels, delay, length.

    `rates`: of the reference and of the decoded signal, in Hz. Returns both signals in equal shape, their sample rate,
    the delay that was removed (samples at that rate) and notes on what was done.

    Raises:
        AudioError: Nothing of them overlaps.
    """
    rate = sample_rate or rates[0]
    notes = []
    for name, own in zip(("reference", "decoded"), rates, strict=True):
        if own != rate:
            notes.append(f"{name} resampled from {own} to {rate} Hz")
    if len(reference) != len(decoded):
        notes.append(f"reference has {len(reference)} channels, decoded has {len(decoded)}: compared as mono")
        reference, decoded = mono(reference), mono(decoded)
    reference, decoded = same_rate(reference, rates[0], rate), same_rate(decoded, rates[1], rate)
    shift = 0 if keep_delay else delay(reference, decoded, rate, LONGEST_DELAY)
    if shift:
        way = "later" if shift > 0 else "earlier"
        notes.append(f"decoded comes {abs(shift)} samples ({abs(shift) / rate * 1000:.1f} ms) {way}: moved")
    length, wanted = decoded.shape[1] - shift, reference.shape[1]
    start, stop = max(0, -shift), min(wanted, length)
    if stop <= start:
        raise AudioError("reference and decoded sound have no sample in common")
    if decoded.shape[1] != wanted:
        more = decoded.shape[1] - wanted
        notes.append(f"decoded is {abs(more)} samples ({abs(more) / rate:.3f} s) {'longer' if more > 0 else 'shorter'}")
    if stop - start < wanted:
        notes.append(f"compared the common part, {start / rate:.3f} s to {stop / rate:.3f} s of the reference")
    return reference[:, start:stop], decoded[:, start + shift : stop + shift], rate, shift, notes


def _compare_pair(
    left: Clip,
    right: Clip,
    kind: str | None,
    metrics: Sequence[str] | None,
    sample_rate: int | None,
    keep_delay: bool,
    weights: str | None,
    picture: Path | None,
) -> Pair:
    (reference, rate), (decoded, decoded_rate) = (load_audio(path, weights) for path in (left.path, right.path))
    if not reference.shape[1] or not decoded.shape[1]:
        raise AudioError(f"{left.path if not reference.shape[1] else right.path} holds no samples: nothing to compare")
    try:
        x, y, rate, shift, notes = fit(reference, decoded, (rate, decoded_rate), sample_rate, keep_delay)
    except AudioError as error:
        raise AudioError(f"{left.path} and {right.path}: {error}") from None
    if metrics is None:
        quick, every = default_metrics(kind), default_metrics(kind, slow=True)
        long = x.shape[1] > LONGEST_SLOW * rate
        if long:
            names = " and ".join(name for name in every if name not in quick)
            notes.append(f"longer than {LONGEST_SLOW:g} s: {names} only when asked for by name")
        metrics = quick if long else every
    scores = score(x, y, rate, kind, metrics)
    if picture is not None:
        plot_comparison(x, y, rate, picture, f"{left.path.name} and {right.path.name}")
    channels, samples = x.shape
    return Pair(
        left.name, str(left.path), str(right.path), kind, rate, channels, samples / rate, shift, tuple(notes), scores
    )


def _pictures(plot: str | os.PathLike[str] | None, names: Sequence[str], folders: bool) -> list[Path | None]:
    """The picture to write for each pair; in a folder, subfolders are joined into the name."""
    if plot is None:
        return [None] * len(names)
    target = Path(plot)
    if not folders:
        if target.suffix.lower() not in FORMATS:
            raise OptionError(f"cannot tell the format of the picture {target}; end it with .png, .svg or .pdf")
        return [target]
    if target.suffix.lower() in FORMATS or target.is_file():
        raise OptionError(f"{target} is one picture; for two folders name a folder for the pictures")
    target.mkdir(parents=True, exist_ok=True)
    return [target / f"{name.replace('/', '_')}.png" for name in names]
