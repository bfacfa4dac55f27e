"""`python -m cervix_tf.report RUN`: write a run's report.html again, from the run's files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from cervix_tf import run_lock
from cervix_tf.arguments import once
from cervix_tf.errors import exit_cleanly
from cervix_tf.run_dir import RunDir


def report(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    no_images: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Write report.html of a run, or of an evaluation's folder, again from its files alone.

    Args:
        run: Folder of the run, saved_models/<paper>/<run>, or of an evaluation.
        no_images: Show no patients' images. A run made with --no-images shows none in any case.
    """
    from cervix_tf.report import page

    files = RunDir(run)
    page.check(files)
    evaluated = files.metrics.exists() and not files.config.exists() and not files.history.exists()
    with run_lock.held(run):
        images = not no_images
        print(page.evaluation(run, images=images) if evaluated else page.run(files, images=images))


if __name__ == "__main__":
    with exit_cleanly():
        tyro.cli(report, args=once(), prog="python -m cervix_tf.report")
