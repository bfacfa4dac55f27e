import keras
import numpy as np
import tensorflow as tf

from cervix_tf.models import backbones
from cervix_tf.training import batch_statistics


def test_features_of_a_random_network_differ_once_its_normalizations_have_the_images_statistics():
    keras.utils.set_random_seed(0)
    network = backbones.backbone("mobilenet", 32, 32, weights="random")
    pixels = tf.random.stateless_uniform((32, 32, 32, 3), seed=(0, 0), maxval=255.0)
    layers = batch_statistics.normalizations(network)
    assert len(layers) == 27
    momenta = [layer.momentum for layer in layers]

    def angles():
        maps = network(pixels, training=False).numpy().reshape(32, -1)
        unit = maps / np.linalg.norm(maps, axis=1, keepdims=True)
        return np.linalg.norm(unit[0] - unit[1:], axis=1)

    before = angles()
    trained = [value.copy() for value in map(np.asarray, network.trainable_weights)]
    batch_statistics.measure(network, tf.data.Dataset.from_tensor_slices((pixels, tf.zeros(32))).batch(8))
    assert angles().min() > 2 * before.max()
    assert momenta == [layer.momentum for layer in layers]
    assert all(np.array_equal(a, b) for a, b in zip(trained, network.trainable_weights, strict=True))
