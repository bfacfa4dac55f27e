"""What rows need besides images, looked at before the first of them is trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cervix_tf.config import Images, is_drawn
from cervix_tf.errors import InputError
from cervix_tf.models import backbones
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data, evaluation
from cervix_tf.study.command import Check, Needs
from cervix_tf.training import devices, fit


@dataclass(frozen=True)
class InitialWeights:
    """Looks whether the initial weights of a backbone are there and fit; of equal ones it is done once."""

    network: str
    """One of `cervix_tf.models.catalog.NAMES`."""
    images: Images
    weights: str
    """imagenet, random, or a weights file without top."""
    option: str = "--weights"
    """Of the command line, for messages."""

    def __call__(self) -> None:
        """Raise `InputError` where they are not."""
        height, width = self.images.height, self.images.width
        backbones.check(self.network, height, width, weights=self.weights, option=self.option)


def check(config: Any, needs: Needs, out: RunDir) -> None:
    """Raise one `InputError` with everything that a command lacks, each with the rows that lack it.

    The fields `data`, `devices` and `tensorboard` of `config` are looked at too, where it has them.
    """
    everyone: list[Check] = [lambda: _source(config), lambda: devices.strategy(getattr(config, "devices", "all"))]
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


def _source(config: Any) -> None:
    """Raise `InputError` where images are to be read and neither a folder nor a manifest is given."""
    source = getattr(config, "data", None)
    if source is not None and not is_drawn(vars(config)) and source.manifest is None:
        data.root_of(source)


def _for(rows: Sequence[str]) -> str:
    return f" (needed by {', '.join(dict.fromkeys(rows))})" if rows else ""
