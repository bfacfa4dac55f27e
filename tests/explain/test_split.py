"""split: a model cut at layers gives the model back when its parts are put together."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.explain.grad_cam import grad_cam_plus_plus
from cervix_tf.explain.split import split


def trunk(name, maps):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="early")(x)
    x = keras.layers.Conv2D(maps, 3, padding="same", activation="relu", name=f"{name}_last")(x)
    return keras.Model(inputs, x, name=name)


def two_views():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 8, 6, 3))
    green, iodine = trunk("green", 5), trunk("iodine", 2)
    maps = keras.layers.Concatenate()([green(inputs[:, 0]), iodine(inputs[:, 1])])
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(inputs, keras.layers.Dense(3)(pooled))
    model.trainable = False
    return model


def cases():
    return np.random.default_rng(0).integers(0, 256, (4, 2, 8, 6, 3)).astype("uint8")


@pytest.mark.parametrize("layer", ["green", "green_last"])
def test_the_head_on_the_maps_is_the_model(layer):
    model, x = two_views(), cases()
    head, maps = split(model, layer, x)
    assert maps.shape == (4, 4, 3, 5)
    np.testing.assert_allclose(head(maps), model(x), atol=1e-6)
    assert not np.allclose(head(maps * 0), model(x))


def test_several_trunks_are_cut_at_once():
    model, x = two_views(), cases()
    head, maps = split(model, ["green", "iodine"], x)
    assert [m.shape[-1] for m in maps] == [5, 2]
    np.testing.assert_allclose(head(maps), model(x), atol=1e-6)
    heat = grad_cam_plus_plus(head, maps, 1)
    assert [h.shape for h in heat] == [(4, 4, 3), (4, 4, 3)]
    assert max(h.max() for h in heat) == 1.0


def test_the_model_is_left_as_it_was():
    model, x = two_views(), cases()
    before = np.asarray(model(x))
    head, maps = split(model, "green", x)
    head(maps * 0)
    np.testing.assert_array_equal(model(x), before)
    with pytest.raises(tf.errors.InvalidArgumentError):
        head(maps[:, :2])  # maps of another size cannot be stacked with the other trunk's
    np.testing.assert_array_equal(model(x), before)


def test_a_layer_may_be_given_itself():
    model, x = two_views(), cases()
    _, maps = split(model, model.get_layer("iodine").get_layer("early"), x)
    assert maps.shape == (4, 4, 3, 4)


def test_unknown_ambiguous_and_repeated_layers_are_refused():
    model = two_views()
    with pytest.raises(ValueError, match=r"0 layers .* named 'acetic'.*green, "):
        split(model, "acetic", cases())
    with pytest.raises(ValueError, match=r"2 layers .* named 'early'"):
        split(model, "early", cases())
    inputs = keras.Input((6, 6, 3))
    shared = keras.layers.Conv2D(3, 1, name="shared")
    with pytest.raises(ValueError, match=r"'shared' is called 2 times"):
        split(keras.Model(inputs, shared(shared(inputs))), "shared", np.zeros((1, 6, 6, 3)))


def test_of_layers_of_one_name_the_outermost_is_cut():
    pixels = keras.Input((6, 6, 3))
    inner = keras.Model(pixels, keras.layers.Conv2D(5, 1, name="features")(pixels), name="transformer")
    maps = keras.layers.Conv2D(2, 3, name="features")(pixels)
    pooled = [keras.layers.GlobalAveragePooling2D()(each) for each in (maps, inner(pixels))]
    model = keras.Model(pixels, keras.layers.Dense(2)(keras.layers.Concatenate()(pooled)))
    x = np.random.default_rng(0).random((2, 6, 6, 3)).astype("float32")
    head, found = split(model, "features", x)
    assert found.shape == (2, 4, 4, 2)
    np.testing.assert_allclose(head(found), model(x), rtol=1e-6)
