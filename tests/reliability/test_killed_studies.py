"""Real studies and the commands for their runs, killed at random moments: the same results as undisturbed.

Half an hour and more on two idle cores: only with `make reliability`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SEED, KILLS, OF_A_COMMAND = 20260117, 10, 2
pytestmark = pytest.mark.reliability

SMALL = ("--images.height", "32", "--images.width", "32")
STUDIES = {
    "cvm_cervix": ("--main", "resnet18", "--synthetic-cells", "16", "--optimizer.epochs", "4", "--timed-passes", "2"),
    "federated_ssl": (
        *("--synthetic-women", "40", "--synthetic-labeled", "12", "--batch-sizes", "8", "--local-epochs", "1"),
        *("--ssl.epochs", "2", "--federation.rounds", "3", "--fine-tuning.epochs", "2"),
    ),
    "metric_learning": (
        *("--networks", "mobilenet", "--main", "mobilenet", "--synthetic-women", "60", "--val1-share", "0.3"),
        *("--fine-tuning.epochs", "2", "--batch-hard.epochs", "3", "--batches.images", "2"),
    ),
    "mobilenetv2_ensemble": (
        *(word for row in ("acetic", "green", "iodine", "ensemble") for word in (f"--{row}.epochs", "3")),
        *("--synthetic-visits", "36", "--images.batch-size", "8", "--feature-copies", "2", "--timed-passes", "2"),
        *("--images.height", "64", "--images.width", "96"),  # smaller, its classes are ties, which an export may flip
    ),
    "resnet50_types": ("--synthetic-women", "60", "--optimizer.epochs", "4"),
}
"""Each study's smallest run of any use; it has to work, not to learn."""


def python(folder, *words):
    """A command in `folder`, all it says to `folder`/said."""
    root = str(Path(__file__).parents[2])
    with (folder / "said").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", *map(str, words)],
            cwd=folder,
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )


def ended(process, folder):
    assert process.wait() == 0, (folder / "said").read_text()[-4000:]


def killed(process, seconds):
    """Whether a process was killed after so many seconds, rather than ending before."""
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait() == -signal.SIGKILL
    assert code == 0
    return False


def undisturbed(folder, *words):
    """How long a command takes."""
    folder.mkdir()
    started = time.monotonic()
    ended(python(folder, *words), folder)
    return time.monotonic() - started


def results(folder, *names):
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for name in names for path in folder.rglob(name)}
    assert found
    return found


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_that_is_killed_again_and_again_ends_with_the_same_metrics_and_predictions(study, tmp_path):
    words = (f"experiments.{study}", "--preset", "demo", "--out", "runs", *SMALL, *STUDIES[study])
    seconds = undisturbed(tmp_path / "whole", *words)
    expected = results(tmp_path / "whole", "metrics.json", "predictions*.csv")
    generator, done = random.Random(SEED), 0
    folder = tmp_path / "killed"
    while done < KILLS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        while done < KILLS and killed(python(folder, *words), generator.uniform(0, seconds)):
            done += 1
        ended(python(folder, *words), folder)
        assert results(folder, "metrics.json", "predictions*.csv") == expected
        assert not [path for path in folder.rglob("*") if path.name.startswith((".part-", ".old-"))]
        assert "Traceback" not in (folder / "said").read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished run in it."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    undisturbed(folder, f"experiments.{STUDY}", "--preset", "demo", "--out", "runs", *SMALL, *STUDIES[STUDY])
    shutil.copy(folder / RUN / "predictions.csv", folder / "other.csv")
    return folder


STUDY = "cvm_cervix"
RUN = f"runs/{STUDY}/demo"
DATA = f"{RUN}/data"
COMMANDS = {
    "import": (("cervix_tf.data", "import", "folder", f"{RUN}/data", "-o", "found.csv"), "found.csv"),
    "audit": (("cervix_tf.data", "split", f"{RUN}/manifest.csv", "-o", "split.csv"), "split.csv"),
    "show": (
        ("cervix_tf.data", "show", f"{RUN}/manifest.csv", "--root", f"{RUN}/data", "-o", "sheet.png"),
        "sheet.png",
    ),
    "export": (("cervix_tf.export", RUN, "--formats", "saved_model", "tflite-float32"), "model.tflite"),
    "evaluate": (
        ("cervix_tf.evaluate", RUN, "--manifest", f"{RUN}/manifest.csv", "--root", DATA, "-o", "evaluation"),
        "metrics.json",
    ),
    "compare": (("cervix_tf.compare", RUN, "other.csv", "-o", "comparison"), "comparison.csv"),
    "predict": (("cervix_tf.predict", RUN, DATA, "--heatmap", "maps"), "*.png"),
    "report": (("cervix_tf.report", RUN), "report.html"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_killed_and_given_again_writes_what_it_writes_undisturbed(command, finished, tmp_path):
    words, name = COMMANDS[command]
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    for each in (whole, folder):
        shutil.copytree(finished, each)
    started = time.monotonic()
    ended(python(whole, *words), whole)
    seconds, expected = time.monotonic() - started, results(whole, name)
    generator = random.Random(SEED)
    for _ in range(OF_A_COMMAND):
        killed(python(folder, *words), generator.uniform(0.3, 1) * seconds)
    ended(python(folder, *words), folder)
    assert results(folder, name) == expected
    assert not [path for path in (folder / RUN).rglob("*") if path.name.startswith((".part-", ".old-"))]
