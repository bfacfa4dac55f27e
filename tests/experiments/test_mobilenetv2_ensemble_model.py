import dataclasses

import keras
import numpy as np
import pytest

from cervix_tf.config import Images
from cervix_tf.layers import in_float32
from cervix_tf.training import devices
from experiments.mobilenetv2_ensemble import config, model
from tests.experiments.conftest import few_blocks

PAPER = dataclasses.replace(config.PAPER, weights="random")
TINY = dataclasses.replace(PAPER, images=Images(height=64, width=96, batch_size=2), network=config.Network(alpha=0.35))


def assembled(settings):
    """The three view networks, their stacked trunks, the fusion and the ensemble."""
    views = {kind: model.single_view(settings, kind) for kind in config.KINDS}
    trunks = {kind: keras.Model(net.input, net.get_layer("last_relu").output, name=kind) for kind, net in views.items()}
    stacked = model.stacked(settings, trunks)
    head = model.fusion(settings, stacked.output_shape[1:])
    return views, trunks, stacked, head, model.ensemble(stacked, head)


@pytest.fixture
def short_trunks(monkeypatch):
    """Trunks of two blocks, where it does not matter how many there are."""
    monkeypatch.setattr(keras.applications, "MobileNetV2", few_blocks)


@pytest.fixture(scope="module")
def published():
    """The networks at the paper's real size."""
    return assembled(PAPER)


@pytest.mark.parametrize(("kind", "maps"), [("acetic", 32), ("green", 64), ("iodine", 32)])
def test_table_3_the_trunk_of_each_view_gives_its_maps_at_7_by_10(published, kind, maps):
    views, *_ = published
    assert views[kind].input_shape == (None, 224, 298, 3)
    assert views[kind].get_layer("last_relu").output.shape == (None, 7, 10, maps)
    assert views[kind].output_shape == (None, 4)


def test_table_3_the_ensemble_stacks_256_maps_fuses_them_to_32_and_ends_in_4_classes(published):
    *_, stacked, head, ensemble = published
    assert ensemble.input_shape == (None, 7, 224, 298, 3) and ensemble.output_shape == (None, 4)
    shapes = [stacked.get_layer("stacked").output.shape]
    shapes += [head.get_layer(name).output.shape for name in ("fusion", "average", "logits")]
    assert shapes == [(None, 7, 10, 256), (None, 7, 10, 32), (None, 32), (None, 4)]


def test_the_parameter_counts_are_those_of_the_readme(published):
    views, *_, ensemble = published
    counts = {kind: net.count_params() for kind, net in views.items()}
    # MobileNetV2 without top has 2,257,984 weights; its last convolution (320 x 1280) and normalization go.
    body = 2_257_984 - 320 * 1280 - 4 * 1280
    assert counts == {
        kind: body + 320 * maps + 4 * maps + 4 * maps + 4
        for kind, maps in (("acetic", 32), ("green", 64), ("iodine", 32))
    }
    fusion = 256 * 1280 + 9 * 1280 * 1280 + 1280 * 32 + 4 * (1280 + 1280 + 32)
    trunks = sum(counts.values()) - sum(4 * maps + 4 for maps in (32, 64, 32))
    assert ensemble.count_params() == trunks + fusion + 32 * 4 + 4
    trainable = sum(int(np.prod(weight.shape)) for weight in ensemble.trainable_weights)
    assert trainable == fusion - 2 * (1280 + 1280 + 32) + 32 * 4 + 4


def test_the_ensemble_is_its_trunks_called_view_by_view_and_the_fusion_of_their_maps():
    _, trunks, stacked, head, ensemble = assembled(TINY)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 7, 64, 96, 3)).astype("float32")
    one_by_one = [trunks["acetic"](pixels[:, k]) for k in range(5)]
    one_by_one += [trunks["green"](pixels[:, 5]), trunks["iodine"](pixels[:, 6])]
    maps = np.concatenate(one_by_one, axis=-1)
    np.testing.assert_allclose(stacked(pixels), maps, atol=1e-4)
    np.testing.assert_allclose(ensemble(pixels), head(maps), atol=1e-4)


def test_a_missing_view_tells_the_ensemble_of_any_views_nothing_but_that_it_is_missing():
    settings = dataclasses.replace(TINY, fusion=config.Fusion(expansion=1))
    trunks = {}
    for kind, maps in (("acetic", 32), ("green", 64), ("iodine", 32)):  # in place of MobileNetV2
        image = keras.Input((64, 96, 3))
        convolution = keras.layers.Conv2D(maps, 32, strides=32, name="last_convolution")
        trunks[kind] = keras.Model(image, convolution(keras.layers.Rescaling(1 / 127.5, -1)(image)), name=kind)
    stacked = model.stacked(settings, trunks, any_views=True)
    head = model.fusion(settings, stacked.output_shape[1:], any_views=True)
    whole = model.ensemble(stacked, head)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 7, 64, 96, 3)).astype("float32")
    pixels[1, 5] = pixels[2, :5] = pixels[2, 6] = 0  # the second has no green view, the third no other
    there = np.array([[1] * 7, [1] * 5 + [0, 1], [0] * 5 + [1, 0]])

    published = model.stacked(settings, trunks)(pixels).numpy()
    each = np.repeat(there, [32] * 5 + [64, 32], axis=1)
    planes = np.broadcast_to(there[:, None, None], (*published.shape[:3], 7))
    expected = np.concatenate([published * each[:, None, None], planes], axis=-1)
    np.testing.assert_allclose(stacked(pixels), expected, atol=1e-4)
    np.testing.assert_allclose(whole(pixels), head(expected), atol=1e-4)

    before = whole(pixels).numpy()
    green = trunks["green"].get_layer("last_convolution")
    green.set_weights([weight + 1 for weight in green.get_weights()])
    after = whole(pixels).numpy()
    np.testing.assert_array_equal(after[1], before[1])
    assert not np.allclose(after[0], before[0]) and not np.allclose(after[2], before[2])


def test_frozen_trunks_keep_their_weights_and_statistics_while_the_fusion_learns(short_trunks):
    _, trunks, _, head, ensemble = assembled(TINY)
    before = [weight.copy() for weight in trunks["acetic"].get_weights()]
    logits = head.get_layer("logits").get_weights()[0].copy()
    ensemble.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 7, 64, 96, 3), np.uint8)
    ensemble.fit(pixels, np.array([0, 1, 2, 3]), batch_size=2, verbose=0)
    for a, b in zip(before, trunks["acetic"].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(logits, head.get_layer("logits").get_weights()[0])


def test_training_on_kept_trunk_features_equals_running_the_trunks_in_every_epoch(short_trunks):
    """Same augmentations, same order, no dropout: the same losses and weights, whichever way the maps are made."""
    from cervix_tf.config import Augmentation
    from cervix_tf.data import inputs, manifest, pipeline
    from experiments.mobilenetv2_ensemble.config import CLASSES, VIEWS

    settings = dataclasses.replace(TINY, fusion=config.Fusion(dropout=0.0))
    _, _, stacked, head, ensemble = assembled(settings)
    table = manifest.from_records(
        [{"path": f"{c}_{v}", "label": CLASSES[c % 4], "case": f"c{c}", "view": view}
         for c in range(6) for v, view in enumerate(VIEWS)], "/data",
    )  # fmt: skip
    cases, _ = inputs.from_cases(table, CLASSES, VIEWS)
    augmentation = Augmentation((0.0, 45.0), (1.0, 2.0), (0.0, 30.0), horizontal_flip=0.5)
    pictures = {path: np.random.default_rng(k).integers(0, 256, (80, 120, 3), np.uint8)
                for k, path in enumerate(path for case in cases.files for path in case)}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "decode_file", lambda path: pictures[path])
        copies = [
            stacked.predict(pipeline.one_epoch(cases, settings.images, augmentation, seed=5, epoch=k), verbose=0)
            for k in range(2)
        ]
        kept = pipeline.training_features(np.stack(copies), cases, settings.images, seed=5, epochs=2)
        anew = pipeline.training(cases, settings.images, augmentation, seed=5, epochs=2)
        for (maps, labels), (pixels, again) in zip(kept, anew, strict=True):
            np.testing.assert_array_equal(labels, again)
            np.testing.assert_allclose(maps, stacked(pixels), atol=1e-4)
            np.testing.assert_allclose(head(maps), ensemble(pixels), atol=1e-4)


def test_pixels_are_normalized_inside_the_network():
    net = model.trunk(dataclasses.replace(TINY, network=config.Network(alpha=0.35, mean=(0.1, 0.2, 0.3))), "acetic")
    normalize = next(layer for layer in net.layers if isinstance(layer, keras.layers.Rescaling))
    pixel = np.full((1, 1, 1, 3), 255 * 0.7, "float32")
    np.testing.assert_allclose(normalize(pixel).numpy().ravel(), [1.2, 1.0, 0.8], rtol=1e-5)


def test_a_view_network_trained_in_bfloat16_is_tested_in_float32():
    with devices.precision("bfloat16"):
        network = model.single_view(TINY, "acetic")
    reference = model.single_view(TINY, "acetic")
    reference.set_weights(network.get_weights())
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")
    coarse, precise, expected = (np.asarray(each(pixels)) for each in (network, in_float32(network), reference))
    assert coarse.dtype == "float32"
    np.testing.assert_allclose(precise, expected, atol=1e-6)
    np.testing.assert_allclose(coarse, expected, atol=0.05 * np.abs(expected).max())
    assert not np.array_equal(coarse, expected)


def test_the_unfrozen_ensemble_says_the_same_drops_less_and_learns_in_every_trunk(short_trunks):
    *_, whole = assembled(TINY)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 7, 64, 96, 3)).astype("float32")
    said = whole(pixels).numpy()
    trunks, head = keras.Model(whole.input, whole.get_layer("stacked").output), model.head_of(whole)
    assert head.get_layer("fusion").dropout == 0.6
    model.drop(TINY, head)
    model.unfreeze(whole)
    np.testing.assert_array_equal(whole(pixels), said)
    np.testing.assert_allclose(head(trunks(pixels)), said, atol=1e-5)
    assert head.get_layer("fusion").dropout == 0.2
    trunks = [whole.get_layer(kind) for kind in config.KINDS]
    assert all(trunk.trainable_weights for trunk in trunks)
    before = [trunk.get_layer("last_convolution").get_weights()[0].copy() for trunk in trunks]
    whole.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    whole.train_on_batch(pixels, np.array([0, 1]))
    for trunk, kernel in zip(trunks, before, strict=True):
        assert not np.array_equal(trunk.get_layer("last_convolution").get_weights()[0], kernel)


def test_times_are_taken_of_the_published_networks_whatever_the_preset_trains():
    usual = model.published()
    assert usual.images == PAPER.images and usual.network == PAPER.network and usual.fusion == PAPER.fusion
    assert usual.baselines.images == PAPER.baselines.images and usual.baselines.vgg19_head == 4096
    assert usual.weights == usual.baselines.vgg19 == usual.baselines.resnext101_32x8d == "random"


def test_a_baseline_takes_its_own_image_size_and_gives_four_logits():
    small = dataclasses.replace(
        PAPER, baselines=config.Baselines(images=Images(height=32, width=43), resnet18="random", vgg19_head=16)
    )
    assert model.baseline(small, "resnet18").input_shape == (None, 32, 43, 3)
    assert model.baseline(small, "resnet18").output_shape == (None, 4)
