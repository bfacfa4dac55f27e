"""Broken and hostile models: every command ends soon, with exit code 2 and one message, never by a signal.

The corpus is generated from `SEED`; a sample of it runs with every test, all of it with `-m reliability`.
"""

from __future__ import annotations

import json
import random
import selectors
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cervix_tf.metrics import neighbors
from tests.reliability.broken_models import CLASSES, CONTRACT, Case, corpus, write_run

SEED = 17
SAMPLE = 15
SECONDS = 10
GIGABYTES = 4


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """Two finished runs: `run`, which gives probabilities, and `near`, which gives embeddings and has neighbors."""
    folder = tmp_path_factory.mktemp("sound")
    write_run(folder / "run", CONTRACT, 2)
    points = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    fitted = neighbors.fit(points, np.array([0, 1] * 3, np.int32), CLASSES, 3)
    near = write_run(folder / "near", replace(CONTRACT, neighbors=fitted.digest), 3)
    neighbors.write(fitted, near.neighbors)
    return folder


WORKER = r"""
import importlib, json, os, re, sys, tempfile, time
import cv2, keras, pandas, ai_edge_litert.interpreter  # what is imported once is not a command's time

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    module, arguments = json.loads(line)
    main = importlib.import_module(module).main
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as printed:
        os.dup2(said.fileno(), 2)
        os.dup2(printed.fileno(), 1)
        begin, code, error = time.monotonic(), 0, ""
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
        except BaseException as raised:
            error = f"Traceback: {type(raised).__name__}: {raised}"
        took = time.monotonic() - begin
        sys.stdout.flush(), sys.stderr.flush()
        said.seek(0), printed.seek(0)
        print(json.dumps({
            "code": code, "error": error, "seconds": took, "printed": printed.read().decode(errors="replace"),
            "said": said.read().decode(errors="replace"),
            "gigabytes": int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 2**20,
        }), file=answers, flush=True)
"""


class Commands:
    """Commands run one after the other in a process of their own, which is started again when one ends or hangs it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def run(self, module: str, arguments: list[str]) -> str:
        """What is wrong with how the command ended; "" when it ended as it should."""
        if self.process is None:
            self.process = self._started()
        answer = self._asked(module, arguments, SECONDS)
        if answer is None:
            self.process.kill()
            code = self.process.wait()
            self.process = None
            return f"no answer in {SECONDS} s, or ended by signal {-code}"
        lines = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
        problems = {
            f"exit code {answer['code']}": answer["code"] != 2,
            answer["error"]: bool(answer["error"]),
            f"{len(lines)} messages: {answer['said'][-300:]}": len(lines) != 1,
            f"not readable: {lines}": any(not line.isprintable() or len(line) > 1500 for line in lines),
            f"printed {answer['printed'][:100]}": bool(answer["printed"]),
            f"{answer['gigabytes']:.1f} GB": answer["gigabytes"] > GIGABYTES,
        }
        return "; ".join(problem for problem, holds in problems.items() if holds)

    def _started(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process = process
        self._asked("cervix_tf.predict.__main__", ["none", "none"], 120)
        return process

    def _asked(self, module: str, arguments: list[str], seconds: float) -> dict | None:
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([module, arguments]) + "\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(seconds) else ""
        return json.loads(line) if line else None

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def wrong(cases: list[Case], sound: Path, folder: Path) -> list[str]:
    """The cases that did not end as they should, each with why."""
    commands, found = Commands(), []
    try:
        for at, case in enumerate(cases):
            place = shutil.copytree(sound, folder / str(at))
            case.break_(place)
            arguments = {
                "predict": [case.model, "run/2.png"],
                "evaluate": [case.model, "--manifest", "run/manifest.csv", "-o", "out", "--resamples", "100"],
                "export": [case.model, "--formats", "tflite-float32", "--repeats", "1"],
            }[case.command]
            paths = [str(place / each) if "/" in each or each in ("run", "out") else each for each in arguments]
            if problem := commands.run(f"cervix_tf.{case.command}.__main__", paths):
                found.append(f"{case.name} ({case.command}): {problem}")
            shutil.rmtree(place)
    finally:
        commands.close()
    return found


def test_a_sample_of_broken_models_ends_soon_with_one_message(sound, tmp_path):
    cases = random.Random(SEED).sample(corpus(SEED), SAMPLE)
    problems = wrong(cases, sound, tmp_path)
    assert not problems, "\n".join(problems)


@pytest.mark.reliability
def test_every_broken_model_ends_soon_with_one_message(sound, tmp_path):
    cases = corpus(SEED)
    assert len({case.name for case in cases}) == len(cases) >= 60
    begin = time.monotonic()
    problems = wrong(cases, sound, tmp_path)
    print(f"{len(cases)} broken models of seed {SEED}: {len(problems)} problems, {time.monotonic() - begin:.0f} s")
    assert not problems, "\n".join(problems)


def test_the_sound_models_that_they_come_from_are_accepted(sound, capsys):
    from cervix_tf.predict import __main__ as predict

    for model in ("run", "run/model.tflite", "run/saved_model", "run/model.keras", "near", "near/model.tflite"):
        predict.main([str(sound / model), str(sound / "run" / "2.png")])
    assert capsys.readouterr().out.count("most probable") == 6
