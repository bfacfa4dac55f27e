"""InvertedResidualFusion against Table 4 of Buiu et al. 2020."""

import keras
import numpy as np
import pytest

from cervix_tf.layers.inverted_residual_fusion import InvertedResidualFusion


def built(**options):
    block = InvertedResidualFusion(**options)
    block.build((None, 7, 10, 256))
    return block


def stacked_maps(batch=2, channels=256):
    return np.random.default_rng(0).normal(size=(batch, 7, 10, channels)).astype("float32")


def test_it_is_the_layer_list_of_table_4():
    def described(layer):
        if isinstance(layer, keras.layers.Conv2D):
            maps = f"{layer.kernel.shape[2]} -> {layer.filters}"
            return f"convolution {maps}, filter {layer.kernel_size[0]}, groups {layer.groups}"
        if isinstance(layer, keras.layers.Dropout):
            return f"dropout {layer.rate:.0%}"
        if isinstance(layer, keras.layers.ReLU):
            return f"relu, maximum {layer.max_value}"
        assert isinstance(layer, keras.layers.BatchNormalization)
        return f"batch normalization {layer.epsilon:g} {layer.momentum:g}"

    assert [described(layer) for layer in built().steps] == [
        "convolution 256 -> 1280, filter 1, groups 1",
        "batch normalization 1e-05 0.9",
        "relu, maximum None",
        "dropout 60%",
        "convolution 1280 -> 1280, filter 3, groups 1",
        "batch normalization 1e-05 0.9",
        "relu, maximum None",
        "dropout 60%",
        "convolution 1280 -> 32, filter 1, groups 1",
        "batch normalization 1e-05 0.9",
    ]


def test_it_has_the_weights_that_table_4_implies():
    convolutions = 256 * 1280 + 1280 * 1280 * 9 + 1280 * 32
    maps = 1280 + 1280 + 32  # each with gamma, beta, moving mean, moving variance
    block = built()
    assert block.count_params() == convolutions + 4 * maps == 15_124_608
    assert sum(int(np.prod(v.shape)) for v in block.trainable_variables) == convolutions + 2 * maps


def test_it_turns_256_maps_of_table_3_into_32():
    block = built()
    assert block.compute_output_shape((None, 7, 10, 256)) == (None, 7, 10, 32)
    assert block(stacked_maps()).shape == (2, 7, 10, 32)
    assert block(keras.Input((7, 10, 256))).shape == (None, 7, 10, 32)


def test_inference_is_the_ten_layers_one_after_another():
    block = InvertedResidualFusion(filters=3, expansion=2)
    x = stacked_maps(channels=4)
    block(x)
    rng = np.random.default_rng(1)
    for weight in block.weights:
        weight.assign(rng.uniform(0.2, 1.0, weight.shape) - 0.5 * (len(weight.shape) > 1))
    k1, k2, k3 = (np.float64(block.steps[i].kernel) for i in (0, 4, 8))
    norms = (block.steps[i] for i in (1, 5, 9))
    (g1, b1, m1, v1), (g2, b2, m2, v2), (g3, b3, m3, v3) = (norm.get_weights() for norm in norms)

    def normalized(maps, gamma, beta, mean, variance):
        return (maps - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    maps = np.maximum(normalized(x @ k1[0, 0], g1, b1, m1, v1), 0)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    maps = sum(padded[:, i : i + 7, j : j + 10] @ k2[i, j] for i in range(3) for j in range(3))
    maps = np.maximum(normalized(maps, g2, b2, m2, v2), 0)
    expected = normalized(maps @ k3[0, 0], g3, b3, m3, v3)
    np.testing.assert_allclose(block(x, training=False), expected, rtol=1e-4, atol=1e-4)


def test_a_seed_repeats_the_dropped_activations():
    x = stacked_maps(channels=4)
    weights, outputs = None, []
    for seed in (7, 7, 8):
        block = InvertedResidualFusion(filters=3, expansion=2, seed=seed)
        block.build(x.shape)
        weights = weights or block.get_weights()
        block.set_weights(weights)
        outputs.append(np.asarray(block(x, training=True)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])


@pytest.mark.parametrize("first", [0.6, 0.0])
def test_dropout_can_be_changed_after_building(first):
    x = stacked_maps(8, channels=4)
    block = InvertedResidualFusion(filters=3, expansion=25, dropout=first, seed=0)
    block(x, training=True)
    block.dropout = 0.2
    assert [layer.rate for layer in block.steps if isinstance(layer, keras.layers.Dropout)] == [0.2, 0.2]
    dropped = block.steps[3](np.ones((8, 7, 10, 100), "float32"), training=True)
    assert np.mean(np.asarray(dropped) == 0) == pytest.approx(0.2, abs=0.02)
    assert block.get_config()["dropout"] == 0.2


def test_dropout_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match=r"not 1\.5"):
        InvertedResidualFusion(dropout=1.5)


def test_mixed_precision_reaches_every_layer():
    block = InvertedResidualFusion(filters=3, expansion=2, dtype="mixed_bfloat16")
    assert block(stacked_maps(channels=4)).dtype == "bfloat16"
    assert {layer.compute_dtype for layer in block.steps} == {"bfloat16"}
