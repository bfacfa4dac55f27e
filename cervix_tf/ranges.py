"""What values a configuration's fields may have, said beside each field, and one check of them all.

A field says it in its type, `epochs: Annotated[int, Range(1)]`; what several fields rule out
together is a method `conflicts` of their dataclass, which yields (field, what is wrong).
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

from cervix_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`, both included unless it says otherwise; of a tuple, every element."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """Without `low` itself."""
    below: bool = False
    """Without `high` itself."""

    def problem(self, value: Any) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return "" if all(map(self._holds, value if isinstance(value, tuple) else (value,))) else f"must be {self}"

    def _holds(self, value: float) -> bool:
        low = value > self.low if self.above else value >= self.low
        high = value < self.high if self.below else value <= self.high
        return math.isfinite(value) and low and high

    def __str__(self) -> str:
        ends = []
        if self.low > -math.inf:
            ends.append(f"{'above' if self.above else 'at least'} {self.low:g}")
        if self.high < math.inf:
            ends.append(f"{'below' if self.below else 'at most'} {self.high:g}")
        return " and ".join(ends) or "a finite number"


@dataclasses.dataclass(frozen=True)
class ZeroOr:
    """0, which stands for none, or a number of a range."""

    range: Range

    def problem(self, value: float) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return self.range.problem(value) and f"{self.range.problem(value)}, or 0" if value else ""


@dataclasses.dataclass(frozen=True)
class Rising:
    """Two numbers of which the first is not the larger one."""

    def problem(self, value: tuple[float, float]) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return "" if value[0] <= value[1] else "must be the smaller end first, then the larger one"


@dataclasses.dataclass(frozen=True)
class Different:
    """A tuple of at least one value, none of them twice."""

    def problem(self, value: tuple[Any, ...]) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return "" if value and len(set(value)) == len(value) else "must be at least one value, none of them twice"


class OneOf:
    """Text that is one of these."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def problem(self, value: str) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return "" if value in self.values else f"must be one of {', '.join(self.values)}"


class FileOr(OneOf):
    """Text that is one of these words, or the name of a file that is there; without words it may be empty."""

    def problem(self, value: str) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        if value in (self.values or ("",)) or (value and Path(value).is_file()):
            return ""
        return f"no such file; give {', '.join((*self.values, 'a file that is there'))}"


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of weights that is there, or none."""

    def problem(self, value: Path | None) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return "" if value is None or value.is_dir() else "no such folder; give one that is there"


@dataclasses.dataclass(frozen=True)
class Written:
    """Text that a regular expression describes."""

    pattern: str
    words: str
    """The same for people."""

    def problem(self, value: str) -> str:
        """What is wrong with the value, in words; empty where nothing is."""
        return "" if re.fullmatch(self.pattern, value) else f"must be {self.words}"


Count = Annotated[int, Range(1)]
CountOrNone = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Probability = Annotated[float, Range(0, 1)]
Share = Annotated[float, Range(0, 1, above=True, below=True)]
"""A part of a whole that leaves something of it."""
BelowOne = Annotated[float, Range(0, 1, below=True)]
"""What is remembered at each step, or dropped: the whole of it would leave nothing new."""
Seed = Annotated[int, Range(0, 2**32 - 1)]
Devices = Annotated[str, Written("all|cpu|[1-9][0-9]*", "all, cpu or a number of devices")]


def check(*configs: Any) -> None:
    """Raise `InputError` that names every field of configurations (dataclasses of dataclasses) with a wrong value."""
    found = [problem for config in configs for problem in problems(config)]
    if found:
        raise InputError("\n".join(found))


def problems(config: Any, prefix: str = "--") -> Iterator[str]:
    """What is wrong with a configuration, one line a field, which has the name of its command-line option.

    A conflict may name a field of a field, with a dot between them.
    """
    inside: list[str] = []
    wrong = {}
    for name, value, limits in limited(config):
        if dataclasses.is_dataclass(value):
            inside += problems(value, f"{prefix}{_option(name)}.")
        first = next(filter(None, (limit.problem(value) for limit in limits)), "")
        if first:
            wrong[name] = first
    yield from inside
    if not wrong and not inside and hasattr(config, "conflicts"):
        wrong = dict(config.conflicts())
    for name, reason in wrong.items():
        yield f"{prefix}{_option(name)} {_shown(operator.attrgetter(name)(config))}: {reason}"


def files(config: Any) -> Iterator[Path]:
    """The files of initial weights that a configuration names: those of its `FileOr`s and in its `Folder`s."""
    for _, value, limits in limited(config):
        if dataclasses.is_dataclass(value):
            yield from files(value)
        for limit in limits:
            if isinstance(limit, FileOr) and value not in (*limit.values, ""):
                yield Path(value)
            elif isinstance(limit, Folder) and value is not None:
                yield from sorted(value.glob("*.weights.h5"))


def nothing_left(config: Any, first: str, second: str) -> Iterator[tuple[str, str]]:
    """The conflict of two shares that are taken from one whole and leave nothing of it to train on."""
    other = getattr(config, second)
    if getattr(config, first) + other >= 1:
        yield first, f"and --{_option(second)} {other:g} leave nothing to train on; lower one of them"


def limited(config: Any) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """(name, value, limits of the value) of every field of a dataclass."""
    hints = get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        metadata = hint.__metadata__ if get_origin(hint) is Annotated else ()
        yield field.name, getattr(config, field.name), tuple(each for each in metadata if hasattr(each, "problem"))


def _option(name: str) -> str:
    return name.replace("_", "-")


def _shown(value: Any) -> str:
    """A value as one writes it on the command line."""
    if isinstance(value, tuple):
        return " ".join(map(_shown, value)) or "(nothing)"
    return repr(value) if value == "" else str(value)
