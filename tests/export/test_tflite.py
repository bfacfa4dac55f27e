import dataclasses
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from cervix_tf import contract as contracts
from cervix_tf import runs
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, flatbuffer, reading, representative, tflite, tflite_metadata


def test_labels_contract_and_terms_travel_inside(single_run):
    with zipfile.ZipFile(single_run.tflite()) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split() == ["red", "green", "blue"]
        assert archive.read("license.txt").decode() == "Apache-2.0\n"
        assert archive.read("intended_use.txt").decode() == "Tests.\n"
    assert associated_files.read(single_run.tflite()).contract == contracts.read(single_run.contract)


class Read:
    """A table of a flatbuffer by the schema's numbers of its fields, written from the format's description."""

    def __init__(self, data, at=None):
        self.table = flatbuffers.table.Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
        if at is not None:
            self.table.Pos = at

    def at(self, slot):
        return self.table.Pos + self.table.Offset(4 + 2 * slot)

    def text(self, slot):
        return self.table.String(self.at(slot)).decode()

    def number(self, slot, kind):
        return self.table.Get(kind, self.at(slot))

    def inner(self, slot):
        return Read(self.table.Bytes, self.table.Indirect(self.at(slot)))

    def tables(self, slot):
        offset = self.at(slot) - self.table.Pos
        start = self.table.Vector(offset)
        return [
            Read(self.table.Bytes, self.table.Indirect(start + 4 * at)) for at in range(self.table.VectorLen(offset))
        ]


def test_metadata_readers_find_input_labels_version_and_terms(views_run):
    data = views_run.tflite().read_bytes()
    unpacked = flatbuffer.unpacked(data)
    (at,) = [each.buffer for each in unpacked.metadata if each.name.decode() == tflite_metadata.NAME]
    found = bytearray(unpacked.buffers[at].data)
    assert found[4:8] == b"M001"
    model = Read(found)
    assert [model.text(slot) for slot in (0, 2, 5, 7)] == ["colored cases", "1.2.3", "Apache-2.0", "1.0.0"]
    developed = "Developed on drawn colors (test images included)."
    assert model.text(1) == f"SYNTHETIC: learned from drawn images. Tests. {developed}"
    assert model.tables(6)[0].text(0) == "contract.json"
    graphs = model.tables(3)
    assert [graph.text(0) for graph in graphs] == list(flatbuffer.inputs(data))
    for graph in graphs:
        (given,), (probabilities,) = graph.tables(2), graph.tables(3)
        assert given.text(0) == flatbuffer.inputs(data)[graph.text(0)]
        assert "3 views in the order acetic_1, acetic_2, green, each" in given.text(1)
        kind, image = given.inner(3).number(0, flatbuffers.number_types.Uint8Flags), given.inner(3).inner(1)
        size = [image.inner(1).number(slot, flatbuffers.number_types.Uint32Flags) for slot in (0, 1)]
        assert (kind, image.number(0, flatbuffers.number_types.Int8Flags), size) == (2, 1, [64, 48])  # an image, RGB
        (labels,) = probabilities.tables(6)
        assert labels.text(0) == "labels.txt"
        assert labels.number(2, flatbuffers.number_types.Int8Flags) == 2  # the labels of an axis


def test_signatures_take_any_size_and_batch_the_native_size_and_resized_pixels(views_run):
    interpreter = Interpreter(str(views_run.tflite()))
    runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}
    shapes = {
        name: {key: list(of["shape_signature"]) for key, of in runner.get_input_details().items()}
        for name, runner in runners.items()
    }
    assert shapes == {
        "serving_default": {"images": [-1, 3, -1, -1, 3]},
        "fixed": {"images": [1, 3, 48, 64, 3]},
        "pixels": {"pixels": [-1, 3, 24, 32, 3]},
    }
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 48, 64, 3), dtype=np.uint8)
    answers = [runners[name](images=images) for name in ("serving_default", "fixed")]
    np.testing.assert_allclose(answers[0]["probabilities"], answers[1]["probabilities"], atol=1e-6)


def kernels(model):
    """Types of the convolutions' weights."""
    whole = flatbuffer.unpacked(model)
    return {
        graph.tensors[each.inputs[1]].type
        for graph in whole.subgraphs
        for each in graph.operators
        if "CONV" in flatbuffer.operator(whole, each)
    }


def test_every_variant_is_made_of_built_in_operations_and_answers_alike(views_run):
    contract = contracts.read(views_run.contract)
    listed = runs.manifest(views_run)
    images = np.stack(list(representative.images(listed, contract, 30, 0)))
    loaded = tf.saved_model.load(str(views_run.saved_model)).signatures["serving_default"]
    reference = loaded(images=tf.constant(images))["probabilities"].numpy()
    for variant, tolerance in (("float16", 0.02), ("dynamic", 0.1), ("int8", 0.1)):
        model = tflite.convert(views_run.saved_model, contract, variant, iter(images))
        tflite.check_built_in(model)
        runner = Interpreter(model_content=model).get_signature_runner("serving_default")
        assert next(iter(runner.get_input_details().values()))["dtype"] == np.uint8
        found = runner(images=images)["probabilities"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, reference, atol=tolerance, err_msg=variant)
        if variant == "int8":
            kinds = flatbuffer.operators(model)
            assert kinds["CONV_2D"] == 12  # three signatures of two trunks of two: the acetic views share one call
            assert kernels(model) == {schema.TensorType.INT8}
            resized = np.stack([reading.stacked(list(case), contract, resize=True) for case in images])
            of_pixels = Interpreter(model_content=model).get_signature_runner("pixels")
            np.testing.assert_allclose(of_pixels(pixels=resized)["probabilities"], found, atol=0.01)


def test_compacting_changes_no_answer_and_saves_bytes(single_run):
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(single_run.saved_model), signature_keys=["serving_default", "fixed"]
    )
    plain = converter.convert()
    small = flatbuffer.compacted(plain)
    assert len(small) < len(plain)
    assert flatbuffer.operators(small) == flatbuffer.operators(plain)
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 40, 3), dtype=np.uint8)
    before, after = (
        Interpreter(model_content=each).get_signature_runner("serving_default")(images=images)["probabilities"]
        for each in (plain, small)
    )
    np.testing.assert_array_equal(before, after)


def test_an_operation_of_tensorflow_is_found_and_named():
    function = tf.function(tf.linalg.inv, input_signature=[tf.TensorSpec((2, 2), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    with pytest.raises(RuntimeError, match=r"not built into TFLite: .*custom:FlexMatrixInverse"):
        tflite.check_built_in(converter.convert())


def test_int8_without_calibration_is_an_error(single_run):
    with pytest.raises(ValueError, match="calibration"):
        tflite.convert(single_run.saved_model, contracts.read(single_run.contract), "int8")


def test_a_damaged_truncated_or_foreign_file_is_an_input_error(tmp_path, single_run):
    whole = single_run.tflite().read_bytes()
    middle = len(whole) // 3
    broken = {
        "not a TFLite model": b"something else entirely",
        "damaged": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "truncated": whole[: len(whole) - 300],
        "no contract inside": whole[: whole.index(b"PK\x03\x04")],
    }
    for words, data in broken.items():
        (tmp_path / "model.tflite").write_bytes(data)
        with pytest.raises(InputError, match=rf"model\.tflite: .*{words}"):
            associated_files.read(tmp_path / "model.tflite")


def test_the_same_model_gives_the_same_bytes(single_run):
    contract = contracts.read(single_run.contract)
    model = b"    TFL3 and so on"
    assert associated_files.appended(model, contract) == associated_files.appended(model, contract)
    other = dataclasses.replace(contract, version="2")
    assert associated_files.appended(model, contract) != associated_files.appended(model, other)
