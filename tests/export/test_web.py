"""Files for browsers: one graph, every shape known, and it says what it is as other exported files do."""

import numpy as np
import pytest

from cervix_tf import export
from cervix_tf.app import folder
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, flatbuffer, runtime, web
from cervix_tf.export.formats import WEB


@pytest.fixture(scope="module")
def single(single_run, unexported):
    out = unexported(single_run)
    return out, export.run(out, WEB, force=True)


@pytest.fixture(scope="module")
def cases(views_run, unexported):
    out = unexported(views_run)
    return out, export.run(out, WEB, force=True)


@pytest.mark.parametrize("made", ["single", "cases"])
def test_web_files_decide_as_the_run_did(request, made):
    _, rows = request.getfixturevalue(made)
    assert [(row["format"], row["file"]) for row in rows] == [
        ("web-float32", "web_float32.tflite"),
        ("web-int8", "web_int8.tflite"),
    ]
    assert rows[0]["agreement"] == 1 and rows[0]["max_difference"] < 1e-4  # pixels are not rounded
    assert rows[1]["agreement"] >= 0.9


@pytest.mark.parametrize(("made", "shape"), [("single", (1, 24, 32, 3)), ("cases", (1, 3, 24, 32, 3))])
def test_a_web_file_has_one_graph_without_open_shapes_and_its_contract_inside(request, made, shape):
    out, _ = request.getfixturevalue(made)
    for variant in ("float32", "int8"):
        model = flatbuffer.unpacked(out.web(variant).read_bytes())
        (graph,) = model.subgraphs
        assert tuple(graph.tensors[graph.inputs[0]].shape) == shape
        assert all(tensor.shapeSignature is None for tensor in graph.tensors)
        assert [each.signatureKey for each in model.signatureDefs] == [b"one"]
        assert associated_files.read(out.web(variant)).contract.classes == ("red", "green", "blue")


def test_pictures_and_resized_pixels_give_what_the_files_of_any_size_give(single, single_run):
    out, _ = single
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 41, 3), np.uint8)
    expected = runtime.load(single_run.tflite()).run(images)
    np.testing.assert_allclose(runtime.load(out.web()).run(images), expected, atol=1e-5)


def test_the_page_takes_the_exported_file_as_it_is(single, tmp_path):
    out, _ = single
    folder.write(out.root, tmp_path / "page")
    for variant in ("float32", "int8"):
        (taken,) = (tmp_path / "page").glob(f"{variant}-*.tflite")
        assert taken.read_bytes() == out.web(variant).read_bytes()


def test_a_web_file_made_of_an_exported_one_is_the_same_file(single_run, tmp_path):
    made = tmp_path / "web_float32.tflite"
    made.write_bytes(web.of(single_run.tflite()))
    assert web.of(made) == made.read_bytes() == web.of(single_run.tflite())


def test_a_web_file_that_was_changed_is_refused(single, tmp_path):
    out, _ = single
    content = bytearray(out.web().read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "web_float32.tflite").write_bytes(content)
    with pytest.raises(InputError, match="damaged or changed"):
        runtime.load(tmp_path / "web_float32.tflite")
