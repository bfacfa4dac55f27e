"""The gate of a run: written by export and deployment, told by predict, evaluate, Python and the model card."""

import json
import shutil
from dataclasses import replace

import cv2
import pytest

import cervix_tf
from cervix_tf import quality, runs
from cervix_tf.data import manifest
from cervix_tf.evaluate import __main__ as evaluate
from cervix_tf.export import __main__ as export
from cervix_tf.export import latency, model_card, quality_gate, runtime
from cervix_tf.metrics import predictions
from cervix_tf.models import keras_file
from cervix_tf.predict import __main__ as predict
from cervix_tf.run_dir import RunDir, read_json
from cervix_tf.study import deployment


@pytest.fixture(autouse=True)
def few_images_suffice(monkeypatch):
    """The runs here are of 60 training images."""
    monkeypatch.setattr(quality, "FEWEST_IMAGES", 20)


@pytest.fixture
def run(single_run, tmp_path, monkeypatch):
    """A copy of the run of single images, with a gate."""
    monkeypatch.setattr(latency, "milliseconds", lambda *_, **__: [1.0, 1.0])  # no clock
    out = RunDir(tmp_path / "run")
    shutil.copytree(single_run.root, out.root, ignore=shutil.ignore_patterns("images"))
    export.main([str(out.root), "--formats", "tflite-float32", "--quality"])
    return out


@pytest.fixture
def pictures(run, tmp_path):
    """A training image of the run, and the same as dark as night."""
    (first, *_) = runs.manifest(run).part("train").paths()
    dark = tmp_path / "dark.png"
    cv2.imwrite(str(dark), cv2.imread(first) // 8)
    return [first, str(dark)]


def test_limits_come_from_the_training_images_and_refuse_few_of_them(run):
    gate = quality.read(run.quality, runs.contract(run))
    training = runs.manifest(run).part("train")
    assert gate.kinds[""].images == len(training) == 60
    model = runtime.load(run.tflite())
    problems = runtime.answers(model, [[path] for path in training.paths()]).problems
    assert not any(problems)


def test_predict_says_below_an_image_what_is_wrong_with_it(run, pictures, capsys):
    predict.main([str(run.root), *pictures])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(pictures[0]) and lines[2].startswith(pictures[1])
    assert lines[3].strip().startswith("QUALITY: too dark") and lines[4].startswith("colors 1.2.3")
    predict.main([str(run.root), *pictures, "--json"])
    fine, dark = json.loads(capsys.readouterr().out)["predictions"]
    assert fine["quality"] == [] and "too dark" in dark["quality"]


def test_the_table_of_python_has_the_same_and_a_model_without_a_gate_no_such_column(run, pictures):
    found = cervix_tf.load(run.root).predict(pictures)["quality"].tolist()
    assert found[0] == "" and found[1].startswith("too dark")
    run.quality.unlink()
    assert "quality" not in cervix_tf.load(run.root).predict(pictures)


def test_whatever_the_format_and_whoever_resizes_the_gate_says_the_same(run, pictures):
    said = []
    for path in (run.model, run.saved_model, run.tflite()):
        model = runtime.load(path)
        for in_graph in (False, True):
            said.append(runtime.answers(model, [[file] for file in pictures], in_graph=in_graph).problems)
    assert said[0][1] and all(each == said[0] for each in said)


def test_evaluate_counts_alarms_and_gives_the_accuracy_with_and_without_them(run, tmp_path, capsys):
    listed = runs.manifest(run)
    folder = shutil.copytree(listed.root, tmp_path / "images")
    dark = listed.part("test").rows["path"][:5]
    for path in dark:
        cv2.imwrite(str(folder / path), cv2.imread(str(folder / path)) // 8)
    arguments = ["--manifest", str(run.manifest), "--root", str(folder), "--resamples", "100"]
    evaluate.main([str(run.root), *arguments, "-o", str(tmp_path / "found")])
    printed = capsys.readouterr().out
    out = RunDir(tmp_path / "found")
    found = read_json(out.metrics)["quality"]
    wrong = round(found["alarms"]["value"] * found["alarms"]["n"])
    assert found["alarms"]["method"] == "Wilson 95%" and found["alarms"]["n"] == 60 and 5 <= wrong < 20
    assert found["by"]["too dark"] >= 5
    assert f"images that the quality gate warned about (too dark: {found['by']['too dark']}" in printed
    parts = [found["accuracy"][name] for name in ("all", "without alarm", "with alarm")]
    assert [part["n"] for part in parts] == [60, 60 - wrong, wrong]
    right = [round(part["value"] * part["n"]) for part in parts]
    assert right[0] == right[1] + right[2]
    assert found["accuracy"]["all"]["value"] == read_json(out.metrics)["metrics"]["accuracy"]["value"]
    assert "Images that the quality gate warned about" in out.report.read_text(encoding="utf-8")


def test_without_a_gate_evaluate_says_nothing_of_quality(single_run, tmp_path):
    arguments = ["--manifest", str(single_run.manifest), "--root", str(runs.data_root(single_run))]
    evaluate.main([str(single_run.root), *arguments, "--resamples", "100", "-o", str(tmp_path / "found")])
    assert read_json(RunDir(tmp_path / "found").metrics)["quality"] is None


def test_a_case_is_told_view_by_view(views_run, tmp_path):
    out = RunDir(tmp_path / "run")
    shutil.copytree(views_run.root, out.root, ignore=shutil.ignore_patterns("images"))
    gate = quality_gate.write(out, runs.manifest(out))
    assert {name: limits.images for name, limits in gate.kinds.items()} == {"acetic": 60, "green": 30}
    tests, _ = runs.tested_inputs(out, runs.manifest(out), runs.contract(out))
    images = [cv2.imread(file)[..., ::-1] for file in tests.files[0]]
    images[1] = images[1] // 8
    ((problem, *_),) = runtime.answers(runtime.load(out.tflite()), [images]).problems
    assert problem == quality.Problem("dark", "acetic_2")


def test_a_calibrated_run_keeps_its_gate(run, pictures):
    tested = predictions.read(run.predictions)
    labels = [each if at % 5 else "red" for at, each in enumerate(tested.table["label"])]
    names = [f"validation {at}" for at in range(len(tested))]
    validation = predictions.from_arrays(names, tested.probabilities, tested.classes, labels=labels)
    predictions.write(validation, run.validation_predictions)
    export.main([str(run.root), "--formats", "tflite-float32", "--calibrate", "temperature"])
    assert "quality" in cervix_tf.load(run.root).predict(pictures)


def test_a_gate_beside_another_model_is_refused(run, pictures, capsys):
    value = json.loads(run.quality.read_text())
    run.quality.write_text(json.dumps({**value, "digest": "0" * 64}))
    with pytest.raises(SystemExit) as ended:
        predict.main([str(run.root), *pictures])
    assert ended.value.code == 2 and "not the limits of the model beside it, colors" in capsys.readouterr().err


def test_few_training_images_make_no_gate_and_the_command_says_so(run, monkeypatch, capsys):
    monkeypatch.setattr(quality, "FEWEST_IMAGES", 61)
    with pytest.raises(SystemExit):
        export.main([str(run.root), "--formats", "tflite-float32", "--quality"])
    assert "limits need 61 labeled training images" in capsys.readouterr().err and not run.quality.exists()


def test_where_no_gate_can_be_made_the_exported_files_stay(run, monkeypatch):
    monkeypatch.setattr(quality, "FEWEST_IMAGES", 61)
    predicted = predictions.read(run.predictions)
    names = [f"validation {at}" for at in range(len(predicted))]
    labels = predicted.table["label"]
    validation = predictions.from_arrays(names, predicted.probabilities, predicted.classes, labels=labels)
    predictions.write(validation, run.validation_predictions)
    with pytest.raises(SystemExit):
        export.main([str(run.root), "--formats", "tflite-float32", "--calibrate", "temperature", "--quality"])
    assert run.tflite().is_file() and runs.contract(run).calibration is None


def without(run, view, keep):
    """The run's training rows without this view, but for the first `keep` cases; the model may lack views."""
    contract = replace(runs.contract(run), missing_views=True)
    runs.seal(run, contract, runs.manifest(run))
    listed = runs.manifest(run)
    rare = (listed.rows["view"] == view) & (listed.rows["split"] == "train")
    return listed.where(~rare | (rare.cumsum() <= keep))


@pytest.mark.parametrize("keep", [0, 19])
def test_a_kind_of_view_of_too_few_training_images_makes_no_gate(views_run, tmp_path, keep):
    out = RunDir(tmp_path / "run")
    shutil.copytree(views_run.root, out.root, ignore=shutil.ignore_patterns("images"))
    assert quality_gate.write(out, without(out, "green", keep)) is None
    assert not out.quality.exists()


def test_a_rare_kind_of_view_is_measured_wherever_it_is(views_run, tmp_path, monkeypatch):
    out = RunDir(tmp_path / "run")
    shutil.copytree(views_run.root, out.root, ignore=shutil.ignore_patterns("images"))
    monkeypatch.setattr(quality_gate, "MOST_IMAGES", 40)
    gate = quality_gate.write(out, without(out, "green", 20))
    assert {name: limits.images for name, limits in gate.kinds.items()} == {"acetic": 20, "green": 20}
    assert quality.read(out.quality, runs.contract(out)) == gate


def test_of_many_images_some_are_measured(run, monkeypatch):
    monkeypatch.setattr(quality_gate, "MOST_IMAGES", 30)
    assert quality_gate.write(run, runs.manifest(run)).kinds[""].images == 30


def test_a_deployed_model_has_a_gate_and_its_card_says_so(run):
    wanted = replace(runs.contract(run), digest="")
    network = keras_file.load(run.model).layers[2]
    for path in (run.quality, run.contract):
        path.unlink()
    deployment.deploy(run, wanted, lambda: network)
    assert quality.read(run.quality, wanted).kinds[""].images == 60
    assert any("quality_gate.json" in limit for limit in model_card.card(run)["limits"])
    run.quality.unlink()
    assert not any("quality_gate.json" in limit for limit in model_card.card(run)["limits"])
    before = run.model.read_bytes()
    deployment.deploy(run, wanted, lambda: network)  # deployed already: nothing is done anew
    assert run.model.read_bytes() == before and not run.quality.exists()


def test_the_gate_of_one_site_s_model_is_of_its_images_alone(run):
    listed = runs.manifest(run)
    training = (listed.rows["split"] == "train").cumsum()
    listed.rows["site"] = ["north" if at <= 40 else "south" for at in training]
    manifest.write(listed, run.manifest)
    wanted = replace(runs.contract(run), digest="")
    network = keras_file.load(run.model).layers[2]
    run.contract.unlink()
    deployment.deploy(run, wanted, lambda: network, site="north")
    assert quality.read(run.quality, wanted).kinds[""].images == 40
