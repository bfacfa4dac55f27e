import subprocess

import pytest

from cervix_tf.doctor import __main__ as doctor
from cervix_tf.doctor import checks, machine
from cervix_tf.doctor.machine import Libraries
from cervix_tf.processor import Processor

TWO = Processor("two", frozenset({"AVX2"}), 2, 2)
FINE = Libraries()


def test_it_says_what_there_is_what_is_chosen_and_that_all_is_well(capsys):
    doctor.main([])  # loads the libraries in a process of its own
    said = capsys.readouterr().out
    for part in ("This machine", "Chosen settings", "Would be faster", "This installation"):
        assert part in said
    assert "load and train a step" in said and said.endswith("everything is in order\n")
    assert "--precision auto" in said and "oneDNN in training" in said


def test_what_is_wrong_comes_with_a_remedy_and_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(machine, "libraries", lambda: Libraries("No module named 'cv2'"))
    with pytest.raises(SystemExit) as ended:
        doctor.main([])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "No module named 'cv2': run `make venv`" in said and said.endswith("wrong: libraries\n")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "lacks an instruction"),
        ("raise ImportError('libcudart is missing')", "ImportError: libcudart is missing"),
        ("import time; time.sleep(60)", "not loaded within 1 s"),
    ],
)
def test_libraries_that_end_their_process_are_told_in_one_line(monkeypatch, code, error):
    monkeypatch.setattr(machine, "_PROBE", code)
    monkeypatch.setattr(machine, "_SECONDS", 1 if "sleep" in code else 60)
    assert error in machine.libraries().error


def test_gpus_are_those_that_tensorflow_sees(monkeypatch):
    monkeypatch.setattr(machine, "_PROBE", """print('noise'); print('{"gpus": {"H100": [9, 0]}, "cuda": true}')""")
    assert machine.libraries() == Libraries("", {"H100": (9, 0)}, True)


def test_a_driver_that_is_not_there_or_fails_has_no_gpus(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine.graphics() == []
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 9, "no driver", ""))
    assert machine.graphics() == []


@pytest.mark.parametrize(
    ("processor", "found", "graphics", "variables", "hint"),
    [
        (
            TWO,
            FINE,
            ["NVIDIA H100, 570, 80 GB"],
            {},
            "this TensorFlow has no CUDA; in the checkout: pip install -e '.[gpu]'",
        ),
        (TWO, Libraries(cuda=True), ["NVIDIA H100, 570, 80 GB"], {}, "look at its driver"),
        (TWO, FINE, [], {"TF_ENABLE_ONEDNN_OPTS": "0"}, "TF_ENABLE_ONEDNN_OPTS=0 turns oneDNN off in training"),
        (TWO, FINE, [], {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "ONEDNN_MAX_CPU_ISA=AVX2 hides"),
        (Processor("many", frozenset(), 2, 64), FINE, [], {}, "2 of 64 logical CPUs"),
        (Processor("new", frozenset({"AVX512-BF16"}), 2, 2), FINE, [], {}, "--precision auto"),
    ],
)
def test_what_would_be_faster_is_said(processor, found, graphics, variables, hint):
    assert any(hint in line for line in checks.faster(processor, found, graphics, variables))


def test_nothing_is_said_of_what_is_as_fast_as_it_gets():
    assert list(checks.faster(TWO, Libraries(gpus={"V100": (7, 0)}, cuda=True), ["V100"], {})) == []


def test_versions_other_than_the_locks_are_named(tmp_path):
    lock = tmp_path / "constraints.txt"
    lock.write_text("numpy==0.0.1 \\\n    --hash=sha256:00\npandas[excel]==0.0.1\nnot-installed==1\n")
    (versions,) = [each for each in checks.notes(FINE, lock) if each.what == "versions"]
    assert not versions.fine and [line.split()[0] for line in versions.text.split(", ")] == ["numpy", "pandas"]
    assert versions.text.endswith(" instead of 0.0.1")


def test_missing_and_unfitting_packages_are_named(monkeypatch):
    requires = ["no-such-package>=1", "numpy<1", "pytest>=1", "pandas>=99; extra == 'dev'"]
    monkeypatch.setattr(checks.importlib.metadata, "requires", lambda name: requires)
    wrong = list(checks._unmet())
    assert wrong[0] == "no-such-package is missing"
    assert wrong[1].startswith("numpy ") and wrong[1].endswith("is not <1") and len(wrong) == 2


def test_a_python_that_setup_cfg_does_not_admit_is_named(monkeypatch):
    monkeypatch.setattr(checks.platform, "python_version", lambda: "3.10.2")
    python = next(each for each in checks.installation(FINE) if each.what == "Python")
    assert not python.fine and python.text == "3.10.2" and ">=3.11" in python.remedy


def test_an_extra_says_which_of_its_packages_are_missing(monkeypatch):
    requires = ["numpy>=1", "no-such-package>=1; extra == 'federated'", "pytest>=1; extra == 'federated'"]
    monkeypatch.setattr(checks.importlib.metadata, "requires", lambda name: requires)
    (extra,) = [each for each in checks.notes(FINE) if each.what == "extra federated"]
    assert extra.text == "training between institutions: not installed (no-such-package)"


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CERVIX_TF_CACHE", str(tmp_path / "file" / "cache"))
    cache = next(each for each in checks.installation(FINE) if each.what == "cache")
    assert not cache.fine and str(tmp_path / "file" / "cache" / "images") in cache.text and cache.remedy
    monkeypatch.setenv("CERVIX_TF_CACHE", str(tmp_path / "new" / "cache"))
    assert next(each for each in checks.installation(FINE) if each.what == "cache").fine
    assert not (tmp_path / "new").exists()
