import dataclasses
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

from nac.config import Count, OneOf, Positive, Range, Share, Weights, check, load, override
from nac.errors import OptionError, WeightsError


@dataclass(frozen=True)
class Example:
    size: Annotated[int, Range(1, 9)] = 3
    rate: Positive = 0.5
    share: Share = 0.5
    kind: Annotated[str, OneOf(("a", "b"))] = "a"
    sizes: tuple[Count, ...] = (1, 2)
    pair: tuple[int, float] = (1, 2.0)
    loss: Weights = (("l1", 1.0),)
    flag: bool = False

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Outer:
    inner: Example | None = None
    always: Example = Example()
    count: Count | None = None


def test_configs_within_configs() -> None:
    made = load(Outer, {"inner": {"size": 4, "pair": [4, 5]}, "count": 3})
    assert made == Outer(Example(4, pair=(4, 5.0)), Example(), 3)
    assert load(Outer, {"inner": None, "count": None}) == Outer()
    assert load(Outer, dataclasses.asdict(made)) == made
    assert load(Outer, {"inner": Example(2)}).inner == Example(2)
    for values, message in (
        ({"inner": {"size": 10}}, "file: inner: size is 10; it must be from 1 to 9"),
        ({"always": {"siz": 1}}, "file: always: there is no setting 'siz'"),
        ({"count": 0}, "file: count is 0; it must be 1 or more"),
        ({"inner": 3}, "file: inner is 3; it must be"),
        ({"always": None}, "file: always is None; it must be"),
    ):
        with pytest.raises(WeightsError) as caught:
            load(Outer, values, "file", WeightsError)
        assert message in str(caught.value)


def test_plain_values_become_those_of_the_fields() -> None:
    values = {
        "size": np.int64(4),
        "rate": 2,
        "sizes": [3],
        "pair": [4, 5],
        "loss": {"mel": 2},
        "flag": True,
        "kind": "b",
    }
    made = load(Example, values)
    assert made == Example(4, 2.0, 0.5, "b", (3,), (4, 5.0), (("mel", 2.0),), True)
    assert type(made.size) is int and type(made.rate) is float and type(made.pair[1]) is float
    assert load(Example, {"loss": [["mel", 2]]}).loss == (("mel", 2.0),)


@pytest.mark.parametrize(("key", "value", "message"), [
    ("siz", 3, "there is no setting 'siz' (given: 3); there are size, rate"),
    ("size", 10, "size is 10; it must be from 1 to 9"),
    ("size", 1.5, "size is 1.5; it must be a whole number"),
    ("size", True, "size is True; it must be a whole number"),
    ("size", "3", "size is '3'; it must be a whole number"),
    ("rate", 0, "rate is 0; it must be above 0"),
    ("rate", float("nan"), "rate is nan; it must be above 0"),
    ("rate", "1", "rate is '1'; it must be a number"),
    ("share", 1.01, "share is 1.01; it must be from 0 to 1"),
    ("kind", "c", "kind is 'c'; it must be one of a, b"),
    ("kind", 3, "kind is 3; it must be a text"),
    ("sizes", 3, "sizes is 3; it must be a list"),
    ("sizes", [1, 0], "sizes is [1, 0]; it must be a list of values that are each 1 or more"),
    ("pair", [1], "pair is [1]; it must be a list of 2 values"),
    ("loss", 3, "loss is 3; it must be a table of numbers"),
    ("loss", {"mel": "x"}, "it must be a table of numbers"),
    ("flag", 1, "flag is 1; it must be true or false"),
])  # fmt: skip
def test_what_is_wrong_is_message_with_the_key_the_value_and_what_is_allowed(
    key: str, value: object, message: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        load(Example, {key: value}, "here", WeightsError)
    assert str(caught.value).startswith("here: ") and message in str(caught.value) and "\n" not in str(caught.value)


def test_values_given_in_python_are_checked_too() -> None:
    with pytest.raises(OptionError, match=r"size is 0; it must be from 1 to 9"):
        Example(size=0)
    with pytest.raises(OptionError, match="share is -1"):
        dataclasses.replace(Example(), share=-1)


def test_texts_override_fields_and_leave_the_others() -> None:
    assert override(Example(size=5), ["rate=2", 'kind="b"', "sizes=[7]"]) == Example(5, 2.0, kind="b", sizes=(7,))
    for text, message in (
        ("rate", "KEY=JSON"),
        ("rate=x", "KEY=JSON"),
        ("no=1", "no setting 'no'"),
        ("size=0", "from 1 to 9"),
    ):
        with pytest.raises(OptionError, match="--set.*" + message):
            override(Example(), [text])


def test_what_is_not_a_table_is_refused() -> None:
    with pytest.raises(OptionError, match="not a table of settings"):
        load(Example, [1])
