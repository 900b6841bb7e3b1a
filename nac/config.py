"""Configs: frozen dataclasses, read from plain values (JSON, TOML, the command line) and checked in one place.

What a field may hold is its type: `int`, `float`, `bool`, `str`, tuples of these, `Weights`, another config, any of
them `| None`, and any of them with a `Range` or a `OneOf` in `typing.Annotated`. Every error says the key, the value
and what is allowed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from nac.errors import NacError, OptionError

Config = TypeVar("Config")
Weights = tuple[tuple[str, float], ...]
"""Numbers by name, in their order; read from a table (`{l1 = 1.0}`) or from pairs."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `low` is not with `above`. None: no bound."""

    low: float | None = None
    high: float | None = None
    above: bool = False

    def allows(self, value: float) -> bool:
        """Whether a number lies in the range; nan lies in none."""
        if math.isnan(value):
            return False
        low = self.low is None or (value > self.low if self.above else value >= self.low)
        return low and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is None:
            return "any number" if self.high is None else f"at most {self.high:g}"
        if self.high is None:
            return f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        return f"{'above' if self.above else 'from'} {self.low:g} {'and up ' if self.above else ''}to {self.high:g}"


@dataclass(frozen=True)
class OneOf:
    """Some texts and no others."""

    choices: tuple[str, ...]

    def allows(self, value: str) -> bool:
        """Whether the text is one of them."""
        return value in self.choices

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"


Count = Annotated[int, Range(1)]
NotNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]


def load(kind: type[Config], values: Any, where: str = "", error: type[NacError] = OptionError) -> Config:
    """Make a config from plain values.

    Args:
        kind: The dataclass.
        values: A mapping from its fields' names to values as JSON or TOML have them: lists for tuples, whole numbers
            where fractions may stand.
        where: What messages begin with, such as the name of a file; "" for nothing.
        error: The exception to raise.

    Returns:
        The config. Fields that `values` lacks have their defaults.

    Raises:
        NacError: of type `error`: an unknown key, a value of the wrong type or out of range.

    >>> @dataclass(frozen=True)
    ... class Example:
    ...     size: Annotated[int, Range(1, 9)] = 3
    >>> load(Example, {"size": 4})
    Example(size=4)
    >>> load(Example, {"size": 10}, "example.toml")
    Traceback (most recent call last):
    nac.errors.OptionError: example.toml: size is 10; it must be from 1 to 9
    """
    before = f"{where}: " if where else ""
    if not isinstance(values, dict):
        raise error(f"{before}{_shown(values)} is not a table of settings")
    hints = typing.get_type_hints(kind, include_extras=True)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    converted = {}
    for key, value in values.items():
        if key not in known:
            raise error(f"{before}there is no setting {key!r} (given: {_shown(value)}); there are {', '.join(known)}")
        nested = _nested(hints[key])
        if nested is not None and isinstance(value, dict):
            converted[key] = load(nested, value, f"{before}{key}", error)
            continue
        try:
            converted[key] = convert(value, hints[key])
        except ValueError as wrong:
            raise error(f"{before}{key} is {_shown(value)}; it must be {wrong}") from None
    try:
        return kind(**converted)
    except TypeError as missing:
        raise error(f"{before}{missing}") from None
    except NacError as wrong:
        raise error(f"{before}{wrong}") from None


def check(config: Any) -> None:
    """Check the fields of a config that was made in Python; for `__post_init__`.

    Raises:
        OptionError: a value of the wrong type or out of range.
    """
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        try:
            convert(value, hints[field.name])
        except ValueError as wrong:
            raise OptionError(f"{field.name} is {_shown(value)}; it must be {wrong}") from None


def convert(value: Any, hint: Any) -> Any:
    """A plain value as one of the type `hint`. Raises ValueError with what is allowed, to follow "it must be"."""
    if typing.get_origin(hint) is Annotated:
        kind, *limits = typing.get_args(hint)
        converted = convert(value, kind)
        for limit in limits:
            if not limit.allows(converted):
                raise ValueError(str(limit))
        return converted
    if hint == Weights:
        return _weights(value)
    if _is_optional(hint):
        return None if value is None else convert(value, typing.get_args(hint)[0])
    if typing.get_origin(hint) is tuple:
        return _tuple(value, typing.get_args(hint))
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            raise ValueError(_name(hint)) from None
    if hint is float and not isinstance(value, bool):
        try:
            return float(value) if not isinstance(value, str) else _fail(hint)
        except TypeError:
            raise ValueError(_name(hint)) from None
    if isinstance(hint, type) and hint not in (bool, int, float) and isinstance(value, hint):
        return value
    return _fail(hint)


def override(config: Config, assignments: Sequence[str], option: str = "--set") -> Config:
    """A config with the changes of `KEY=JSON` texts.

    Raises:
        OptionError: a text of another form, an unknown key, or a value that is not allowed.

    >>> @dataclass(frozen=True)
    ... class Example:
    ...     size: int = 3
    >>> override(Example(), ["size=5"])
    Example(size=5)
    """
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for text in assignments:
        key, equals, value = text.partition("=")
        try:
            values[key] = json.loads(value if equals else "")
        except ValueError:
            raise OptionError(f"{option} {text}: give KEY=JSON, such as batch=8 or name='\"mine\"'") from None
    return load(type(config), values, option)


def _is_optional(hint: Any) -> bool:
    """Whether a type is `Kind | None`."""
    return typing.get_origin(hint) in (types.UnionType, typing.Union) and typing.get_args(hint)[1:] == (type(None),)


def _nested(hint: Any) -> type[Any] | None:
    """The dataclass that a field holds, by itself or as the first of `Kind | None`."""
    kind = typing.get_args(hint)[0] if _is_optional(hint) else hint
    return kind if dataclasses.is_dataclass(kind) and isinstance(kind, type) else None


def _tuple(value: Any, items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(_name(tuple[items]))  # type: ignore[valid-type]
    if items[-1:] == (Ellipsis,):
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise ValueError(f"a list of {len(items)} values")
    try:
        return tuple(convert(item, hint) for item, hint in zip(value, items, strict=True))
    except ValueError as wrong:
        raise ValueError(f"a list of values that are each {wrong}") from None


def _weights(value: Any) -> Weights:
    pairs = value.items() if isinstance(value, dict) else value
    try:
        return tuple((convert(key, str), convert(number, float)) for key, number in pairs)
    except (ValueError, TypeError):
        raise ValueError("a table of numbers") from None


def _fail(hint: Any) -> Any:
    raise ValueError(_name(hint))


def _name(hint: Any) -> str:
    if typing.get_origin(hint) is Annotated:
        return _name(typing.get_args(hint)[0])
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, "a list" if typing.get_origin(hint) is tuple else getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
