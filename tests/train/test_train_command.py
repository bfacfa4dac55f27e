"""From a folder of one's own pictures to a report, by the commands that the README prints."""

import json

import cv2
import numpy as np
import pytest

import cervix_tf
from cervix_tf import contract as contracts
from cervix_tf.data import __main__ as data_command
from cervix_tf.data import manifest
from cervix_tf.data.manifest import Manifest
from cervix_tf.export import latency
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.train.__main__ import main
from tests import options

SMALL = [
    *("--network", "resnet10_narrow", "--weights", "random", "--images.size", "32", "--images.batch-size", "8"),
    *("--optimizer.epochs", "4", "--optimizer.learning-rate", "0.01"),
]

DESCRIBED = ("--positive", "malignant", "--data-description", "Colored squares, CC0")


def pictures(root, per_class=40):
    """Classes that differ in color, eight pictures a woman."""
    rng = np.random.default_rng(0)
    for name, color in (("benign", (60, 160, 60)), ("malignant", (160, 60, 60)), ("unclear", (60, 60, 160))):
        (root / name).mkdir(parents=True)
        for at in range(per_class):
            noise = rng.normal(0, 25, (40, 48, 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / name / f"{at // 8:03d}_{at:02d}.png"), pixels[..., ::-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    pictures(folder / "pictures")
    assert data_command.main(["import", "folder", str(folder / "pictures"), "-o", str(folder / "manifest.csv")]) == 0
    return folder


def command(folder, *words):
    return [str(folder / "manifest.csv"), "--root", str(folder / "pictures"), *options.replacing(SMALL, words)]


@pytest.fixture(scope="module")
def finished(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "milliseconds", lambda *_, **__: [1.0, 1.0])  # no clock
        main(command(folder, *DESCRIBED, "-o", str(folder / "run")))
    return RunDir(folder / "run")


def test_classes_of_the_manifest_are_learned_and_everything_that_users_take_away_is_written(finished):
    test = predictions.read(finished.predictions)
    assert test.classes == ("benign", "malignant", "unclear")
    assert (test.labels == test.decisions).mean() > 0.8  # they differ in color: chance is 0.33
    for path in (finished.model, finished.saved_model, finished.tflite(), finished.model_card, finished.report):
        assert path.exists(), path
    metrics = json.loads(finished.metrics.read_text())
    assert metrics["binary"]["positive"] == ["malignant"] and metrics["data"] == "Colored squares, CC0"
    protocol = json.loads(finished.model_card.with_suffix(".json").read_text())["data"]["protocol"]
    assert protocol.startswith("no group in two splits: train ") and " test " in protocol
    assert "Developed on: Colored squares, CC0 (test images included)" in finished.model_card.read_text()
    assert metrics["synthetic"] is False and metrics["stand_in"] is False


def test_the_same_command_trains_nothing_again_and_changes_no_result(folder, finished, capsys):
    before = finished.metrics.read_bytes(), finished.predictions.read_bytes()
    main(command(folder, *DESCRIBED, "-o", str(folder / "run")))
    assert "training inputs" not in capsys.readouterr().out
    assert (finished.metrics.read_bytes(), finished.predictions.read_bytes()) == before


@pytest.mark.parametrize("words", [(), ("--positive", "typo")])
@pytest.mark.parametrize("name", ["manifest.csv", "config.json", "environment.json", "audit.json"])
def test_a_folder_of_the_users_own_is_no_run_and_nothing_in_it_is_lost(folder, tmp_path, name, words, capsys):
    """Files that have a run's names, without a run: once, the manifest that the command was given was removed."""
    own = tmp_path / "own" / name
    own.parent.mkdir()
    own.write_bytes((folder / "manifest.csv").read_bytes() if name == "manifest.csv" else b'{"my": "settings"}')
    before = own.read_bytes()
    read = own if name == "manifest.csv" else folder / "manifest.csv"
    with pytest.raises(SystemExit) as ended:
        main([str(read), "--root", str(folder / "pictures"), *SMALL, *words, "-o", str(own.parent)])
    assert ended.value.code == 2
    assert f"{own}: is in a folder that is not a run of this program" in capsys.readouterr().err
    assert own.read_bytes() == before


def test_a_manifest_where_a_run_that_has_not_begun_to_train_writes_its_own_is_refused(folder, tmp_path, capsys):
    out = tmp_path / "run"
    with pytest.raises(SystemExit):
        main(command(folder, "--positive", "typo", "-o", str(out)))
    (out / "manifest.csv").write_bytes((folder / "manifest.csv").read_bytes())
    with pytest.raises(SystemExit):
        main([str(out / "manifest.csv"), "--root", str(folder / "pictures"), *SMALL, "-o", str(out)])
    assert "manifest.csv: the run writes its own copy of it there" in capsys.readouterr().err
    assert (out / "manifest.csv").read_bytes() == (folder / "manifest.csv").read_bytes()


def test_one_size_sets_both_sides(finished):
    images = json.loads(finished.config.read_text())["images"]
    assert (images["height"], images["width"]) == (32, 32)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "resnet1"], "--network resnet1: no such network; choose from alexnet"),
        (["--data-description", "two\nlines"], "--data-description two\nlines: must be one line of text"),
        (["--positive", "cancer"], "--positive cancer: is not one of the classes benign, malignant, unclear"),
        (
            ["--positive", "benign", "malignant", "unclear"],
            "--positive benign malignant unclear: names every class; name",
        ),
    ],
)
def test_wrong_options_end_in_one_line_before_anything_is_trained(folder, words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command(folder, *words, "-o", str(folder / words[1])))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told


def test_a_manifest_that_is_not_there_leaves_no_folder(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "none.csv"), "-o", str(tmp_path / "run")])
    assert ended.value.code == 2 and "none.csv" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def doubtful(tmp_path):
    """A manifest in which every fifth picture is mislabeled, so that no model is right on all of them."""
    pictures(tmp_path / "pictures")
    data_command.main(["import", "folder", str(tmp_path / "pictures"), "-o", str(tmp_path / "manifest.csv")])
    listed = manifest.read(tmp_path / "manifest.csv", tmp_path / "pictures")
    labels = [name if at % 5 else "unclear" for at, name in enumerate(listed.rows["label"])]
    manifest.write(Manifest(listed.rows.assign(label=labels), listed.root), tmp_path / "manifest.csv")
    return tmp_path


def test_a_calibration_asked_for_is_in_the_exported_model_and_can_be_asked_for_later(doubtful, monkeypatch, capsys):
    monkeypatch.setattr(latency, "milliseconds", lambda *_, **__: [1.0, 1.0])  # no clock
    run = RunDir(doubtful / "run")
    asked = command(doubtful, "--validation-share", "0.3", "-o", str(run.root))
    main([*asked, "--calibrate", "temperature"])
    found = contracts.read(run.contract).calibration
    assert found.method == "temperature" and contracts.read(run.contract).digest
    assert json.loads(run.decisions.read_text())["calibration_measures"]["scale"] == list(found.scale)
    loaded = cervix_tf.load(run.tflite())
    tested = predictions.read(run.predictions)
    answers = loaded.predict([str(doubtful / "pictures" / name) for name in tested.table["id"][:6]])
    expected = found.applied(tested.probabilities[:6])
    np.testing.assert_allclose(answers[[f"p_{name}" for name in tested.classes]], expected, atol=1e-4)
    before = run.predictions.read_bytes()
    capsys.readouterr()
    main([*asked, "--calibrate", "platt"])
    assert "training inputs" not in capsys.readouterr().out and run.predictions.read_bytes() == before
    assert contracts.read(run.contract).calibration.method == "platt"
    main(asked)  # keeps it
    assert cervix_tf.load(run.tflite()).contract.calibration.method == "platt"


def test_too_few_validation_images_for_a_calibration_are_told_before_anything_is_trained(folder, capsys):
    with pytest.raises(SystemExit):
        main(command(folder, "--calibrate", "temperature", "-o", str(folder / "few")))
    told = capsys.readouterr().err
    assert "labeled validation rows; needs 20 or more" in told
    assert not (folder / "few" / "history.csv").exists()
