"""Several answers to one input: which images and which layers make them, and what is refused."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from cervix_tf.contract import Contract
from cervix_tf.data.inputs import Inputs
from cervix_tf.decision import Calibration
from cervix_tf.errors import InputError
from cervix_tf.evaluate import members
from cervix_tf.evaluate.members import Wanted
from cervix_tf.export import runtime
from cervix_tf.export.serving import serving_model
from cervix_tf.layers.inverted_residual_fusion import InvertedResidualFusion
from cervix_tf.layers.view_dropout import ViewDropout
from cervix_tf.metrics import predictions

CONTRACT = Contract(
    task="made up",
    classes=("normal", "cancer"),
    positive=("cancer",),
    views=(),
    height=4,
    width=4,
    native_height=4,
    native_width=4,
    version="0",
    license="none",
    intended_use="tests",
    data="drawn",
    synthetic=True,
    stand_in=False,
)


def of_pixels(network, contract=CONTRACT):
    return runtime.Model(contract, Path("model.tflite"), network)


def corner(images):
    """As sure of cancer as the first pixel is bright."""
    share = images[..., 0, 0, 0].reshape(len(images), -1)[:, 0] / 255
    return np.stack([1 - share, share], axis=1)


def asked(model, wanted, pictures, batch_size=2):
    """Probabilities of cancer, (inputs, members) of each way."""
    names = [f"{at}.png" for at in range(len(pictures))]
    own = predictions.from_arrays(names, [[0.5, 0.5]] * len(pictures), CONTRACT.classes)
    files = tuple((each,) for each in pictures)
    chosen = Inputs(files, np.zeros(len(pictures), np.int64), own.table, CONTRACT.classes, ())
    found = members.ready(model, wanted, seed=3)(chosen, own, batch_size)
    return {way: np.stack([each.probabilities[:, 1] for each in given], 1) for way, given in found.items()}


def picture(corners):
    """4 x 4 pixels that are dark but for these four corners: top left, top right, bottom left, bottom right."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[[0, 0, 3, 3], [0, 3, 0, 3]] = np.array(corners)[:, None]
    return pixels


@pytest.mark.parametrize("sides", [(4, 4), (3, 5)])
def test_flips_and_turns_show_the_network_every_corner(sides):
    plain = np.zeros((*sides, 3), np.uint8)
    plain[[0, 0, -1, -1], [0, -1, 0, -1]] = np.array([51, 102, 153, 204])[:, None]
    model = replace(of_pixels(corner), takes_resized=False)  # so that pixels come as they are
    found = asked(model, Wanted(("flips", "turns")), [plain])
    assert sorted(found["flips"][0]) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found["flips"][0, 0] == pytest.approx(0.2)  # as it is comes first
    assert sorted(found["turns"][0]) == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8])


def test_members_stay_with_their_inputs_in_batches():
    pictures = [picture([10 * at, 0, 0, 255 - 10 * at]) for at in range(5)]
    found = asked(of_pixels(corner), Wanted(("flips",)), pictures)["flips"]
    assert found.shape == (5, 4)
    np.testing.assert_allclose(found[:, 0], [10 * at / 255 for at in range(5)], atol=1e-6)
    np.testing.assert_allclose(found[:, 3], [1 - 10 * at / 255 for at in range(5)], atol=1e-6)


def test_turns_are_for_square_single_images_only():
    wide = of_pixels(corner, replace(CONTRACT, width=6))
    with pytest.raises(InputError, match="--uncertainty turns: the network's 6 x 4 pixels would stretch"):
        members.ready(wide, Wanted(("turns",)))
    cases = of_pixels(corner, replace(CONTRACT, views=("green", "iodine")))
    with pytest.raises(InputError, match="have an upright; use flips"):
        members.ready(cases, Wanted(("turns",)))


def test_an_ensemble_is_this_model_and_the_others_of_the_same_question():
    other = of_pixels(lambda images: np.full((len(images), 2), 0.5))
    found = asked(of_pixels(corner), Wanted(ensemble=(other, other)), [picture([255, 0, 0, 0])])
    assert found["ensemble"].tolist() == [[0.5, 0.5, 0.5]]
    for change, words in (
        ({"classes": ("cancer", "normal")}, "its classes are cancer, normal, those of model.tflite normal, cancer"),
        ({"views": ("green",)}, "its views are green, those of model.tflite none"),
    ):
        with pytest.raises(InputError, match=words):
            members.ready(of_pixels(corner), Wanted(ensemble=(of_pixels(corner, replace(CONTRACT, **change)),)))


def test_a_model_that_takes_cases_without_a_view_is_of_another_question():
    whole = replace(CONTRACT, views=("green", "iodine"))
    some = replace(of_pixels(corner, replace(whole, missing_views=True)), path=Path("any.tflite"))
    with pytest.raises(
        InputError, match=r"any\.tflite: any\.tflite takes cases that lack views, model\.tflite does not"
    ):
        members.ready(of_pixels(corner, whole), Wanted(ensemble=(some,)))


def in_keras(network, contract=CONTRACT):
    """A model as it is loaded from a .keras file."""
    serving = serving_model(network, contract)
    return runtime.Model(contract, Path("model.keras"), lambda images: np.asarray(serving(images)), serving=serving)


def normalized_then_dropped(drop=0.5):
    """Mean red - 100, by batch normalization; dropped half of the time, else doubled; a hundredth is cancer's logit."""
    pixels = keras.Input((4, 4, 3))
    x = layers.GlobalAveragePooling2D()(pixels)
    normalization = layers.BatchNormalization(epsilon=0, scale=False, center=False, name="normalization")
    x = layers.Dropout(drop)(normalization(x)) if drop else normalization(x)
    dense = layers.Dense(2, use_bias=False)
    network = keras.Model(pixels, dense(x))
    normalization.set_weights([np.full(3, 100.0), np.ones(3)])
    dense.set_weights([np.array([[0, 0.01], [0, 0], [0, 0]])])
    return network


def test_dropout_acts_alone_normalization_keeps_to_what_it_learned():
    network = normalized_then_dropped()
    pictures = [np.full((4, 4, 3), level, np.uint8) for level in (150, 220)]
    found = asked(in_keras(network), Wanted(("dropout",), 60), pictures)["dropout"]
    for level, answers in zip((150, 220), found, strict=True):
        kept = 1 / (1 + np.exp(-2 * (level - 100) / 100))
        assert np.isclose(answers, 0.5, atol=1e-5).mean() == pytest.approx(0.5, abs=0.2)
        assert (np.isclose(answers, 0.5, atol=1e-5) | np.isclose(answers, kept, atol=1e-5)).all()
    assert np.array_equal(network.get_layer("normalization").moving_mean, np.full(3, 100.0))


def test_dropouts_draws_are_the_seeds_and_calibration_comes_after():
    pictures = [np.full((4, 4, 3), 180, np.uint8)]
    contract = replace(CONTRACT, calibration=Calibration("temperature", (3.0, 3.0), (0.0, 0.0)))
    first, again, calibrated = (
        asked(in_keras(normalized_then_dropped(), terms), Wanted(("dropout",), 20), pictures)["dropout"]
        for terms in (CONTRACT, CONTRACT, contract)
    )
    assert np.array_equal(first, again)
    odds, scaled = (np.log(each / (1 - each)) for each in (first, calibrated))
    np.testing.assert_allclose(scaled, 3 * odds, atol=1e-4)


def test_dropout_inside_a_layer_of_ours_acts_too():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((4, 4, 3))
    fusion = InvertedResidualFusion(3, dropout=0.5)
    network = keras.Model(pixels, layers.Dense(2)(layers.GlobalAveragePooling2D()(fusion(pixels))))
    before = [np.asarray(each) for each in network.non_trainable_variables if "moving" in each.path]
    noise = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    found = asked(in_keras(network), Wanted(("dropout",), 10), [noise])["dropout"]
    assert len(set(found[0])) == 10
    after = [np.asarray(each) for each in network.non_trainable_variables if "moving" in each.path]
    assert len(before) == len(after) > 0 and all(map(np.array_equal, before, after))


def test_dropout_of_whole_views_is_left_out_so_that_every_pass_sees_the_same_images():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((4, 4, 3))
    planes = layers.Rescaling(0.0, 1.0)(pixels[..., :2])  # both views are there
    views = ViewDropout(0.9, [(1, 1), (1, 1)], seed=0)(layers.Concatenate()([pixels[..., :2], planes]))
    pooled = layers.GlobalAveragePooling2D()(views)
    network = keras.Model(pixels, layers.Dense(2)(layers.Dropout(1e-9)(pooled)))
    answers = asked(in_keras(network), Wanted(("dropout",), 20), [np.full((4, 4, 3), 1, np.uint8)])["dropout"][0]
    whole = network.predict(np.full((1, 4, 4, 3), 1.0), verbose=0)[0]
    np.testing.assert_allclose(answers, np.exp(whole[1]) / np.exp(whole).sum(), atol=1e-5)


def nested(x):
    """Dropout inside a model inside the network, as in AlexNet's and VGG's features."""
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, layers.Dropout(0.5)(inner), name="inner")(x)


def passed_by(x):
    """Dropout that something else passes by: the network cannot be cut before it."""
    return layers.Add()([layers.Dropout(0.5)(layers.Rescaling(1.0)(x)), layers.Rescaling(0.0)(x)])


@pytest.mark.parametrize("part", [nested, passed_by])
def test_dropout_acts_wherever_it_is(part):
    pixels = keras.Input((4, 4, 3))
    dense = layers.Dense(2, use_bias=False)
    network = keras.Model(pixels, dense(part(layers.GlobalAveragePooling2D()(pixels))))
    dense.set_weights([np.array([[0, 0.01], [0, 0], [0, 0]])])
    answers = asked(in_keras(network), Wanted(("dropout",), 40), [np.full((4, 4, 3), 50, np.uint8)])["dropout"][0]
    dropped, kept = np.isclose(answers, 0.5, atol=1e-5), np.isclose(answers, 1 / (1 + np.exp(-1.0)), atol=1e-5)
    assert (dropped | kept).all() and dropped.any() and kept.any()


def test_dropout_is_refused_where_there_is_none():
    with pytest.raises(InputError, match=r"the network of model\.keras has none; use flips or turns"):
        members.ready(in_keras(normalized_then_dropped(drop=0)), Wanted(("dropout",)))
    with pytest.raises(InputError, match=r"exported files such as model\.tflite have none left"):
        members.ready(of_pixels(corner), Wanted(("dropout",)))
    embedding = of_pixels(corner, replace(CONTRACT, neighbors="0" * 64))
    with pytest.raises(InputError, match="gives embeddings, not class scores"):
        members.ready(embedding, Wanted(("dropout",)))
