"""Moving statistics after a few steps are those of the batches alone, without what they started with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.training import batch_statistics
from cervix_tf.training.bias_corrected_statistics import BiasCorrectedStatistics

MOMENTUM = 0.9


def network():
    pixels = keras.Input((2, 2, 3))
    x = keras.layers.BatchNormalization(momentum=MOMENTUM, name="normalization")(pixels)
    found = keras.Model(pixels, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found.compile("sgd", loss, metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")], jit_compile=False)
    return found


def pictures(batches):
    """Batches of 4 pictures, each batch brighter than the one before."""
    rng = np.random.default_rng(0)
    return np.stack([rng.normal(5 + at, 1 + at, (4, 2, 2, 3)) for at in range(batches)]).astype("float32")


def data(pixels):
    labels = np.tile([0, 1, 0, 1], (len(pixels), 1))
    return tf.data.Dataset.from_tensor_slices((pixels, labels))


def train(found, pixels, epochs, first=0, validation=None, callbacks=()):
    (layer,) = batch_statistics.normalizations(found)
    every = [BiasCorrectedStatistics([layer]), *callbacks]
    options = {
        "initial_epoch": first,
        "epochs": epochs,
        "steps_per_epoch": 3,
        "callbacks": every,
        "verbose": 0,
        "shuffle": False,
    }
    found.fit(data(pixels).skip(3 * first), validation_data=validation, **options)
    return layer


def averaged(pixels):
    """The weighted mean of the batches' means, by arithmetic: the last batch counts 1, the one before 0.9, ..."""
    weights = MOMENTUM ** np.arange(len(pixels))[::-1]
    return (weights[:, None] * pixels.mean(axis=(1, 2, 3))).sum(axis=0) / weights.sum()


@pytest.mark.parametrize("validated", [True, False])
def test_after_one_short_epoch_the_statistics_are_those_of_its_batches(validated):
    pixels = pictures(3)
    layer = train(network(), pixels, 1, validation=data(pixels) if validated else None)
    np.testing.assert_allclose(layer.moving_mean, averaged(pixels), rtol=1e-4)
    weights = MOMENTUM ** np.arange(3)[::-1]
    variance = (weights[:, None] * pixels.var(axis=(1, 2, 3))).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)


def test_later_epochs_go_on_from_there_in_a_training_that_was_stopped_too():
    pixels = pictures(6)
    ends = MOMENTUM**3 * averaged(pixels[:3])
    for at, batch in enumerate(pixels[3:]):
        ends = ends + (1 - MOMENTUM) * MOMENTUM ** (2 - at) * batch.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(train(network(), pixels, 2).moving_mean, ends, rtol=1e-4)
    stopped = network()
    train(stopped, pixels, 1)
    np.testing.assert_allclose(train(stopped, pixels, 2, first=1).moving_mean, ends, rtol=1e-4)


def test_the_first_validation_sees_the_corrected_statistics():
    pixels, found, seen = pictures(3), network(), []

    class Look(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            seen.append(np.array(found.get_layer("normalization").moving_mean))

    train(found, pixels, 1, validation=data(pixels), callbacks=[Look()])
    np.testing.assert_allclose(seen[0], averaged(pixels), rtol=1e-4)
