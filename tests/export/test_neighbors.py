"""A model of embeddings: network in SavedModel and TFLite, neighbors in a file beside them."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from cervix_tf import contract as contracts
from cervix_tf import runs
from cervix_tf.config import Images
from cervix_tf.data import inputs, pipeline
from cervix_tf.errors import InputError
from cervix_tf.export import formats, reading, runtime
from cervix_tf.export.serving import serving_model
from cervix_tf.metrics import neighbors, predictions
from cervix_tf.run_dir import RunDir

POINTS = np.array([[0.0, 0], [1, 0], [0, 1], [5, 5], [5, 6]], np.float32)
LABELS = np.array([0, 0, 1, 2, 2], np.int32)
CLASSES = ("a", "b", "c")


def embed(network, part):
    return network.predict(pipeline.evaluation(part, Images(24, 32, 16)), verbose=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory, single_run):
    """The run of single images, its last layer cut off, as a model of embeddings with three neighbors."""
    out = RunDir(tmp_path_factory.mktemp("embedding"))
    for path in (single_run.manifest, single_run.environment, single_run.config, single_run.metrics):
        shutil.copy(path, out.root)
    whole = runs.model(single_run).get_layer(index=2)
    unit = keras.layers.UnitNormalization()(whole.layers[-2].output)
    network = keras.Model(whole.input, unit)
    contract = contracts.read(single_run.contract)
    listed = runs.manifest(single_run)
    train, test = (inputs.from_images(listed.part(name), contract.classes) for name in ("train", "test"))
    found = neighbors.fit(embed(network, train), train.labels, contract.classes, 3)
    neighbors.write(found, out.neighbors)
    contract = replace(contract, neighbors=found.digest)
    contract.write(out.contract)
    serving_model(network, contract).save(out.model)
    rows = test.rows
    predictions.write(
        predictions.from_arrays(
            rows["id"],
            found.probabilities(embed(network, test)),
            contract.classes,
            labels=rows["label"],
            groups=rows["group"],
        ),
        out.predictions,
    )
    formats.run(out, ("saved_model", "tflite-float32"), repeats=1)
    return out


def test_probabilities_are_the_classes_shares_of_the_k_nearest():
    three = neighbors.fit(POINTS, LABELS, CLASSES, 3)
    np.testing.assert_allclose(
        three.probabilities(np.array([[0.1, 0.1], [5, 5.4]])), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]
    )
    one = neighbors.fit(POINTS, LABELS, CLASSES, 1)
    np.testing.assert_array_equal(one.probabilities(POINTS), np.eye(3)[LABELS])


def test_a_class_without_training_inputs_has_probability_0():
    found = neighbors.fit(POINTS, LABELS, ("a", "b", "c", "d"), 2)
    assert found.probabilities(POINTS).shape == (5, 4)
    assert (found.probabilities(POINTS)[:, 3] == 0).all()


@pytest.mark.parametrize(
    ("embeddings", "labels", "k", "words"),
    [
        (POINTS, LABELS, 6, "6 nearest neighbors of 5 training inputs"),
        (POINTS, LABELS, 0, "K must be 1 to 5"),
        (POINTS * np.nan, LABELS, 1, "not finite: did the training diverge"),
        (POINTS, LABELS - 1, 1, "has none of the classes a, b, c"),
    ],
)
def test_what_cannot_be_a_classifier_is_an_input_error(embeddings, labels, k, words):
    with pytest.raises(InputError, match=words):
        neighbors.fit(embeddings, labels, CLASSES, k)


def test_what_is_written_is_read_and_has_the_same_digest(tmp_path):
    found = neighbors.fit(POINTS, LABELS, CLASSES, 3)
    neighbors.write(found, tmp_path / "n.npz")
    again = neighbors.read(tmp_path / "n.npz", found.digest)
    assert (again.classes, again.k) == (CLASSES, 3)
    np.testing.assert_array_equal(again.embeddings, POINTS)
    np.testing.assert_array_equal(again.labels, LABELS)


@pytest.mark.parametrize(
    "other",
    [(POINTS + 1, LABELS, CLASSES, 3), (POINTS, LABELS[::-1], CLASSES, 3), (POINTS, LABELS, ("a", "b", "x"), 3),
     (POINTS, LABELS, CLASSES, 1)],
)  # fmt: skip
def test_the_digest_changes_with_everything_that_answers_depend_on(tmp_path, other):
    neighbors.write(neighbors.fit(*other), tmp_path / "n.npz")
    with pytest.raises(InputError, match="belongs to another model"):
        neighbors.read(tmp_path / "n.npz", neighbors.fit(POINTS, LABELS, CLASSES, 3).digest)


def test_missing_and_damaged_files_are_input_errors(tmp_path):
    path = tmp_path / "n.npz"
    with pytest.raises(InputError, match="needs its neighbors beside it"):
        neighbors.read(path)
    neighbors.write(neighbors.fit(POINTS, LABELS, CLASSES, 3), path)
    whole = path.read_bytes()
    for damaged in (b"", b"rubbish", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="not the neighbors of a model"):
            neighbors.read(path)
    np.savez(path, embeddings=POINTS)
    with pytest.raises(InputError, match="not the neighbors of a model"):
        neighbors.read(path)


def test_keras_saved_model_and_tflite_give_the_same_embeddings_and_the_runs_predictions(run):
    contract = contracts.read(run.contract)
    tests, expected = runs.tested_inputs(run, runs.manifest(run), contract)
    assert set(np.unique(expected.round(5))) <= {0, 0.33333, 0.66667, 1}
    pixels = np.stack([reading.read_input(files, contract) for files in tests.files])
    of_keras = np.asarray(runs.model(run)(pixels))
    for path in (run.saved_model, run.tflite(), run.root):
        model = runtime.load(path)
        np.testing.assert_allclose(model.network(pixels), of_keras, atol=1e-5)
        np.testing.assert_allclose(runtime.probabilities(model, tests.files), expected, atol=1e-6)


def test_a_model_without_its_neighbors_or_with_anothers_is_an_input_error(tmp_path, run):
    alone = shutil.copy(run.tflite(), tmp_path / "alone.tflite")
    with pytest.raises(InputError, match=r"neighbors\.npz: no such file; this model gives embeddings"):
        runtime.load(alone)
    neighbors.write(neighbors.fit(POINTS, LABELS, CLASSES, 3), tmp_path / "neighbors.npz")
    with pytest.raises(InputError, match="belongs to another model"):
        runtime.load(alone)
    shutil.copy(run.neighbors, tmp_path)
    assert runtime.load(alone).neighbors.k == 3


def command(*words):
    return subprocess.run([sys.executable, "-m", *map(str, words)], capture_output=True, text=True, check=False)


def test_predict_answers_with_shares_of_neighbors_and_refuses_heat_maps(run, tmp_path):
    image = runs.manifest(run).paths()[0]
    done = command("cervix_tf.predict", run.root, image, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["predictions"]
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert all(3 * value == pytest.approx(round(3 * value)) for value in found["probabilities"].values())
    refused = command("cervix_tf.predict", run.root, image, "--heatmap", tmp_path / "maps")
    assert refused.returncode == 2
    assert "heat maps explain class scores, and this model gives embeddings" in refused.stderr


def test_evaluate_uses_both_files(run, tmp_path):
    images = json.loads(run.environment.read_text())["data_root"]
    results = ("-o", tmp_path / "e", "--resamples", 100)
    done = command("cervix_tf.evaluate", run.tflite(), "--manifest", run.manifest, "--root", images, *results)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        predictions.read(tmp_path / "e" / "predictions.csv").probabilities,
        predictions.read(run.predictions).probabilities,
        atol=1e-6,
    )
