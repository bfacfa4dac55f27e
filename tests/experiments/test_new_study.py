"""A sixth paper, written from the template in a copy of `experiments`: its demo runs, the library is not touched."""

import hashlib
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cervix_tf
import experiments
from cervix_tf.run_dir import RunDir
from experiments.__main__ import main

LIBRARY = Path(cervix_tf.__path__[0])


def digest_of_the_library():
    whole = hashlib.sha256()
    for file in sorted(LIBRARY.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    for package in ("__init__.py", "__main__.py", "_template"):
        source = Path(experiments.__path__[0]) / package
        target = folder / "experiments" / package
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    return folder


def python(checkout, *words):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=checkout, capture_output=True, text=True, check=False, timeout=600
    )


def test_a_new_study_runs_its_demo_as_it_was_written_and_is_listed(checkout, monkeypatch):
    before = digest_of_the_library()
    written = python(checkout, "experiments", "new", "smith2026")
    assert written.returncode == 0 and "python -m experiments.smith2026 --preset demo" in written.stdout
    assert "experiments.smith2026" in python(checkout, "experiments").stdout
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(experiments, "__path__", [str(checkout / "experiments")])
    monkeypatch.setattr(sys, "argv", ["smith2026", "--preset", "demo", "--tables", "1", "--only", "small"])
    runpy.run_module("experiments.smith2026", run_name="__main__")  # in this process, where TensorFlow is loaded
    out = RunDir(checkout / "saved_models" / "smith2026" / "demo")
    for path in (out.metrics, out.predictions, out.contract, out.model_card, out.saved_model, out.tflite(), out.report):
        assert path.exists(), path
    assert json.loads(out.metrics.read_text())["metrics"]["accuracy"]["value"] > 0.3  # five classes: chance is 0.2
    (table,) = json.loads(out.tables.read_text())
    assert table["rows"][0]["ours"] and table["rows"][1]["ours"] is None
    assert digest_of_the_library() == before


@pytest.mark.parametrize(
    ("name", "words"), [("Smith", "lower-case"), ("a-b", "lower-case"), ("_x", "lower-case"), ("class", "lower-case")]
)
def test_a_name_that_is_no_package_is_refused(name, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["new", name])
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_a_study_that_is_there_is_not_written_over(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["new", "cvm_cervix"])
    assert ended.value.code == 2 and "already exists" in capsys.readouterr().err
