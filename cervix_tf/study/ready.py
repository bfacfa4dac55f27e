"""What rows need besides images, looked at before the first of them is trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import evaluation
from cervix_tf.training import devices, fit

Check = Callable[[], object]
"""Raises `InputError` where something is missing or does not fit, such as a network's initial weights."""
Needs = Mapping[str, Sequence[Check]]
"""Row -> what has to pass before it can be trained; rows that need the same share one object."""


def check(config: Any, needs: Needs, out: RunDir) -> None:
    """Raise one `InputError` with everything that a command lacks, each with the rows that lack it.

    The fields `devices` and `tensorboard` of `config` are looked at too, where it has them.
    """
    everyone: list[Check] = [lambda: devices.strategy(getattr(config, "devices", "all"))]
    if getattr(config, "tensorboard", False):
        everyone.append(lambda: fit.tensorboard(out))
    rows_of: dict[Check, list[str]] = {each: [] for each in everyone}
    for row, checks in needs.items():
        for each in checks:
            rows_of.setdefault(each, []).append(row)
    lacking: dict[str, list[str]] = defaultdict(list)
    for each, rows in rows_of.items():
        try:
            each()
        except InputError as error:
            lacking[str(error)] += rows
    if needs:
        evaluation.release()
    if lacking:
        raise InputError("\n".join(problem + _for(rows) for problem, rows in lacking.items()))


def _for(rows: Sequence[str]) -> str:
    return f" (needed by {', '.join(dict.fromkeys(rows))})" if rows else ""
