"""A whole epoch of real images through `fit`, against the step on pixels that are there already."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from row import Measure, Row


def whole_epoch(precision: str) -> Measure:
    """Images a second of one epoch of the IARC acetic images through Keras' fit, pipeline started again."""
    from training_step import our_compiled

    network = our_compiled("mobilenet_v2", precision)  # first, since it decides what TensorFlow starts with

    from cervix_tf.data import importers, inputs, pipeline
    from experiments.mobilenetv2_ensemble import config

    root = Path(os.environ["CERVIX_TF_REAL_DATA"]) / "iarc_colposcopy"
    found = importers.load("iarc_colposcopy", root).manifest
    chosen = inputs.from_images(found, config.CLASSES, "acetic")
    settings = config.PAPER
    steps = pipeline.steps(chosen, settings.images)

    def run(steps: int, epoch: int) -> float:
        batches = pipeline.training(
            chosen, settings.images, settings.augmentation, seed=0, epochs=epoch + 1, first_epoch=epoch
        )
        start = time.perf_counter()
        network.fit(batches, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
        return steps * settings.images.batch_size / (time.perf_counter() - start)

    run(2, 0)
    epochs = iter(range(1, 1000))
    return lambda: run(steps, next(epochs))


def bare_step(precision: str) -> Measure:
    """Images a second of the step, over as many steps as an epoch has roughly."""
    from training_step import our_step, timed

    return timed(our_step("mobilenet_v2", precision, 16), 16, steps=16)


ROWS = [
    Row(
        f"Whole epoch of the IARC acetic images through fit, {precision}",
        "images/s",
        {
            "ours, fit from files": functools.partial(whole_epoch, precision),
            "bare step": functools.partial(bare_step, precision),
        },
        target=">= 0.9",
        rounds=2,
    )
    for precision in ("float32", "bfloat16")
]
