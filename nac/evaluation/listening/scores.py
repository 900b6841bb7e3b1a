"""Answers of a listening test (the CSV files that the page exports) to scores with confidence intervals."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from nac.errors import FormatError
from nac.evaluation.report.tables import csv_text

REFERENCE_AT_LEAST = 90  # BS.1534-3, post-screening: who rates the hidden reference lower ...
ANCHOR_AT_MOST = 90  # ... or the mid anchor higher ...
TOLERATED = 0.15  # ... in more than this share of the clips is left out
MID_ANCHOR = "anchor 7 kHz"
COLUMNS = {"page", "session", "test", "trial", "clip", "kind", "condition", "role", "rating", "x", "answer", "correct"}


@dataclass(frozen=True)
class Rating:
    """One version of one clip as one listener rated it, 0 to 100."""

    listener: str
    clip: str
    kind: str
    condition: str
    role: str
    rating: float
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One ABX trial: whether X was named rightly."""

    listener: str
    clip: str
    condition: str
    correct: bool


@dataclass(frozen=True)
class Score:
    """Ratings of one condition: mean with the 95 % interval of Student's t, median, quartiles, artifacts by share.

    `kind` is the kind of sound, or "all".
    """

    kind: str
    condition: str
    mean: float
    low: float
    high: float
    median: float
    quartiles: tuple[float, float]
    ratings: int
    listeners: int
    artifacts: dict[str, float]


@dataclass(frozen=True)
class Discrimination:
    """ABX trials of one condition: share that was right with its 95 % Clopper-Pearson interval.

    `p_value`: the chance that guessing gets at least as many right; small: the difference is heard.
    """

    condition: str
    right: int
    trials: int
    low: float
    high: float
    p_value: float


def read_answers(paths: Iterable[Path]) -> tuple[list[Rating], list[Choice]]:
    """All answers of these files. A session that is in several files (exported twice) counts once, the last one wins.

    Listeners are told apart by the session, since names may repeat or be empty.

    Raises:
        FormatError: A file that was not exported by the page.
    """
    ratings: dict[tuple[str, ...], Rating] = {}
    choices: dict[tuple[str, ...], Choice] = {}
    for path in paths:
        for row in _rows(path):
            listener = row["session"]
            place = (row["page"], listener, row["clip"], row["condition"])
            if row["test"] == "mushra":
                value = _number(row["rating"], path)
                if not 0 <= value <= 100:
                    raise FormatError(f"{path}: a rating of {value:g} is not between 0 and 100")
                ticked = tuple(part for part in (row.get("artifacts") or "").split("; ") if part)
                ratings[place] = Rating(
                    listener, row["clip"], row["kind"], row["condition"], row["role"], value, ticked
                )
            elif row["test"] == "abx":
                correct = row["correct"] == "1"
                trial = (*place, row["trial"])
                choices[trial] = Choice(listener, row["clip"], row["condition"], correct)
            else:
                raise FormatError(f"{path}: there is no test called {row['test']!r}")
    return list(ratings.values()), list(choices.values())


def screen(ratings: Sequence[Rating]) -> tuple[list[Rating], dict[str, str]]:
    """Post-screening of BS.1534-3: the ratings of reliable listeners, and why the others were left out.

    Left out is who rates the hidden reference below 90 in more than 15 % of the clips, or the mid anchor (7 kHz) above
    90 in more than 15 % of them.
    """
    reasons: dict[str, str] = {}
    for listener in dict.fromkeys(rating.listener for rating in ratings):
        own = [rating for rating in ratings if rating.listener == listener]
        hidden = [rating.rating for rating in own if rating.role == "reference"]
        anchors = [rating.rating for rating in own if rating.condition == MID_ANCHOR]
        missed = sum(value < REFERENCE_AT_LEAST for value in hidden)
        praised = sum(value > ANCHOR_AT_MOST for value in anchors)
        if missed > TOLERATED * len(hidden):
            reasons[listener] = (
                f"rated the hidden reference below {REFERENCE_AT_LEAST} in {missed} of {len(hidden)} clips"
            )
        elif praised > TOLERATED * len(anchors):
            reasons[listener] = f"rated the mid anchor above {ANCHOR_AT_MOST} in {praised} of {len(anchors)} clips"
    return [rating for rating in ratings if rating.listener not in reasons], reasons


def scores(ratings: Sequence[Rating]) -> list[Score]:
    """Scores of every condition over all clips, then for each kind of sound (where there are several), best first."""
    kinds = sorted({rating.kind for rating in ratings})
    out = []
    for kind in ["all", *(kinds if len(kinds) > 1 else [])]:
        chosen = [rating for rating in ratings if kind in ("all", rating.kind)]
        conditions = dict.fromkeys(rating.condition for rating in chosen)
        found = [_score(kind, [r for r in chosen if r.condition == condition]) for condition in conditions]
        out += sorted(found, key=lambda score: (-score.mean, score.condition))
    return out


def discrimination(choices: Sequence[Choice]) -> list[Discrimination]:
    """Every condition's ABX trials, over all listeners and clips."""
    out = []
    for condition in dict.fromkeys(choice.condition for choice in choices):
        answers = [choice.correct for choice in choices if choice.condition == condition]
        right, trials = sum(answers), len(answers)
        low = float(stats.beta.ppf(0.025, right, trials - right + 1)) if right else 0.0
        high = float(stats.beta.ppf(0.975, right + 1, trials - right)) if right < trials else 1.0
        p_value = float(stats.binom.sf(right - 1, trials, 0.5))
        out.append(Discrimination(condition, right, trials, low, high, p_value))
    return out


def score_table(found: Sequence[Score]) -> list[list[str]]:
    """Heading and rows for `nac.evaluation.report.tables`."""
    table = [["condition", "kind", "mean", "95 % interval", "median", "quartiles", "ratings", "listeners", "heard"]]
    for score in found:
        heard = ", ".join(f"{name} {share:.0%}" for name, share in score.artifacts.items())
        low, high = score.quartiles
        table.append(
            [
                score.condition,
                score.kind,
                f"{score.mean:.1f}",
                f"{score.low:.1f} to {score.high:.1f}",
                f"{score.median:.1f}",
                f"{low:.1f} to {high:.1f}",
                str(score.ratings),
                str(score.listeners),
                heard or "–",
            ]
        )
    return table


def discrimination_table(found: Sequence[Discrimination]) -> list[list[str]]:
    """Heading and rows for `nac.evaluation.report.tables`."""
    table = [["condition", "right", "trials", "share", "95 % interval", "p"]]
    for each in found:
        share = each.right / each.trials
        interval = f"{each.low:.2f} to {each.high:.2f}"
        table.append(
            [each.condition, str(each.right), str(each.trials), f"{share:.2f}", interval, f"{each.p_value:.4f}"]
        )
    return table


def scores_csv(found: Sequence[Score]) -> str:
    """One line a score."""
    head = ["kind", "condition", "mean", "low", "high", "median", "quartile1", "quartile3", "ratings", "listeners"]
    rows: list[list[object]] = [list(head)]
    for s in found:
        rows.append([s.kind, s.condition, s.mean, s.low, s.high, s.median, *s.quartiles, s.ratings, s.listeners])
    return csv_text(rows)


def _score(kind: str, ratings: Sequence[Rating]) -> Score:
    values = np.array([rating.rating for rating in ratings])
    mean = float(values.mean())
    half = 0.0
    if len(values) > 1:
        half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    names = dict.fromkeys(name for rating in ratings for name in rating.artifacts)
    shares = {name: sum(name in rating.artifacts for rating in ratings) / len(ratings) for name in names}
    first, median, third = (float(value) for value in np.percentile(values, [25, 50, 75]))
    listeners = len({rating.listener for rating in ratings})
    return Score(
        kind,
        ratings[0].condition,
        mean,
        mean - half,
        mean + half,
        median,
        (first, third),
        len(values),
        listeners,
        dict(sorted(shares.items(), key=lambda item: -item[1])),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or COLUMNS - set(reader.fieldnames):
                raise FormatError(f"{path} was not exported by a listening page: its columns are others")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"cannot read {path}: {error}") from None
    if any(None in row or None in row.values() for row in rows):
        raise FormatError(f"{path} has lines with too few or too many cells")
    return rows


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise FormatError(f"{path}: {text!r} is not a rating") from None
