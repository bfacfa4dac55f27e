"""Trainings that are killed again and again, and go on; `killed_trainings.py FOLDER SEED sigkill=N power=N two=N`.

sigkill: at random moments; power: so, too, or at a random call of the system, and what was not synced is lost; two: two
processes on one run at the same time. Every training must end with the results of one that nobody disturbed.
TensorFlow is imported once: each process is a fork.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import tiny_study
from power_failure import Disk


def forked(work, quiet=True):
    """The process id of a fork that does `work` and ends with its exit code."""
    child = os.fork()
    if child:
        return child
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    code = 1
    try:
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def code_of(child):
    """Its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def whole(folder):
    """The results of a run that nobody disturbs, and how long it takes."""
    started = time.monotonic()
    assert code_of(forked(lambda: tiny_study.main(folder))) == 0
    return tiny_study.results(folder), time.monotonic() - started


def killed_after(child, seconds):
    """Kill a process at a moment; whether it was still alive."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            assert code in (0, -signal.SIGKILL), f"ended with exit code {code}"
            return code != 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return code_of(child) == -signal.SIGKILL


def epochs_told(path):
    """Epochs that were on the disk before the kill."""
    return max((int(line) for line in path.read_text().split()), default=0) if path.exists() else 0


def kills(root, times, rng, undisturbed, power):
    """Kill so many times over as many trainings as that takes; what there was to see."""
    expected, seconds = undisturbed
    done = trainings = 0
    lost = []
    while done < times:
        trainings += 1
        folder, notes, told = root / "run", root / "notes", root / "told"
        for each in (folder, notes):
            shutil.rmtree(each, ignore_errors=True)
        told.unlink(missing_ok=True)
        os.environ["TOLD"] = str(told)
        folder.mkdir()
        while done < times:
            disk = Disk(folder, notes)
            at = int(rng.integers(1, 400)) if power and rng.random() < 0.7 else 0

            def work(disk=disk, at=at, folder=folder):
                if power:
                    disk.install(at)
                tiny_study.main(folder)

            child = forked(work)
            if not killed_after(child, 10 * seconds if at else rng.uniform(0.2, seconds)):
                break  # it has ended
            done += 1
            if power:
                lost += disk.fail(rng)
                check_epochs(folder, epochs_told(told), f"kill {done}")
        code = code_of(forked(lambda folder=folder: tiny_study.main(folder)))
        assert code == 0, f"after kill {done} the run ended with exit code {code}"
        assert tiny_study.results(folder) == expected, f"after kill {done} the results are others"
        left = [path.name for path in folder.rglob("*") if path.name.startswith((".part-", ".old-"))]
        assert not left, left
    return {"kills": done, "trainings": trainings, "lost": len(lost)}


def check_epochs(folder, told, when):
    """Nothing but the epoch that was being trained may be lost."""
    checkpoints = tiny_study.run_of(folder).checkpoints
    if told and not (checkpoints / "finished.json").exists():
        newest = max((int(path.stem.partition("-")[2]) for path in checkpoints.glob("epoch-*.npz")), default=0)
        assert newest >= told, f"{when}: {told} epochs were on the disk, now {newest}"


def two_at_once(root, times, rng, expected):
    """Two processes on one run: one is refused, naming the other, and the results are right.

    They start at the same time, or the second when the first is in an epoch; the one that has the run does not go on
    before the other has ended.
    """
    refused = 0
    for at in range(times):
        folder, said, hold = root / f"run-{at}", root / f"said-{at}", root / f"go-on-{at}"
        in_epoch = int(rng.integers(0, tiny_study.EPOCHS)) if at % 2 else 0

        def work(folder=folder, said=said, hold=f"{hold}:{in_epoch}"):
            os.environ["HOLD"] = hold
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            tiny_study.main(folder)

        children = {forked(work)}
        while at % 2 and not Path(f"{hold}-here").exists():
            time.sleep(0.01)
        children.add(forked(work))
        first, status = os.wait()
        text = said.read_text()
        assert os.waitstatus_to_exitcode(status) == 2, (
            f"pair {at}: exit code {os.waitstatus_to_exitcode(status)}, {text}"
        )
        (other,) = children - {first}
        assert f"process {other} on " in text and "is working there" in text and "Traceback" not in text, text
        hold.touch()
        assert code_of(other) == 0, f"pair {at}: {said.read_text()}"
        assert tiny_study.results(folder) == expected, f"pair {at}: the results are others"
        refused += 1
    return {"pairs": times, "refused": refused}


if __name__ == "__main__":
    root, seed = Path(sys.argv[1]), int(sys.argv[2])
    undisturbed = whole(root / "undisturbed")
    found = {"seed": seed}
    for how, _, times in (word.partition("=") for word in sys.argv[3:]):
        (root / how).mkdir()
        rng = np.random.default_rng([seed, int(times)])
        if how == "two":
            found[how] = two_at_once(root / how, int(times), rng, undisturbed[0])
        else:
            found[how] = kills(root / how, int(times), rng, undisturbed, power=how == "power")
    print(json.dumps(found), flush=True)
