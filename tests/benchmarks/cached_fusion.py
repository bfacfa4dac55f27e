"""Seconds an epoch of the ensemble's fusion on kept trunk features, and with the trunks run in every epoch.

`python tests/benchmarks/cached_fusion.py [--height 224 --width 298 --alpha 1.0 --visits 32]`: synthetic
visits, the published ensemble by default, one process. Beside the epochs it prints what keeping one copy costs once.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tyro

from cervix_tf.config import Images
from cervix_tf.data import importers, inputs, pipeline
from cervix_tf.data.synthetic import visits as synthetic
from experiments.mobilenetv2_ensemble import config, model


def epoch(network: keras.Model, batches, steps: int) -> float:
    """Seconds of the second epoch: the first one traces."""
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    taken: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            taken.append(time.perf_counter() - self.started)

    network.fit(batches, epochs=2, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[Clock()])
    return taken[1]


def main(height: int = 224, width: int = 298, alpha: float = 1.0, visits: int = 32, batch_size: int = 16) -> None:
    """Print the times as JSON."""
    settings = dataclasses.replace(
        config.Config(),
        images=Images(height=height, width=width, batch_size=batch_size, cache="memory"),
        network=config.Network(alpha=alpha),
        weights="random",
    )
    views = {kind: model.single_view(settings, kind) for kind in config.KINDS}
    trunks = model.stacked(settings, {kind: model.trunk_of(view, kind) for kind, view in views.items()})
    head = model.fusion(settings, trunks.output_shape[1:])
    whole = model.ensemble(trunks, head)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "visits"
        synthetic.write(root, visits=visits, seed=0, height=240, width=320, test_share=0.0)
        everything = importers.load("cervigram_visits", root).manifest
        cases, _ = inputs.from_cases(everything, config.CLASSES, config.VIEWS)
        steps = pipeline.steps(cases, settings.images)
        anew = pipeline.training(cases, settings.images, settings.augmentation, seed=0, epochs=2)
        running = epoch(whole, anew, steps)
        started = time.perf_counter()
        copy = trunks.predict(
            pipeline.one_epoch(cases, settings.images, settings.augmentation, seed=0, epoch=0), verbose=0
        )
        once = time.perf_counter() - started
        kept = epoch(
            head, pipeline.training_features(np.stack([copy]), cases, settings.images, seed=0, epochs=2), steps
        )
    print(json.dumps({
        "cases": len(cases), "pixels": f"{height} x {width}", "alpha": alpha,
        "seconds_an_epoch_running_trunks": round(running, 3), "seconds_an_epoch_cached": round(kept, 3),
        "ratio": round(running / kept, 1), "seconds_once_a_copy": round(once, 3),
    }))  # fmt: skip


if __name__ == "__main__":
    tyro.cli(main)
