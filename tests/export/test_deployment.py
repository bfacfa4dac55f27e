"""What deploying another model does to the files that a run has of the one before."""

from dataclasses import replace

import pytest

from cervix_tf import runs
from cervix_tf.errors import InputError
from cervix_tf.export import decisions, formats, runtime
from cervix_tf.metrics import predictions
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


def test_a_study_that_goes_on_keeps_the_operating_point_that_a_user_has_chosen(run, another, capsys):
    wanted = replace(runs.contract(run), digest="")
    deployment.deploy(run, wanted, lambda: keras_file.load(run.model).layers[2], kinds=("tflite-float32",))
    tested = predictions.read(run.predictions)
    names = [f"validation {at}" for at in range(len(tested))]
    validated = predictions.from_arrays(names, tested.probabilities, tested.classes, labels=tested.table["label"])
    predictions.write(validated, run.validation_predictions)
    decisions.decide(run, operating_point="youden")
    formats.run(run, ("tflite-int8",), force=True)
    chosen = runs.contract(run).operating_point
    later = replace(wanted, version=f"{wanted.version}.1")
    deployment.deploy(run, later, lambda: 1 / 0, kinds=("tflite-float32",))
    assert runs.contract(run).version == wanted.version
    assert chosen is not None and runs.contract(run).operating_point == chosen
    assert runtime.load(run.tflite()).contract.operating_point == chosen
    assert run.tflite("int8").exists() and run.decisions.exists()
    assert "note" not in capsys.readouterr().out
    deployment.deploy(run, *another, kinds=("tflite-float32",))
    assert "the calibration or operating point of the one before is removed" in capsys.readouterr().out
    assert runs.contract(run).operating_point is None and not run.decisions.exists()


@pytest.mark.parametrize("name", ["saved_model", "onnx", "mobile-float32", "web-int8"])
def test_what_a_user_keeps_in_the_place_of_an_exported_file_stays_and_the_run_has_no_contract(run, another, name):
    theirs = formats.target_of(run, name)
    theirs.mkdir()
    (theirs / "notes.txt").write_text("mine")
    before = run.model.read_bytes()
    with pytest.raises(InputError, match=f"{theirs.name}: (is a folder|holds 'notes.txt')"):
        deployment.deploy(run, *another)
    assert (theirs / "notes.txt").read_text() == "mine" and run.model.read_bytes() == before
    assert not run.contract.exists()  # the metrics may be another model's already
