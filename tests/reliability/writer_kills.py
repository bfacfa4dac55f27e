"""Kills the atomic writer before and after every call of the system that it makes; `writer_kills.py FOLDER EVERY`.

EVERY: 1 for a kill at each of these moments, n for one at every n-th. Each kill is a process of its own. Whatever the
moment, the target is the old or the new one, whole, at once or, where two folders cannot change places in one step,
after the next start; which leaves nothing else there.
"""

import builtins
import functools
import io
import itertools
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from cervix_tf import atomic, durable

CALLS = ("open", "close", "fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "remove", "scandir", "ftruncate")


class Killer:
    """Kills this process at the step of the given number: before and after each call."""

    def __init__(self, at):
        self.left = at

    def step(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call):
        @functools.wraps(call)
        def stepped(*arguments, **options):
            self.step()
            result = call(*arguments, **options)
            self.step()
            return result

        return stepped

    def opened(self, *arguments, **options):
        """A file whose writing, flushing and closing are steps, too."""
        self.step()
        file = self.open(*arguments, **options)
        self.step()
        if file.writable():
            for name in ("write", "flush", "close"):
                try:
                    setattr(file, name, self.around(getattr(file, name)))
                except AttributeError:  # of a file that takes no attributes
                    break
        return file

    def install(self):
        for name in CALLS:
            setattr(os, name, self.around(getattr(os, name)))
        self.open = io.open
        builtins.open = io.open = self.opened
        durable.exchange = self.around(durable.exchange)


def file(target, word):
    atomic.write_text(target, word * 5000)


def folder(target, word):
    with atomic.replacing(target) as part:
        (part / "variables").mkdir(parents=True)
        for name in ("saved_model.pb", "variables/data"):
            (part / name).write_text(word * 5000)


def deep_file(target, word):
    file(target / word / "deep" / "new.txt", word)


def read(target):
    """What a user finds there; None for nothing, or for nothing but what the next start clears."""
    if target.is_dir():
        files = [path for path in target.rglob("*") if path.is_file() and not path.name.startswith(".part-")]
        return {path.relative_to(target).as_posix(): path.read_text() for path in files} or None
    return target.read_text() if target.exists() else None


def killed(write, target, at):
    """Whether a process that writes `target` was killed in its step `at`, rather than ending before."""
    child = os.fork()
    if child == 0:
        Killer(at).install()
        write(target, "new")
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kills(root, every, write, *, old, exchange=durable.exchange):
    """How many kills there were."""
    target = root / "target"
    durable.exchange, in_two_steps = exchange, exchange is cannot
    whole = {}
    for word in ("old", "new"):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        write(target, word)
        whole[word] = read(target)
    for done, at in enumerate(itertools.count(1, every)):
        shutil.rmtree(root)
        root.mkdir()
        if old:
            write(target, "old")
        before = whole["old"] if old else None
        if not killed(write, target, at):
            assert read(target) == whole["new"]
            return done
        for restarted in (False, True):
            if restarted:
                atomic.clear_leftovers(root)
            there = read(target)
            between = in_two_steps and not restarted and there is None
            assert there in (before, whole["new"]) or between, f"step {at}, started again {restarted}: {there}"
        names = [path.name for path in root.rglob("*") if path.name.startswith((".part-", ".old-"))]
        assert not names, f"after step {at}: {names}"
        write(target, "new")
        assert read(target) == whole["new"], f"written again after step {at}"


def cannot(one, other):
    """What `durable.exchange` says where there is no such call."""
    return False


if __name__ == "__main__":
    root, every = Path(sys.argv[1]), int(sys.argv[2])
    found = {
        "new file": kills(root / "a", every, file, old=False),
        "file over a file": kills(root / "b", every, file, old=True),
        "file below new folders": kills(root / "c", every, deep_file, old=False),
        "new folder": kills(root / "d", every, folder, old=False),
        "folder over a folder": kills(root / "e", every, folder, old=True),
        "folder over a folder, in two steps": kills(root / "f", every, folder, old=True, exchange=cannot),
    }
    print(json.dumps(found))
