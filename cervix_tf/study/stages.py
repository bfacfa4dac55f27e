"""The stages of every study's run, in their order: the rows, the model that users load, what is shown of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cervix_tf import progress
from cervix_tf.study import failures
from cervix_tf.training import backend


def run(rows: Mapping[str, Callable[[], object]], deploy: Callable[[], object], report: Callable[[], object]) -> None:
    """Train and measure each of `rows` (by name), deploy the main model, then draw figures and write the report.

    A row that fails lets the others go on; the report is written even where an exported file is refused. On another
    Keras backend than TensorFlow the rows are all: see `cervix_tf.training.backend`.

    Raises `InputError` at the end with what was wrong with the rows that failed, see `failures.collected`.
    """
    with failures.collected() as attempt:
        for at, (name, evaluate) in enumerate(rows.items(), 1):
            with attempt(name), progress.stage(f"row {name}, {at} of {len(rows)}"):
                evaluate()
        if not backend.is_tensorflow():
            return
        try:
            with progress.stage("preparing the model for use"):
                deploy()
        finally:
            with progress.stage("drawing figures and writing tables"):
                report()
