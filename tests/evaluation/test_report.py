import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nac.evaluation.report.charts import overview_chart
from nac.evaluation.report.write import (
    Example,
    Listed,
    clips_csv,
    flac_bytes,
    mean_table,
    median_table,
    report_html,
    summary_csv,
    write_report,
)
from nac.evaluation.sweep.runner import Row
from nac.evaluation.sweep.summary import statistic, summarise

pytest.importorskip("matplotlib")


def row(
    clip: str, snr: float | None, codec: str = "nac", nominal: float = 6, kind: str = "speech", **more: object
) -> Row:
    facts: dict[str, object] = {"bytes": 9000, "seconds": 12.0, "encode_cpu": 2.4, "decode_cpu": 1.2, **more}
    return Row(clip, kind, codec, nominal, scores={"snr": snr}, **facts)  # type: ignore[arg-type]


ROWS = [
    row("a", 1.0), row("b", 2.0, bytes=18000), row("c", 9.0), row("d", None),
    Row("e", "speech", "nac", 6, error="broken"),
    row("a", 5.0, "a|<b>", 12),
    row("m", 3.0, kind="music"),
]  # fmt: skip


def test_groups_and_true_rates() -> None:
    speech, other, music = summarise(ROWS)
    assert (speech.label, speech.clips, speech.failed) == ("nac 6", 4, 1)
    assert speech.kbps == pytest.approx((3 * 9000 + 18000) * 8 / 1000 / 48)
    assert speech.encode_cpu == pytest.approx(0.2) and speech.decode_cpu == pytest.approx(0.1)
    found = speech.statistics["snr"]
    assert (found.mean, found.median, found.count) == (4.0, 2.0, 3)
    assert (other.codec, music.kind) == ("a|<b>", "music")


def test_bootstrap_interval_is_that_of_the_mean() -> None:
    values = list(np.random.default_rng(1).normal(10, 2, 400))
    found = statistic(values)
    half = 1.96 * np.std(values) / 20
    assert found.mean - found.low == pytest.approx(half, rel=0.1)
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert statistic(values) == found


def test_statistics_without_an_interval() -> None:
    assert statistic([None]) is None
    assert statistic([3.0]).low == statistic([3.0]).high == 3.0
    endless = statistic([3.0, math.inf])
    assert endless.mean == endless.low == math.inf


def test_tables() -> None:
    summaries = summarise(ROWS)
    head, first, second = mean_table(summaries, "speech")
    assert head == ["codec", "kbps", "clips", "SNR (dB)", "CPU"]
    assert first == ["nac 6", "7.50", "4 (1 failed)", "4.00 [1.00, 9.00]", "0.200 / 0.100"]
    assert second[3] == "5.00"
    assert mean_table(summaries, "speech", intervals=False)[1][3] == "4.00"
    assert median_table(summaries, "speech")[1] == ["nac 6", "7.50", "2.00"]


def test_csv_files_hold_everything() -> None:
    clips = list(csv.DictReader(io.StringIO(clips_csv(ROWS))))
    assert len(clips) == len(ROWS)
    assert clips[0]["snr"] == "1.0" and clips[3]["snr"] == "" and clips[4]["error"] == "broken"
    sums = list(csv.DictReader(io.StringIO(summary_csv(summarise(ROWS)))))
    assert sums[0]["snr_mean"] == "4.0" and sums[0]["snr_median"] == "2.0" and sums[0]["snr_count"] == "3"


def test_report_is_written(tmp_path: Path) -> None:
    sound = flac_bytes(np.zeros((1, 100)), 8000)
    example = Example("a<clip>", "speech", (Listed("reference", sound), Listed("nac 6", sound, b"png")))
    written = write_report(tmp_path / "out", ROWS, summarise(ROWS), [example])
    names = [
        "clips.csv", "summary.csv", "chart.svg", "chart_speech.svg", "chart_music.svg", "report.md", "report.html",
    ]  # fmt: skip
    assert [path.name for path in written] == names
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| nac 6 | 7.50 |" in text and "a\\|<b> 12" in text and "(chart_speech.svg)" in text
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a&lt;clip&gt;" in page and "<clip>" not in page and "{{" not in page
    assert page.count("<audio") == 2 and page.count("data:image/svg+xml") == 2
    assert "http" not in page  # nothing is fetched


def test_page_marks_our_own_rows() -> None:
    page = report_html(summarise(ROWS), {}, [])
    assert page.count('<tr class="own">') == 2


def test_flac_keeps_the_sound() -> None:
    sound = np.stack([np.linspace(-1.5, 1.5, 301), np.zeros(301)]).astype(np.float32)
    decoded, rate = soundfile.read(io.BytesIO(flac_bytes(sound, 24000)))
    assert rate == 24000
    np.testing.assert_allclose(decoded.T, np.clip(sound, -1, 1), atol=1e-4)


def test_overview_has_a_line_for_each_kind_and_the_scores_there_are() -> None:
    names = ["pesq_wb", "visqol_speech", "si_sdr", "mel_distance"]
    rows = [
        Row("a", kind, "nac", rate, 9000, 12.0, scores=dict.fromkeys(found, 2.0))
        for kind, found in (("speech", names), ("music", names[1:])) for rate in (3, 6)
    ]  # fmt: skip
    figure = overview_chart(summarise(rows))
    titles = [axes.get_title(loc="left").split(",")[0] for axes in figure.axes]
    assert titles == [
        "speech: PESQ-WB (MOS)", "speech: ViSQOL-speech (MOS)", "speech: Mel (decades)",
        "music: ViSQOL-speech (MOS)", "music: SI-SDR (dB)", "music: Mel (decades)",
    ]  # fmt: skip
    starts = [axes.get_subplotspec().num1 for axes in figure.axes]
    assert starts == [0, 1, 2, 3, 4, 5]
    only = [Row("a", kind, "nac", 3, 9000, 12.0, scores={"mel_distance": 2.0}) for kind in ("speech", "music")]
    assert [axes.get_subplotspec().num1 for axes in overview_chart(summarise(only)).axes] == [0, 3]
    assert not overview_chart([]).axes
