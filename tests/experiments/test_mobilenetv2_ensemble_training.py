"""How the networks of rows and folds share what is slow to make, on a network that is not."""

import dataclasses
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from cervix_tf.config import AdamConfig, Images
from cervix_tf.data import importers, pipeline
from cervix_tf.data.synthetic import visits
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from experiments.mobilenetv2_ensemble import config, data, model, training


@pytest.fixture(scope="module")
def small():
    """The study with a network of one convolution, dropout and batch normalization in place of MobileNetV2."""

    def single_view(config, kind):
        pixels = keras.Input((config.images.height, config.images.width, 3))
        x = keras.layers.Conv2D(4, 3, strides=4)(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
        x = keras.layers.ReLU(name="last_relu")(keras.layers.BatchNormalization()(x))
        x = keras.layers.Dropout(0.3)(x)
        return keras.Model(pixels, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)), name=kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "single_view", single_view)
        yield dataclasses.replace(
            config.DEMO,
            synthetic_visits=48,
            images=Images(height=24, width=32, batch_size=8),
            acetic=AdamConfig(epochs=4, learning_rate=1e-2),
            green=AdamConfig(epochs=1),
            iodine=AdamConfig(epochs=1),
            ensemble=AdamConfig(epochs=3, learning_rate=1e-3),
            feature_copies=2,
            test_share=0.25,
        )


@pytest.fixture(autouse=True)
def nothing_to_reuse():
    """Each test starts without a network of the test before it."""
    training._REUSABLE.clear(), training._LAST_ENSEMBLE.clear()
    yield
    training._REUSABLE.clear(), training._LAST_ENSEMBLE.clear()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "visits"
    visits.write(root, visits=48, seed=0, height=48, width=64)
    return importers.load("cervigram_visits", root).manifest


def test_a_row_trained_after_another_on_a_reused_network_ends_where_it_ends_alone(small, drawn, tmp_path):
    row, together, alone = config.ROWS["acetic-population"], RunDir(tmp_path / "together"), RunDir(tmp_path / "alone")
    two = dataclasses.replace(small, folds=2)
    first, second = data.folds_of(drawn, two, together)
    before = training.network(small, config.ROWS["acetic-x3"], first)
    after = training.network(small, row, second)
    assert after is before  # one network trains rows that differ in class weights, and folds
    weights = after.get_weights()

    training._REUSABLE.clear()
    fresh = training.network(small, row, data.folds_of(drawn, two, alone)[1])
    assert fresh is not after
    for found, expected in zip(weights, fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    histories = [
        pd.read_csv(out.row("fold-1-acetic-population").history).drop(columns="seconds") for out in (together, alone)
    ]
    pd.testing.assert_frame_equal(*histories)


def test_a_probe_of_random_weights_depends_on_its_row_alone_not_on_what_was_run_before(
    small, drawn, tmp_path, monkeypatch
):
    def trunk(height, width, alpha, weights):
        pixels = keras.Input((height, width, 3))
        return keras.Model(pixels, keras.layers.Conv2D(8, 3, activation="relu")(pixels))

    monkeypatch.setattr(training, "mobilenet_v2", trunk)
    (fold,) = data.folds_of(drawn, small, RunDir(tmp_path))
    first, second = (training.probe(small, config.ROWS["probe-green"], fold).probabilities for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def fold(small, drawn, tmp_path):
    (found,) = data.folds_of(drawn, small, RunDir(tmp_path))
    return found


@pytest.fixture(scope="module")
def trained(small, drawn, tmp_path_factory):
    """A fold whose ensemble is trained."""
    (found,) = data.folds_of(drawn, small, RunDir(tmp_path_factory.mktemp("trained")))
    training.network(small, config.ROWS["ensemble"], found)
    return found


def without_ensemble(trained, folder):
    """A copy of a fold of which the three views alone are trained."""
    shutil.copytree(trained.out.root, folder)
    shutil.rmtree(RunDir(folder).row("ensemble").root)
    return dataclasses.replace(trained, out=RunDir(folder))


def weights_of(whole, *names):
    """The arrays of some layers of an ensemble, copied: another row may train on."""
    return [array.copy() for name in names for array in whole.get_layer(name).get_weights()]


def test_fine_tuning_keeps_the_trunks_and_starts_from_the_ensembles_fusion(small, trained):
    before = training.network(small, config.ROWS["ensemble"], trained)
    trunks, head = weights_of(before, *config.KINDS), weights_of(before, "fusion_head")
    tuned = training.network(small, config.ROWS["ensemble-fine-tuned"], trained)
    for was, now in zip(trunks, weights_of(tuned, *config.KINDS), strict=True):
        np.testing.assert_array_equal(was, now)
    for was, now, variable in zip(head, weights_of(tuned, "fusion_head"), tuned.get_layer("fusion_head").weights,
                                  strict=True):  # fmt: skip
        if "moving" not in variable.path:  # statistics follow the smaller dropout
            np.testing.assert_allclose(now, was, atol=1e-6)


def test_fine_tuning_goes_on_with_the_ensemble_before_it_and_ends_where_it_ends_alone(small, trained, tmp_path):
    row = config.ROWS["ensemble-fine-tuned"]
    alone, after = (dataclasses.replace(trained, out=RunDir(tmp_path / name)) for name in ("alone", "after"))
    for fold in (alone, after):
        shutil.copytree(trained.out.root, fold.out.root, ignore=shutil.ignore_patterns("ensemble-fine-tuned"))
    expected = training.network(small, row, alone).get_weights()
    whole = training.network(small, config.ROWS["ensemble"], after)
    tuned = training.network(small, row, after)
    assert tuned is whole  # neither built nor traced again
    for found, wanted in zip(tuned.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    again = training.network(small, config.ROWS["ensemble"], after)
    assert again is not whole  # which is another row's now


def test_a_network_whose_training_is_finished_is_not_built_again_for_its_first_weights(small, fold, monkeypatch):
    expected = [array.copy() for array in training.network(small, config.ROWS["green"], fold).get_weights()]
    training.network(dataclasses.replace(small, seed=1), config.ROWS["green"], dataclasses.replace(
        fold, out=RunDir(fold.out.root / "another")))  # fmt: skip
    monkeypatch.setattr(model, "single_view", lambda *_: pytest.fail("built again"))
    for found, wanted in zip(training.network(small, config.ROWS["green"], fold).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_end_to_end_fine_tuning_moves_the_trunks(small, trained):
    before = weights_of(training.network(small, config.ROWS["ensemble"], trained), *config.KINDS)
    after = weights_of(training.network(small, config.ROWS["ensemble-end-to-end"], trained), *config.KINDS)
    assert not any(np.array_equal(was, now) for was, now in zip(before, after, strict=True))


def test_the_fusions_statistics_are_those_of_its_training_after_one_epoch_of_few_steps(small, trained, tmp_path):
    fold = without_ensemble(trained, tmp_path / "run")
    one = dataclasses.replace(small, ensemble=AdamConfig(epochs=1, learning_rate=1e-9), fusion=config.Fusion(dropout=0))
    whole = training.network(one, config.ROWS["ensemble"], fold)
    trunks, head = keras.Model(whole.input, whole.get_layer("stacked").output), model.head_of(whole)
    cases = fold.inputs("train", config.CASES)
    maps = trunks.predict(
        pipeline.one_epoch(cases, one.images, one.augmentation, seed=training._seed(one, config.ROWS["ensemble"], fold),
                           epoch=0), verbose=0)  # fmt: skip
    first, normalization = head.get_layer("fusion").steps[:2]
    expected = np.asarray(first(maps)).mean(axis=(0, 1, 2))
    assert len(cases) == 4 * one.images.batch_size  # so that 0.9^4 = 66 % of mean 0 would be left
    np.testing.assert_allclose(normalization.moving_mean, expected, rtol=0.25, atol=0.02 * np.abs(expected).max())


def test_the_ensemble_of_any_views_learns_from_cases_of_one_view_and_is_tested_on_them(small, drawn, tmp_path):
    ours = dataclasses.replace(small, network=config.Network(acetic_maps=4, green_maps=4, iodine_maps=4))
    ours = dataclasses.replace(
        ours, feature_copies=1000, acetic=AdamConfig(epochs=1), ensemble=AdamConfig(epochs=3, learning_rate=1e-2)
    )
    number = drawn.rows["case"].map({case: at for at, case in enumerate(sorted(set(drawn.rows["case"])))})
    one = (number % 4 == 0) & (drawn.rows["view"] != "iodine") | (number % 4 == 1) & (drawn.rows["view"] == "green")
    lacking = drawn.where(~one)
    (fold,) = data.folds_of(lacking, ours, RunDir(tmp_path))
    row = config.ROWS["ensemble-any-views"]
    training.evaluate_row(ours, row, [fold], lambda: None, fold.out)
    found = predictions.read(fold.out.row(row.name).predictions)
    views = lacking.rows.groupby("case")["view"].nunique()[list(found.table["id"])]
    assert set(views) == {1, 6, 7} and len(found) == len(fold.inputs("test", config.ANY_VIEWS)) == 12
    history = pd.read_csv(fold.out.row(row.name).history)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]


def test_features_are_kept_only_where_epochs_take_them_in_turn(small, trained, tmp_path, monkeypatch):
    shapes, fold = [], without_ensemble(trained, tmp_path / "kept")
    kept = pipeline.training_features
    monkeypatch.setattr(
        pipeline, "training_features", lambda made, *a, **k: shapes.append(made.shape) or kept(made, *a, **k)
    )
    training.network(small, config.ROWS["ensemble"], fold)
    assert [shape[:2] for shape in shapes] == [(2, len(fold.inputs("train", config.CASES)))]
    published = dataclasses.replace(small, feature_copies=1000)
    training.network(published, config.ROWS["ensemble"], without_ensemble(trained, tmp_path / "published"))
    assert len(shapes) == 1


def test_an_epoch_ends_with_the_cases_that_are_no_whole_batch(small, fold, monkeypatch):
    sizes = []
    original = pipeline.training

    def seen(*arguments, **options):
        batches = original(*arguments, **options)
        sizes.append([len(labels) for _, labels in batches])
        return batches

    monkeypatch.setattr(pipeline, "training", seen)
    fives = dataclasses.replace(small, images=dataclasses.replace(small.images, batch_size=5))
    training.network(fives, config.ROWS["green"], fold)
    assert len(fold.inputs("train", "green")) == 32 and sizes == [[5, 5, 5, 5, 5, 5, 2]]
