"""The same files through TFLite, SavedModel and the evaluation pipeline."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf import contract as contracts
from cervix_tf import runs
from cervix_tf.config import Images
from cervix_tf.data import inputs, manifest, pipeline
from cervix_tf.errors import InputError
from cervix_tf.export import runtime


def write(path, pixels, *options):
    assert cv2.imwrite(str(path), pixels, options)
    return str(path)


@pytest.fixture(scope="module")
def odd_images(tmp_path_factory, picture):
    """JPEG of 800 x 600, gray, RGBA, and one of the native size."""
    folder = tmp_path_factory.mktemp("odd")
    rgba = np.dstack([picture(2, 90, 70), np.full((90, 70), 77, np.uint8)])
    return [
        write(folder / "large.jpg", picture(0, 600, 800)),
        write(folder / "gray.jpg", picture(1, 50, 61)[..., 0]),
        write(folder / "rgba.png", rgba),
        write(folder / "native.jpg", picture(3, 48, 64)),
    ]


def through_the_pipeline(run, files):
    """Probabilities by the network in model.keras, fed as an evaluation during training is."""
    contract = contracts.read(run.contract)
    model = runs.model(run)
    table = manifest.from_records([{"path": "x"}], run.root).rows
    some = inputs.Inputs(
        tuple(tuple(each) for each in files), np.full(len(files), -1, np.int32), table, contract.classes, contract.views
    )
    batches = pipeline.evaluation(some, Images(contract.height, contract.width, 2))
    return np.concatenate([tf.nn.softmax(model.get_layer(index=2)(pixels)).numpy() for pixels, _ in batches])


@pytest.mark.parametrize("in_graph", [False, True])
def test_three_paths_give_the_same_probabilities_for_any_image(single_run, odd_images, in_graph):
    files = [[file] for file in odd_images]
    expected = through_the_pipeline(single_run, files)
    assert np.ptp(expected, axis=0).max() > 0.05  # the images are told apart
    for path in (single_run.tflite(), single_run.saved_model):
        found = runtime.probabilities(runtime.load(path), files, in_graph=in_graph)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_views_of_different_sizes_too(views_run, odd_images):
    large, gray, rgba, native = odd_images
    files = [[large, gray, rgba], [native, native, native], [native, large, native]]
    expected = through_the_pipeline(views_run, files)
    for path in (views_run.tflite(), views_run.saved_model):
        found = runtime.probabilities(runtime.load(path), files, batch_size=3)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_run_answers_as_it_did_when_it_was_evaluated(views_run):
    contract = contracts.read(views_run.contract)
    tests, expected = runs.tested_inputs(views_run, runs.manifest(views_run), contract)
    found = runtime.probabilities(runtime.load(views_run.root), tests.files)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_answers_come_in_the_order_of_the_inputs_whatever_the_batch(single_run, odd_images, batch_size):
    files = [[odd_images[at]] for at in (3, 3, 0, 1, 1, 1, 3, 2)] * 4
    model = runtime.load(single_run.tflite())
    one_by_one = np.concatenate([runtime.probabilities(model, [each]) for each in files])
    np.testing.assert_allclose(runtime.probabilities(model, files, batch_size), one_by_one, atol=1e-6)
    assert runtime.probabilities(model, []).shape == (0, 3)


def test_a_tflite_file_alone_runs_without_tensorflow(tmp_path, single_run, odd_images):
    alone = tmp_path / "copy.tflite"
    alone.write_bytes(single_run.tflite().read_bytes())
    code = (
        "import sys; sys.modules['experiments'] = None; from cervix_tf.export import runtime; "
        f"print(runtime.probabilities(runtime.load({str(alone)!r}), [[{odd_images[0]!r}]]).sum()); "
        "assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules), 'slow to start'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(1, abs=1e-5)


def test_a_wrong_number_of_files_is_an_input_error(views_run, odd_images):
    with pytest.raises(InputError, match=r"2 image files given as one input.*takes 3 \(acetic_1, acetic_2, green\)"):
        runtime.probabilities(runtime.load(views_run.tflite()), [odd_images[:2]])


def test_an_unreadable_image_is_an_input_error_that_names_it(tmp_path, single_run, odd_images):
    (tmp_path / "bad.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"bad\.jpg: the file is empty"):
        runtime.probabilities(runtime.load(single_run.tflite()), [[odd_images[0]], [str(tmp_path / "bad.jpg")]])


def test_what_is_no_model_is_an_input_error(tmp_path, single_run):
    with pytest.raises(InputError, match="no such file or folder"):
        runtime.load(tmp_path / "none")
    with pytest.raises(InputError, match="neither a run nor a SavedModel"):
        runtime.load(tmp_path)
    (tmp_path / "model.keras").write_bytes(single_run.model.read_bytes())
    with pytest.raises(InputError, match=r"nothing exported yet; run `python -m cervix_tf\.export"):
        runtime.load(tmp_path)
    with pytest.raises(InputError, match="not a TFLite model"):
        runtime.load(single_run.contract)


def test_a_damaged_saved_model_is_an_input_error(tmp_path, single_run):
    folder = tmp_path / "saved_model"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"contract\.json: no such file"):
        runtime.load(folder)
    contract = replace(contracts.read(single_run.contract), version="2")
    contract.write(folder / "assets.extra" / "contract.json")
    with pytest.raises(InputError, match=r"contains no digest .* earlier version.* export the run again with"):
        runtime.load(folder)
    sealed = contract.sealed({"saved_model.pb": hashlib.sha256(b"rubbish").hexdigest()})
    sealed.write(folder / "assets.extra" / "contract.json")
    with pytest.raises(InputError, match="not a SavedModel that TensorFlow can load"):
        runtime.load(folder)
