"""CVM-Cervix at its published size: what is fused, and what its weights take."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.models import catalog
from cervix_tf.run_dir import RunDir
from cervix_tf.study import ready
from experiments.cvm_cervix import model
from experiments.cvm_cervix.config import COMPARED, DEMO, PAPER


@pytest.fixture(scope="module")
def cvm():
    return model.network(PAPER, "cvm")


def test_2048_features_of_xception_and_192_of_deit_are_fused_to_2240(cvm):
    fusion = cvm.get_layer("fusion")
    assert [tuple(each.shape) for each in fusion.input] == [(None, 2048), (None, 192)]
    assert tuple(fusion.output.shape) == (None, 2240)
    assert tuple(cvm.get_layer("hidden").output.shape) == (None, 2240)
    assert cvm.output_shape == (None, 11)
    assert tuple(cvm.get_layer("features").output.shape) == (None, 7, 7, 2048)  # where Grad-CAM cuts


def test_its_weights_take_the_papers_120_mb_and_half_of_it_in_16_bits(cvm):
    xception, deit, hidden, logits = 20_861_480, 5_524_416, 2240 * 2240 + 2240, 2240 * 11 + 11
    assert cvm.count_params() == xception + deit + hidden + logits == 31_430_387
    sizes = model.mebibytes(cvm)
    assert f"{sizes[32]:.1f}" == "119.9" and round(sizes[16]) == 60


def test_the_features_that_the_head_reads_are_the_fused_ones(cvm):
    assert model.features(cvm).output is cvm.get_layer("fusion").output


def test_half_precision_leaves_weights_that_16_bits_hold(cvm):
    model.round_to_16_bits(cvm)
    kernel = cvm.get_layer("logits").get_weights()[0]
    np.testing.assert_array_equal(kernel, kernel.astype(np.float16).astype(np.float32))


def test_the_library_has_every_network_of_table_3():
    assert not set(COMPARED) - set(catalog.NAMES)


def test_the_distilled_deit_of_the_pre_experiments_is_fused_to_2240_features_too():
    network = model.network(replace(DEMO, images=replace(DEMO.images, height=80, width=80)), "cvm_distilled")
    assert tuple(network.get_layer("fusion").output.shape) == (None, 2240)


def normalization_of(network):
    return [
        (np.round(layer.scale, 4).tolist(), np.round(layer.offset, 2).tolist())
        for layer in network._flatten_layers()
        if layer.name == "normalization"
    ]


def test_networks_that_start_at_random_have_one_normalization(tmp_path):
    small = replace(DEMO, images=replace(DEMO.images, height=80, width=80))
    of_random = [normalization_of(model.network(small, name)) for name in ("resnet18", "mobilenet_v2", "cvm")]
    assert len({str(each) for found in of_random for each in found}) == 1
    file = tmp_path / "mobilenet_v2.weights.h5"
    model.network(small, "mobilenet_v2").get_layer("features").save_weights(file)
    (trained,) = normalization_of(model.network(replace(small, weights=str(file)), "mobilenet_v2"))
    assert trained == ([0.0078] * 3, [-1.0] * 3)  # that of its ImageNet weights


def test_a_folder_of_weights_gives_each_network_its_file(tmp_path):
    small = replace(DEMO, images=replace(DEMO.images, height=32, width=32))
    first = model.network(small, "resnet18").get_layer("features")
    first.save_weights(tmp_path / "resnet18.weights.h5")
    config = replace(small, weights_folder=tmp_path)
    again = model.network(config, "resnet18").get_layer("features")
    for expected, actual in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)
    ready.check(config, model.needs(config, ["resnet18"]), RunDir(tmp_path))
    assert model.initial_weights(replace(config, weights="imagenet"), "vgg16", "vgg16") == "imagenet"
    assert model.initial_weights(replace(config, vt_weights="random"), "cvm", "deit_tiny") == "random"


@pytest.mark.parametrize(
    ("change", "networks", "words"),
    [
        ({"weights": "imagenet"}, ["vgg11", "t2t_vit_14"], r"none for vgg11; [^\n]*\n[^\n]*none for t2t_vit_14"),
        ({"weights_folder": True}, ["vgg16", "resnet34"], r"vgg16.weights.h5: no such file.*\n.*resnet34.weights.h5"),
    ],
)
def test_all_initial_weights_that_are_lacking_are_named_at_once(change, networks, words, tmp_path):
    change = {name: tmp_path if value is True else value for name, value in change.items()}
    config = replace(PAPER, **change)
    with pytest.raises(InputError, match=words):
        ready.check(config, model.needs(config, networks), RunDir(tmp_path))


def test_pre_trained_weights_of_cvm_need_a_file_for_deit_tiny():
    xception, deit = model.needs(replace(PAPER, weights="imagenet"), ["cvm"])["cvm"]
    assert (xception.network, xception.weights, xception.option) == ("xception", "imagenet", "--weights")
    with pytest.raises(InputError, match=r"--vt-weights imagenet: Keras has none for deit_tiny; .* convert"):
        deit()


def test_weights_that_are_there_are_not_asked_for(tmp_path):
    config = replace(PAPER, data=replace(PAPER.data, root=tmp_path))
    ready.check(config, model.needs(config, ["cvm", *COMPARED]), RunDir(tmp_path))


def test_a_network_with_masks_starts_as_the_one_of_pictures_and_reads_masks_after_a_step():
    small = replace(DEMO, task="herlev_seven", images=replace(DEMO.images, height=32, width=32))
    keras.utils.set_random_seed(0)
    plain = model.network(small, "resnet18")
    keras.utils.set_random_seed(0)
    masked = model.network(replace(small, masks=True), "resnet18")
    pictures, masks = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3)).astype("float32")
    both = np.stack([pictures, masks], axis=1)
    np.testing.assert_allclose(masked(both), plain(pictures), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.features(masked)(both), model.features(plain)(pictures), rtol=1e-4, atol=1e-4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    masked.compile(keras.optimizers.SGD(1e-3), loss, run_eagerly=True)
    masked.train_on_batch(both, np.arange(3))
    other = np.stack([pictures, np.zeros_like(masks)], axis=1)
    assert np.abs(np.asarray(masked(both)) - np.asarray(masked(other))).max() > 1e-6
