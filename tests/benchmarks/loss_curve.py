"""Whether the fast step learns what plain Keras learns: 200 steps on fixed data, same initial weights, same order."""

from __future__ import annotations

import functools

from row import Measure, Row

STEPS, BATCH, HEIGHT, WIDTH = 200, 16, 64, 96


def curve(kind: str, order: int = 0) -> Measure:
    """Mean loss of the last 100 of 200 steps; `order` is the seed of the batches' order."""
    if kind != "plain":  # with what a study would start TensorFlow
        from cervix_tf import start

        start.import_tensorflow()
    import keras
    import numpy as np

    from cervix_tf.layers import fuse
    from cervix_tf.training import devices

    def build() -> keras.Model:
        keras.utils.set_random_seed(0)
        body = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(HEIGHT, WIDTH, 3))
        for layer in body.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9
        body = body if kind == "plain" else fuse(body)
        pixels = keras.Input((HEIGHT, WIDTH, 3))
        x = keras.layers.GlobalAveragePooling2D()(body(keras.layers.Rescaling(1 / 127.5, -1)(pixels)))
        return keras.Model(pixels, keras.layers.Dense(4, dtype="float32")(x))

    with devices.precision("bfloat16" if kind == "bfloat16" else "float32"):
        network = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(3e-4), loss, jit_compile=False)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 20 * BATCH)
    pixels = rng.normal(110, 50, (len(labels), HEIGHT // 8, WIDTH // 8, 3)).repeat(8, 1).repeat(8, 2)
    pixels[np.arange(len(labels)), ..., 0] += 8.0 * labels[:, None, None]  # learnable, not at once
    pixels = pixels.clip(0, 255).astype("uint8")
    shuffled = np.random.default_rng(order)

    def measure() -> float:
        losses = []
        while len(losses) < STEPS:
            for part in shuffled.permutation(len(labels)).reshape(-1, BATCH):
                network.reset_metrics()
                losses.append(float(network.train_on_batch(pixels[part], labels[part])))
        return float(np.mean(losses[STEPS // 2 :]))

    return measure


ROWS = [
    Row(
        "Loss of plain Keras and of the fast step, mean of steps 101 to 200 of tuned-size batches",
        "nats",
        {
            "plain Keras": functools.partial(curve, "plain"),
            "plain Keras, batches in another order": functools.partial(curve, "plain", 1),
            "plain Keras, in a third order": functools.partial(curve, "plain", 2),
            "ours float32": functools.partial(curve, "float32"),
            "ours float32, batches in another order": functools.partial(curve, "float32", 1),
            "ours float32, in a third order": functools.partial(curve, "float32", 2),
            "ours bfloat16": functools.partial(curve, "bfloat16"),
        },
        more_is_better=False,
        target="among the orders",
        rounds=1,
    )
]
