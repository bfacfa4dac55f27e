"""What a line of the benchmark table is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Measure = Callable[[], float]


def nothing() -> None:
    """For rows that need nothing before they are measured."""


@dataclass(frozen=True)
class Row:
    """Cases that are measured in turn, each in a process of its own; ours against the best of the others.

    `cases` maps a name to a function that sets up and returns what measures once. Ours are
    those whose name begins with "ours".
    """

    title: str
    unit: str
    cases: dict[str, Callable[..., Any]]
    more_is_better: bool = True
    target: str = ""
    rounds: int = 5
    prepare: Callable[[], Any] = nothing
    """Done once before, in a process of its own: files that several cases read."""
