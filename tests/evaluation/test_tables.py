import json
import math

from nac.evaluation.report.tables import aligned, cell, columns, csv_text, heading, json_text, markdown, means


def test_means_leave_out_what_is_undefined_or_missing() -> None:
    rows = [{"snr": 1.0, "mse": None}, {"snr": None, "mse": None, "stoi": 0.5}, {"snr": 4.0}]
    assert means(rows) == {"stoi": 0.5, "snr": 2.5, "mse": None}
    assert columns(rows) == ["stoi", "snr", "mse"]


def test_cells_tell_undefined_from_missing() -> None:
    assert cell("snr", {"snr": None}) == "undefined"
    assert cell("snr", {}) == "–"
    assert heading("snr") == "SNR (dB)" and heading("stoi") == "STOI"


def test_text_columns_line_up() -> None:
    lines = aligned([["file", "SNR"], ["a long name", "1.0"], ["b", "-10.25"]]).splitlines()
    assert lines[2:] == ["a long name     1.0", "b            -10.25"]


def test_markdown_escapes_its_separator() -> None:
    assert markdown([["a|b", "c"], ["1", "2"]]).splitlines() == ["| a\\|b | c |", "| --- | ---: |", "| 1 | 2 |"]


def test_json_has_no_bare_infinity() -> None:
    assert json.loads(json_text({"a": math.inf, "b": [-math.inf, None, 1.5]})) == {"a": "inf", "b": ["-inf", None, 1.5]}


def test_csv_leaves_undefined_empty() -> None:
    assert csv_text([["a", "b"], [None, math.inf]]) == "a,b\n,inf\n"
