"""A loss that is no number: where training stops, what it names, what it leaves."""

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from cervix_tf.config import Augmentation, Images, SGDConfig
from cervix_tf.data import pipeline
from cervix_tf.data.inputs import Inputs
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.training import fit

IMAGES = Images(height=8, width=8, batch_size=4)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Twelve images, of which the one called odd.png alone is of the second class."""
    folder, files = tmp_path_factory.mktemp("images"), []
    rng = np.random.default_rng(0)
    for name in [*(f"{at}.png" for at in range(11)), "odd.png"]:
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (8, 8, 3), np.uint8))
        files.append((str(folder / name),))
    return Inputs(tuple(files), np.array([0] * 11 + [1], np.int32), pd.DataFrame(), ("even", "odd"))


@pytest.fixture
def network():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile(fit.sgd(SGDConfig(1, 1e-5, 0.0, 0.0)), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def spoiled(batches, value=float("nan")):
    """The batches, with a weight that is no number where a label is odd."""
    return batches.map(lambda pixels, labels: (pixels, labels, tf.where(labels == 1, value, 1.0)))


def training(inputs, epochs, first=0):
    return pipeline.training(inputs, IMAGES, Augmentation(), seed=3, epochs=epochs, first_epoch=first)


def train(network, inputs, out, spoil_training, spoil_validation, callbacks=()):
    plain = lambda batches: batches  # noqa: E731
    return fit.fit(
        network,
        lambda first: (spoiled if spoil_training else plain)(training(inputs, 2, first)),
        (spoiled if spoil_validation else plain)(pipeline.evaluation(inputs, IMAGES)),
        epochs=2,
        steps_per_epoch=3,
        criterion="val_loss",
        out=RunDir(out),
        callbacks=list(callbacks),
    )


def names(files):
    return [file.rsplit("/", 1)[-1] for file in files]


def test_the_images_of_the_batch_are_named_and_nothing_is_kept(network, inputs, tmp_path):
    with pytest.raises(InputError) as raised:
        train(network, inputs, tmp_path, spoil_training=True, spoil_validation=False)
    message = str(raised.value)
    assert "loss is nan in epoch 1, batch" in message and "odd.png" in message and "no epoch was finished" in message
    assert message.count(".png") == 4
    assert "lower the learning rate (1e-05)" in message
    assert not RunDir(tmp_path).history.exists()


def test_a_validation_loss_ends_it_too_and_the_batch_is_found(network, inputs, tmp_path):
    with pytest.raises(InputError, match=r"validation loss is nan in epoch 1, batch 3 .*10\.png, .*odd\.png\)"):
        train(network, inputs, tmp_path, spoil_training=False, spoil_validation=True)


def test_the_last_good_state_stays(network, inputs, tmp_path):
    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.layers[-1].bias.assign([np.inf, 0.0])

    with pytest.raises(InputError, match=r"in epoch 2, batch 1 of 3 \(.*\.png.*; the state after epoch 1 is kept"):
        train(network, inputs, tmp_path, spoil_training=False, spoil_validation=False, callbacks=[Breaks()])
    assert len(pd.read_csv(RunDir(tmp_path).history)) == 1
    assert (tmp_path / "checkpoints" / "epoch-1.npz").exists() and RunDir(tmp_path).best_weights.exists()


def test_weights_that_the_last_step_spoils_are_not_kept_where_nothing_is_validated(inputs, tmp_path):
    enlarged = [keras.layers.Rescaling(1e3), keras.layers.Flatten()]  # so that a step of any weights is past float32
    model = keras.Sequential([keras.Input((8, 8, 3)), *enlarged, keras.layers.Dense(2, kernel_initializer="zeros")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fit.sgd(SGDConfig(1, 3e38, 0.0, 0.0)), loss)
    with pytest.raises(InputError, match=r"kernel is not finite after epoch 1, .* no epoch was finished: lower the l"):
        fit.fit(
            *(model, lambda first: training(inputs, 1, first).take(1), None),
            **{"epochs": 1, "steps_per_epoch": 1, "criterion": "loss", "out": RunDir(tmp_path)},
        )
    assert not RunDir(tmp_path).history.exists() and not RunDir(tmp_path).best_weights.exists()


@pytest.mark.parametrize("first", [0, 1])
def test_files_of_a_batch_are_those_that_the_pipeline_reads(inputs, first):
    numbered = Inputs(inputs.files, np.arange(12, dtype=np.int32), inputs.rows, inputs.classes)
    batches = training(numbered, 3, first).map(lambda pixels, labels: (pixels, labels[:, None]))
    for step, (_, labels) in enumerate(batches):
        expected = [numbered.files[at][0] for at in labels.numpy().ravel()]
        assert pipeline.files(batches, step) == expected


def test_files_are_not_guessed_where_batches_were_regrouped(inputs):
    assert pipeline.files(training(inputs, 1).unbatch().batch(2), 0) == []
    assert pipeline.files(tf.data.Dataset.range(3), 0) == []


def test_files_of_sampled_batches_of_two_views_and_of_features_are_known_too(inputs):
    numbered = Inputs(inputs.files, np.arange(12, dtype=np.int32), inputs.rows, inputs.classes)
    drawn = np.array([[3, 1], [4, 1]])
    sampled = pipeline.sampled(numbered, IMAGES, Augmentation(), lambda rng: drawn, seed=0, epochs=1)
    assert names(pipeline.files(sampled, 1)) == ["4.png", "1.png"]
    two = pipeline.views(numbered, IMAGES, (Augmentation(), Augmentation()), seed=3, epochs=1)
    features = pipeline.training_features(np.zeros((1, 12, 2), np.float32), numbered, IMAGES, seed=3, epochs=1)
    for batches in (two, features):
        for step, (_, labels) in enumerate(batches):
            expected = [numbered.files[at][0] for at in dict.fromkeys(labels.numpy().ravel().tolist())]
            assert pipeline.files(batches, step) == expected
