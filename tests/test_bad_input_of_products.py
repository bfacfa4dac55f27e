"""Wrong input to evaluate, predict, export, report and compare: one clear line, exit code 2, no traceback."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from cervix_tf import run_lock
from cervix_tf.compare import __main__ as compare
from cervix_tf.contract import Contract
from cervix_tf.data import manifest
from cervix_tf.errors import exit_cleanly
from cervix_tf.evaluate import __main__ as evaluate
from cervix_tf.export import __main__ as export
from cervix_tf.export import saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.metrics import predictions
from cervix_tf.predict import __main__ as predict
from cervix_tf.report.__main__ import report
from cervix_tf.run_dir import RunDir, write_json

CLASSES = ("normal", "cancer")


def contract(**changes):
    terms = {
        "task": "made up", "classes": CLASSES, "positive": ("cancer",), "views": (), "height": 8, "width": 8,
        "native_height": 16, "native_width": 16, "version": "0", "license": "none", "intended_use": "Tests.",
        "data": "nothing", "synthetic": True, "stand_in": False,
    }  # fmt: skip
    return Contract(**{**terms, **changes})


def model(views=()):
    pixels = keras.Input((*([len(views)] if views else []), 8, 8, 3))
    means = keras.layers.GlobalAveragePooling2D()(pixels[:, 0] if views else pixels)
    return serving_model(keras.Model(pixels, keras.layers.Dense(2)(means)), contract(views=views))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of single images as far as the commands read it, a model of two views, images, a manifest."""
    folder = tmp_path_factory.mktemp("made")
    run = RunDir(folder / "run")
    saved_model.write(model(), contract(), run.saved_model)
    model().save(run.model)
    run.tflite().write_bytes(tflite.convert(run.saved_model, contract(), "float32"))
    contract().write(run.contract)
    (folder / "cases").mkdir()
    for at in range(2):
        cv2.imwrite(str(folder / "cases" / f"{at}.png"), np.full((16, 16, 3), 60 + 90 * at, np.uint8))
    records = [{"path": f"cases/{at}.png", "label": CLASSES[at], "group": str(at), "split": "test"} for at in range(2)]
    listed = manifest.from_records(records, folder)
    manifest.write(listed, folder / "manifest.csv")
    manifest.write(listed, run.manifest)
    found = predictions.from_arrays(
        [f"cases/{at}.png" for at in range(2)], np.full((2, 2), 0.5), CLASSES, labels=CLASSES
    )
    predictions.write(found, run.predictions)
    write_json(run.environment, {"data_root": str(folder)})
    saved_model.write(model(("green", "iodine")), contract(views=("green", "iodine")), folder / "of_views")
    return folder


@pytest.fixture
def there(made, tmp_path, monkeypatch):
    """A copy of that, as the working directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoilt(there):
    whole = (there / "run" / "model.tflite").read_bytes()
    middle = len(whole) // 3
    (there / "flipped.tflite").write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    (there / "short.tflite").write_bytes(whole[:-200])
    (there / "text.tflite").write_text("a letter")
    (there / "foreign.tflite").write_bytes(whole[: whole.index(b"PK\x03\x04")])
    (there / "broken").mkdir()
    (there / "broken" / "saved_model.pb").write_bytes(b"rubbish")
    contract().write(saved_model.contract_of(there / "broken"))
    other = contract(classes=("superficial", "koilocytotic"), positive=())
    saved_model.write(model(), other, there / "other")
    (there / "words.csv").write_text("name;color\na;b\n")
    (there / "picture.csv").write_bytes((there / "cases" / "0.png").read_bytes())
    (there / "cases" / "bad.png").write_bytes((there / "cases" / "0.png").read_bytes()[:40])
    rows = [
        {"path": f"cases/{name}.png", "label": label, "split": "test"}
        for name, label in zip(("0", "bad"), CLASSES, strict=True)
    ]
    bad = manifest.from_records(rows, there)
    manifest.write(bad, there / "bad.csv")


MODELS = {
    "none.tflite": "none.tflite: no such file or folder",
    "flipped.tflite": "flipped.tflite: damaged or changed: its model and contract are not those that were exported",
    "short.tflite": "short.tflite: truncated, or not written by",
    "text.tflite": "text.tflite: not a TFLite model",
    "foreign.tflite": "foreign.tflite: truncated, or not written by `python -m cervix_tf.export`: no contract",
    "broken": "broken: contains no digest of model and contract",
    "cases": "cases: neither a run nor a SavedModel",
}
WRONG = [
    *((evaluate, [path, "--manifest", "manifest.csv"], said) for path, said in MODELS.items()),
    *((predict, [path, "cases/0.png"], said) for path, said in MODELS.items()),
    (evaluate, ["run", "--manifest", "none.csv"], "none.csv: no such file"),
    (evaluate, ["run", "--manifest", "words.csv"], "words.csv: line 1"),
    (evaluate, ["run", "--manifest", "picture.csv"], "picture.csv: "),
    (evaluate, ["run", "--manifest", "cases"], "cases: is a folder"),
    (evaluate, ["run", "--manifest", "bad.csv"], "bad.png: "),
    (evaluate, ["run", "--manifest", "manifest.csv", "--by", "age"], "--by age: none of the 2 rows has its age"),
    (evaluate, ["other", "--manifest", "manifest.csv"], "label 'normal' is not among the classes superficial, koil"),
    (evaluate, ["of_views", "--manifest", "manifest.csv"], "no row names its view, but of_views (made up) takes cases"),
    (predict, ["run", "none.png"], "none.png: no such file or folder"),
    (predict, ["run", "manifest.csv"], "manifest.csv: "),
    (predict, ["run", "cases/bad.png"], "bad.png: "),
    (predict, ["of_views", "cases/0.png"], "0.png: is one file, but made up takes cases: give a folder of 2 images"),
    (predict, ["run/model.tflite", "cases/0.png", "--heatmap", "maps"], "heat maps need a run directory"),
    (export, ["none"], "none: no such folder"),
    (export, ["cases"], "cases/contract.json: no such file"),
    (export, ["run", "--root", "of_views"], "of_views/cases/0.png: no such file"),
    (export, ["run", "--formats", "tflite-int8"], "no row with split 'train', so there is nothing to calibrate"),
    (compare, ["run"], "at least two runs"),
    (compare, ["run", "none"], "none: no such"),
    (compare, ["run", "cases"], "cases/predictions.csv: no such file"),
    (compare, ["run", "words.csv"], "words.csv: line 1"),
    (compare, ["run", "classes.csv"], "only models of the same task can be compared"),
    (compare, ["run", "fewer.csv"], "not the same cases: 1 (cases/0.png) only in the first"),
]


@pytest.mark.parametrize(("command", "arguments", "said"), WRONG, ids=lambda value: str(getattr(value, "__name__", "")))
def test_wrong_input_ends_in_one_clear_line_and_exit_code_2(there, capfd, command, arguments, said):
    spoilt(there)
    found = predictions.read(there / "run" / "predictions.csv")
    predictions.write(found.where([False, True]), there / "fewer.csv")
    other = predictions.from_arrays(["a", "b"], np.full((2, 3), 1 / 3), ("a", "b", "c"))
    predictions.write(other, there / "classes.csv")
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    printed = capfd.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert "Traceback" not in printed.err
    assert not [path for path in there.rglob("*") if path.name.startswith(".part-")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("metrics.json", "{", "metrics.json: not readable as JSON"),
        ("metrics.json", "[]", "metrics.json: does not contain a JSON object"),
        ("predictions.csv", "id,p_a,p_b\nx,1,1\n", "predictions.csv: line 2: probabilities sum to 2"),
        ("manifest.csv", "color\nred\n", "manifest.csv: line 1"),
        ("history.csv", "", "history.csv: contains no training history"),
    ],
)
def test_a_report_names_the_broken_file_in_one_line(there, name, text, said):
    (there / "run" / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "cervix_tf.report", "run"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    *stages, error = done.stderr.splitlines()
    assert error.startswith("error: ") and said in error
    assert set(stages) <= {"writing the report ..."}  # on a slow machine


def test_an_evaluation_of_the_same_files_that_are_right_succeeds(there, capsys):
    evaluate.main(["run/model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert json.loads((there / "evaluation" / "metrics.json").read_text())["n"] == 2


PRECIOUS = [
    (evaluate, ["run", "--manifest", "manifest.csv", "-o", "."], "manifest.csv", "already exists"),
    (evaluate, ["run", "--manifest", "manifest.csv", "-o", "mine"], "mine/checklist.md", "already exists"),
    (evaluate, ["run", "--manifest", "manifest.csv", "-o", "mine.csv"], "mine.csv", "is a file, but results need"),
    (evaluate, ["run", "--manifest", "manifest.csv", "-o", "mine.csv/deep"], "mine.csv", "is a file, not a folder"),
    (compare, ["run", "run", "-o", "mine"], "mine/comparison.csv", "already exists"),
    (export, ["run", "--formats", "saved_model"], "run/saved_model/mine.txt", "which this program did not write"),
    (export, ["run", "--formats", "tflite-float16"], "run/model_float16.tflite/mine.txt", "is a folder"),
]


@pytest.mark.parametrize(("command", "arguments", "file", "said"), PRECIOUS)
def test_no_command_replaces_what_it_did_not_write(there, capfd, monkeypatch, command, arguments, file, said):
    from cervix_tf.export import runtime

    def computed(*arguments, **options):
        raise AssertionError("refused too late")

    monkeypatch.setattr(runtime, "load", computed)
    if not (there / file).exists():
        (there / file).parent.mkdir(exist_ok=True)
        (there / file).write_text("years of work")
    before = (there / file).read_bytes()
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capfd.readouterr().err
    assert (there / file).read_bytes() == before


def test_an_evaluation_may_be_done_again_into_its_folder(there, capsys):
    measured = []
    for _ in range(2):
        evaluate.main(["run/model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
        measured.append((there / "evaluation" / "metrics.json").read_bytes())
    assert measured[0] == measured[1]


def test_a_command_that_writes_into_a_run_is_refused_while_another_process_has_it(there, capsys):
    before = {path: path.stat().st_mtime_ns for path in (there / "run").iterdir()}
    with run_lock.held(there / "run"):
        for command in (lambda: export.main(["run"]), lambda: report(Path("run"))):
            with pytest.raises(SystemExit) as ended, exit_cleanly():
                command()
            assert ended.value.code == 2 and "is working there" in capsys.readouterr().err
    assert {path: at for path, at in before.items() if path.stat().st_mtime_ns != at} == {}


def test_an_export_clears_what_a_killed_one_has_left(there, capsys):
    (there / "run" / ".part-01234567-model.tflite").write_text("half")
    with pytest.raises(SystemExit):
        export.main(["run", "--root", "none"])
    assert not [path for path in (there / "run").iterdir() if path.name.startswith(".part-")]


@pytest.mark.parametrize("command", ["export", "report"])
def test_a_folder_that_is_no_run_is_not_touched(there, capsys, command):
    with pytest.raises(SystemExit), exit_cleanly():
        export.main(["cases"]) if command == "export" else report(Path("cases"))
    assert sorted(path.name for path in (there / "cases").iterdir()) == ["0.png", "1.png"]
