from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from nac.cli import main
from nac.errors import FormatError
from nac.evaluation.listening.scores import (
    Choice,
    Rating,
    discrimination,
    discrimination_table,
    read_answers,
    score_table,
    scores,
    screen,
)

HEAD = "page,session,listener,equipment,test,clip,kind,condition,role,rating,artifacts,comment,trial,x,answer,correct"


def ratings(
    listener: str, reference: float = 100, anchor: float = 50, codec: float = 70, clips: int = 4
) -> list[Rating]:
    return [
        Rating(listener, f"clip{clip}", "speech", condition, role, value)
        for clip in range(clips)
        for condition, role, value in (
            ("reference", "reference", reference), ("anchor 7 kHz", "anchor", anchor), ("nac 6", "codec", codec + clip),
        )
    ]  # fmt: skip


def test_mean_and_interval_are_those_of_students_t() -> None:
    values = [60.0, 70.0, 75.0, 90.0]
    found = scores([Rating(f"l{i}", "c", "speech", "nac 6", "codec", value) for i, value in enumerate(values)])[0]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.mean, found.median, found.ratings, found.listeners) == (73.75, 72.5, 4, 4)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.quartiles == (67.5, 78.75)


def test_conditions_are_sorted_and_kinds_apart() -> None:
    both = [*ratings("a"), Rating("a", "m", "music", "nac 6", "codec", 10, ("smearing",))]
    found = scores(both)
    assert [(score.kind, score.condition) for score in found] == [
        ("all", "reference"), ("all", "nac 6"), ("all", "anchor 7 kHz"), ("music", "nac 6"),
        ("speech", "reference"), ("speech", "nac 6"), ("speech", "anchor 7 kHz"),
    ]  # fmt: skip
    assert found[1].artifacts == {"smearing": pytest.approx(0.2)}
    assert score_table(found)[2][-1] == "smearing 20%"


def test_post_screening() -> None:
    good, deaf, generous = ratings("good"), ratings("deaf", reference=80), ratings("generous", anchor=95)
    kept, reasons = screen([*good, *deaf, *generous])
    assert {rating.listener for rating in kept} == {"good"}
    assert "hidden reference below 90 in 4 of 4" in reasons["deaf"]
    assert "mid anchor above 90 in 4 of 4" in reasons["generous"]


def test_fifteen_percent_are_tolerated() -> None:
    for clips, tolerated in ((7, True), (6, False)):  # one of seven is 14.3 %, one of six 16.7 %
        answers = ratings("a", clips=clips)
        slip = next(i for i, rating in enumerate(answers) if rating.role == "reference")
        answers[slip] = Rating("a", "clip0", "speech", "reference", "reference", 89)
        assert (screen(answers)[1] == {}) is tolerated


def test_telling_apart_against_guessing() -> None:
    answers = [Choice("a", "c", "nac 6", i < 14) for i in range(16)] + [
        Choice("a", "c", "nac 12", i % 2 == 0) for i in range(8)
    ]
    heard, guessed = discrimination(answers)
    assert (heard.right, heard.trials) == (14, 16)
    test = stats.binomtest(14, 16, 0.5, alternative="greater")
    both = stats.binomtest(14, 16, 0.5).proportion_ci(0.95, "exact")
    assert heard.p_value == pytest.approx(test.pvalue)
    assert (heard.low, heard.high) == (pytest.approx(both.low), pytest.approx(both.high))
    assert guessed.p_value > 0.5 and guessed.low < 0.5 < guessed.high
    assert discrimination_table([heard])[1][:4] == ["nac 6", "14", "16", "0.88"]
    perfect, hopeless = discrimination([Choice("a", "c", "x", True), Choice("a", "c", "y", False)])
    assert perfect.high == 1 and hopeless.low == 0


def test_files_are_read_and_sessions_counted_once(tmp_path: Path) -> None:
    line = "p,{session},Ada,,mushra,c,speech,nac 6,codec,{rating},smearing; aliasing,,,,,"
    first, again = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(
        "\r\n".join([HEAD, line.format(session="s1", rating=10), line.format(session="s2", rating=30), ""])
    )
    again.write_text(
        "\r\n".join([HEAD, line.format(session="s1", rating=20), "p,s1,Ada,,abx,c,speech,nac 6,codec,,,,1,A,A,1", ""])
    )
    found, choices = read_answers([first, again])
    assert {(rating.listener, rating.rating) for rating in found} == {("s1", 20.0), ("s2", 30.0)}
    assert found[0].artifacts == ("smearing", "aliasing")
    assert choices == [Choice("s1", "c", "nac 6", True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "not exported"),
        (HEAD + "\np,s,,,mushra,c,speech,nac 6,codec,high,,,,,,\n", "is not a rating"),
        (HEAD + "\np,s,,,mushra,c,speech,nac 6,codec,101,,,,,,\n", "between 0 and 100"),
        (HEAD + "\np,s,,,other,c,speech,nac 6,codec,1,,,,,,\n", "no test called"),
        (HEAD + "\np,s\n", "too few"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_answers([tmp_path / "a.csv"])
    with pytest.raises(FormatError, match="cannot read"):
        read_answers([tmp_path / "none.csv"])


def test_the_verb_scores_files(tmp_path: Path) -> None:
    lines = [HEAD]
    for session, reference in (("good", 100), ("bad", 20)):
        lines.append(f"p,{session},,,mushra,c,speech,reference,reference,{reference},,,,,,")
        lines.append(f"p,{session},,,mushra,c,speech,nac 6,codec,60,,,,,,")
    (tmp_path / "a.csv").write_text("\n".join([*lines, "p,good,,,abx,c,speech,nac 6,codec,,,,1,A,A,1", ""]))
    result = CliRunner().invoke(main, ["listen", "score", str(tmp_path / "a.csv"), "--csv", str(tmp_path / "out.csv")])
    assert result.exit_code == 0, result.output
    assert "left out bad" in result.output
    text = (tmp_path / "out.csv").read_text().splitlines()
    assert len(text) == 3 and text[1].startswith("all,reference,100.0,")
    every = CliRunner().invoke(main, ["listen", "score", str(tmp_path / "a.csv"), "--keep-all"])
    assert "60.0" in every.output and "left out" not in every.output
