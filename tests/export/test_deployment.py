"""What deploying another model does to the files that a run has of the one before."""

from dataclasses import replace

import pytest

from cervix_tf import runs
from cervix_tf.errors import InputError
from cervix_tf.models import keras_file
from cervix_tf.study import deployment


@pytest.fixture
def run(unexported, single_run):
    return unexported(single_run)


@pytest.fixture
def another(run):
    """The terms of another model than the run's, and what makes it."""
    network = keras_file.load(run.model).layers[2]
    return replace(runs.contract(run), digest="", data="other images"), lambda: network


def test_no_file_that_was_exported_of_the_model_before_stays_beside_another(run, another):
    requested = (run.tflite("int8"), run.onnx, run.mobile("float32"))
    for path in requested:
        path.write_bytes(b"of the model before")
    deployment.deploy(run, *another, kinds=("tflite-float32",))
    assert run.tflite().is_file() and runs.contract(run).data == "other images"
    assert not any(path.exists() for path in (*requested, run.saved_model))


def test_what_a_user_keeps_in_an_exported_folder_stays_and_so_does_the_model(run, another):
    run.saved_model.mkdir()
    (run.saved_model / "notes.txt").write_text("mine")
    before, contract = run.model.read_bytes(), run.contract.read_text()
    with pytest.raises(InputError, match=r"notes\.txt.*move that folder away"):
        deployment.deploy(run, *another)
    assert (run.saved_model / "notes.txt").read_text() == "mine"
    assert run.model.read_bytes() == before and run.contract.read_text() == contract
