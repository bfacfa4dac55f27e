import keras
import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.explain import model_maps
from cervix_tf.layers import ResizePixels


def network(views):
    """Brightness of the first channel is the evidence for class 1, in each view."""

    def trunk(name):
        pixels = keras.Input((16, 16, 3))
        brightness = keras.layers.Conv2D(1, 4, strides=4, use_bias=False, activation="relu", name=f"{name}_conv")
        built = keras.Model(pixels, brightness(pixels), name=name)
        built.get_layer(f"{name}_conv").set_weights([np.eye(1, 3)[0].reshape(1, 1, 3, 1) * np.ones((4, 4, 1, 1))])
        return built

    dense = keras.layers.Dense(2, use_bias=False)
    if not views:
        pixels = keras.Input((16, 16, 3))
        x = keras.layers.GlobalAveragePooling2D()(trunk("features")(pixels))
        net = keras.Model(pixels, dense(x))
        dense.set_weights([np.array([[-1e-3, 1e-3]])])
        return net
    pixels = keras.Input((3, 16, 16, 3))
    folded = keras.ops.reshape(pixels[:, :2], (-1, 16, 16, 3))
    two = keras.ops.reshape(trunk("acetic")(folded), (-1, 2, 4, 4, 1))
    x = keras.layers.Concatenate()([two[:, 0], two[:, 1], trunk("green")(pixels[:, 2])])
    net = keras.Model(pixels, dense(keras.layers.GlobalAveragePooling2D()(x)))
    dense.set_weights([np.array([[-1e-3, 1e-3]] * 3)])
    return net


def serving(views):
    images = keras.Input((*([3] if views else []), None, None, 3), dtype="uint8")
    probabilities = keras.layers.Activation("softmax")(network(views)(ResizePixels(16, 16)(images)))
    return keras.Model(images, probabilities)


def lit(row, column, size=(32, 48)):
    """A dark image, bright in one sixteenth."""
    image = np.zeros((*size, 3), np.uint8)
    height, width = size[0] // 4, size[1] // 4
    image[row * height : (row + 1) * height, column * width : (column + 1) * width] = 255
    return image


def test_a_single_images_heat_map_peaks_where_the_evidence_is():
    (found,) = model_maps.heat_maps(serving(views=False), [lit(1, 2)], class_index=1)
    assert found.shape == (4, 4) and np.unravel_index(found.argmax(), found.shape) == (1, 2)
    assert found.sum() == pytest.approx(found.max(), rel=0.2)


def test_the_method_asked_for_makes_the_maps():
    def even(head, maps, class_index):
        return [np.full(each.shape[:-1], class_index) for each in maps]

    (found,) = model_maps.heat_maps(serving(views=False), [lit(1, 2)], class_index=1, method=even)
    np.testing.assert_array_equal(found, np.ones((4, 4)))


def test_each_view_has_its_own_heat_map_in_the_order_of_the_views_whatever_their_sizes():
    places = [(0, 0), (3, 1), (2, 3)]
    images = [lit(*place, size) for place, size in zip(places, [(32, 48), (64, 64), (16, 16)], strict=True)]
    found = model_maps.heat_maps(serving(views=True), images, ("acetic_1", "acetic_2", "green"), class_index=1)
    assert [np.unravel_index(each.argmax(), each.shape) for each in found] == places


def test_inputs_that_go_through_together_have_the_heat_maps_that_each_has_alone(monkeypatch):
    places = [[(0, 0), (3, 1), (2, 3)], [(1, 1), (2, 0), (3, 3)], [(3, 2), (0, 1), (1, 0)]]
    inputs, views = [[lit(*place) for place in each] for each in places], ("acetic_1", "acetic_2", "green")
    model = serving(views=True)
    alone = [model_maps.heat_maps(model, each, views) for each in inputs]
    for together in (3, 6, 100):
        monkeypatch.setattr(model_maps, "_TOGETHER", together)
        np.testing.assert_allclose(list(model_maps.of_inputs(model, inputs, views)), alone, atol=1e-6)
    assert [np.unravel_index(each.argmax(), each.shape) for each in alone[2]] == places[2]


def test_a_model_of_another_layout_is_refused_with_the_reason():
    with pytest.raises(InputError, match="resize, network, probabilities"):
        model_maps.heat_maps(network(views=False), [lit(0, 0)])
    with pytest.raises(InputError, match="named 'iodine'"):
        model_maps.heat_maps(serving(views=True), [lit(0, 0)] * 3, ("acetic_1", "acetic_2", "iodine"))


def test_a_network_that_gives_one_vector_an_image_is_refused_with_the_reason():
    pixels = keras.Input((16, 16, 3))
    token = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels), name="features")
    images = keras.Input((None, None, 3), dtype="uint8")
    whole = keras.Model(pixels, keras.layers.Dense(2)(token(pixels)))
    model = keras.Model(images, keras.layers.Activation("softmax")(whole(ResizePixels(16, 16)(images))))
    with pytest.raises(InputError, match="gives one vector per image, not maps"):
        model_maps.heat_maps(model, [np.zeros((16, 16, 3), np.uint8)])


def test_a_strip_shows_every_image_above_its_heat_map():
    picture = model_maps.strip([lit(0, 0), lit(1, 1)], [np.eye(4), np.eye(4)], ("a", "b"), width=96)
    assert picture.shape == (16 + 64 + 2 + 64, 2 * 99, 3)
    np.testing.assert_array_equal(picture[17:30, 2:20], 255)
    assert picture[16 + 20 : 16 + 60, 40:90].max() == 0
