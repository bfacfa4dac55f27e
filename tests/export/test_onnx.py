"""ONNX: images of any size in, the model's own probabilities out, by the runtime that many servers have."""

import json
import sys

import numpy as np
import pytest

from cervix_tf import contract as contracts
from cervix_tf import export
from cervix_tf.errors import InputError
from cervix_tf.export import onnx_file, runtime
from cervix_tf.run_dir import RunDir

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")
pytest.importorskip("tf2onnx", reason="needs the extra onnx: pip install -e '.[onnx]'")


@pytest.fixture(scope="module")
def single(single_run, unexported):
    out = unexported(single_run)
    return out, export.run(out, ("onnx",))


@pytest.fixture(scope="module")
def cases(views_run, unexported):
    out = unexported(views_run)
    return out, export.run(out, ("onnx",))


@pytest.mark.parametrize("made", ["single", "cases"])
def test_onnx_runtime_gives_the_runs_own_probabilities(request, made):
    out, (row,) = request.getfixturevalue(made)
    assert (row["format"], row["file"], row["agreement"]) == ("onnx", "model.onnx", 1)
    assert row["max_difference"] < 1e-4 and row["bytes"] == out.onnx.stat().st_size


def test_onnx_runtime_alone_takes_batches_of_any_size_and_finds_the_contract(single, single_run):
    out, _ = single
    session = onnxruntime.InferenceSession(str(out.onnx), providers=["CPUExecutionProvider"])
    ((given,), (found,)) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    assert (found.name, found.shape) == ("probabilities", ["batch", 3])
    said = json.loads(session.get_modelmeta().custom_metadata_map["contract.json"])
    assert said["classes"] == ["red", "green", "blue"] and said["intended_use"] == "Tests."
    reference = runtime.load(single_run.tflite())
    for shape in ((2, 48, 64, 3), (1, 301, 203, 3), (3, 9, 20, 3)):
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        (answers,) = session.run(None, {"images": images})
        np.testing.assert_allclose(answers, reference.run(images), atol=1e-5)


def test_views_of_several_sizes_go_through_too(cases, views_run):
    out, _ = cases
    rng = np.random.default_rng(1)
    views = [rng.integers(0, 256, (side, 70, 3), np.uint8) for side in (40, 90, 55)]
    expected = runtime.probabilities(runtime.load(views_run.tflite()), [views])
    np.testing.assert_allclose(runtime.probabilities(runtime.load(out.onnx), [views]), expected, atol=5e-3)  # rounded


def test_a_changed_truncated_or_foreign_file_is_refused(single, tmp_path):
    out, _ = single
    content, path = out.onnx.read_bytes(), tmp_path / "model.onnx"
    for spoiled, words in (
        (content[: len(content) // 2], "no contract at its end"),
        (content[:-1], "no contract at its end"),
        (b"", "no contract at its end"),
        (bytes([*content[:999], content[999] ^ 1, *content[1000:]]), "damaged or changed"),
        (content.replace(b'"colors"', b'"colonr"'), "damaged or changed"),
    ):
        path.write_bytes(spoiled)
        with pytest.raises(InputError, match=words):
            runtime.load(path)


def test_a_sealed_file_that_is_no_model_is_told_in_one_line(single, tmp_path):
    import hashlib

    out, _ = single
    contract = contracts.read(out.contract)
    sealed = contract.sealed({"model": hashlib.sha256(b"rubbish").hexdigest()})
    path = tmp_path / "model.onnx"
    path.write_bytes(b"rubbish" + onnx_file._entry("contract.json", sealed.text()))
    with pytest.raises(InputError, match="not a model that ONNX Runtime can run"):
        runtime.load(path)


def test_without_the_extra_the_export_says_so_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match=r"needs the package tf2onnx; in a checkout: pip install -e '\.\[onnx\]'"):
        export.run(RunDir(tmp_path / "nothing"), ("onnx",))
