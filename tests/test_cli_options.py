"""What options mean, and how errors are told."""

import errno
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nac.cli.guard import code_of, describe
from nac.cli.options import parse_tags, parse_time, snap_kbps
from nac.errors import AudioError, FormatError, OptionError
from nac.times import show_time


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("90", 90), ("1.5", 1.5), (".5", 0.5), ("1:30", 90), ("0:00.25", 0.25), ("2:03:04.5", 7384.5)],
)
def test_times(text, value):
    assert parse_time(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "1:-2", "1:60", "1.5:10", "1:2:3:4", "nan", "inf", ":", "1:", "1e400"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError):
        parse_time(text)


@given(st.integers(0, 10**9))
def test_shown_times_read_back(thousandths):
    assert round(parse_time(show_time(thousandths / 1000)) * 1000) == thousandths


@given(st.floats(0.001, 1000))
def test_bit_rates_snap_to_the_nearest(wanted):
    got = snap_kbps(wanted, quiet=True)
    assert 1 <= got <= 24
    assert all(abs(got - wanted) <= abs(other - wanted) for other in range(1, 25))


def test_snapping_is_said(capsys):
    assert snap_kbps(6) == 6
    assert capsys.readouterr().err == ""
    assert snap_kbps(6.4) == 6
    assert "coding at 6 kbps, the nearest to 6.4" in capsys.readouterr().err
    assert snap_kbps(30, quiet=True) == 24
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("wanted", [0, -3, math.nan, math.inf])
def test_what_is_no_bit_rate(wanted):
    with pytest.raises(OptionError, match="not a bit rate"):
        snap_kbps(wanted)


def test_tags():
    assert parse_tags(("A=b", "T=x=y", "E=", "A=c")) == (("A", "b"), ("T", "x=y"), ("E", ""), ("A", "c"))
    for bad in ("", "A", "=b"):
        with pytest.raises(OptionError, match="KEY=VALUE"):
            parse_tags((bad,))


def test_errors_are_one_line_with_the_file_named_once():
    assert describe(FormatError("broken\nin two lines"), "a.nac") == "a.nac: broken in two lines"
    assert describe(AudioError("a.wav is empty"), "a.wav") == "a.wav is empty"
    assert describe(OSError(errno.ENOSPC, "No space left on device"), "a.wav") == "a.wav: No space left on device"
    assert describe(PermissionError(13, "Permission denied", "out"), "in") == "out: Permission denied"
    assert "memory" in describe(MemoryError(), "a.wav")
    assert (code_of(OptionError("x")), code_of(FormatError("x")), code_of(OSError())) == (2, 1, 1)
