"""Files for phones: one graph, uint8 images of the network's own size, opened by those who will open them."""

import json
import os
import subprocess
import zipfile

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from cervix_tf import contract as contracts
from cervix_tf import export, runs
from cervix_tf.export import flatbuffer, reading, runtime
from cervix_tf.export.formats import MOBILE


@pytest.fixture(scope="module")
def single(single_run, unexported):
    out = unexported(single_run)
    return out, export.run(out, MOBILE, force=True)


@pytest.fixture(scope="module")
def cases(views_run, unexported):
    out = unexported(views_run)
    return out, export.run(out, MOBILE, force=True)


@pytest.mark.parametrize(("made", "shape"), [("single", [1, 24, 32, 3]), ("cases", [1, 3, 24, 32, 3])])
def test_a_mobile_file_has_one_graph_that_takes_bytes_of_the_networks_size(request, made, shape):
    out, rows = request.getfixturevalue(made)
    assert [row["format"] for row in rows] == list(MOBILE)
    for variant in ("float32", "float16", "int8"):
        path = out.mobile(variant)
        assert len(flatbuffer.unpacked(path.read_bytes()).subgraphs) == 1
        (given,) = Interpreter(str(path)).get_input_details()
        assert (given["shape"].tolist(), given["dtype"]) == (shape, np.uint8)
        with zipfile.ZipFile(path) as archive:
            assert archive.read("labels.txt").decode().split() == ["red", "green", "blue"]


@pytest.mark.parametrize("made", ["single", "cases"])
def test_mobile_files_decide_as_the_run_did_though_pixels_are_rounded_after_resizing(request, made):
    _, rows = request.getfixturevalue(made)
    by_format = {row["format"]: row for row in rows}
    assert by_format["mobile-float32"]["agreement"] == 1
    assert by_format["mobile-float32"]["max_difference"] < 0.01  # half a gray level
    assert by_format["mobile-float16"]["agreement"] == 1
    assert by_format["mobile-int8"]["agreement"] >= 0.9


def test_an_image_of_the_networks_size_gives_what_the_files_of_any_size_give(single, single_run):
    out, _ = single
    images = np.random.default_rng(0).integers(0, 256, (4, 24, 32, 3), np.uint8)
    expected = runtime.load(single_run.tflite()).run(images)
    np.testing.assert_allclose(runtime.load(out.mobile()).run(images), expected, atol=1e-6)


MEDIAPIPE = "CERVIX_TF_MEDIAPIPE_PYTHON"
CLASSIFY = """
import json, sys
import mediapipe, numpy
from mediapipe.tasks.python import BaseOptions, vision

options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with vision.ImageClassifier.create_from_options(options) as classifier:
    for pixels in numpy.load(sys.argv[2]):
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
        found = classifier.classify(image).classifications[0].categories
        print("scores", json.dumps({each.category_name: each.score for each in found}))
"""


@pytest.mark.parametrize(("variant", "tolerance"), [("float32", 1e-3), ("float16", 1e-3), ("int8", 0.05)])
def test_mediapipes_image_classifier_gives_the_same_probabilities(single, tmp_path, variant, tolerance):
    # In an environment of its own: it requires opencv-contrib-python, which overwrites the files of ours.
    if not (python := os.environ.get(MEDIAPIPE)):
        pytest.skip(f"set {MEDIAPIPE} to the Python of an environment with mediapipe")
    out, _ = single
    contract = contracts.read(out.contract)
    files = runs.inputs_of(runs.manifest(out).part("test"), contract).files[:12]
    images = np.stack([reading.whole_numbers(reading.read_input(each, contract, resize=True)) for each in files])
    np.save(tmp_path / "images.npy", images)
    expected = runtime.load(out.mobile(variant)).run(images)
    command = [python, "-c", CLASSIFY, str(out.mobile(variant)), str(tmp_path / "images.npy")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    given = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("scores ")]
    scores = np.array([[each[name] for name in contract.classes] for each in given])
    np.testing.assert_allclose(scores, expected, atol=tolerance)
    np.testing.assert_array_equal(scores.argmax(axis=1), expected.argmax(axis=1))
