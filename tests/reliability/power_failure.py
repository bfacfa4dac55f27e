"""A power failure, simulated: what a process did not make sure of is lost.

`Disk.install` notes in a process what it syncs, renames and removes below a folder. After the process was killed,
`Disk.fail` takes back, at random, the last renames and removals of each folder that was not synced since, and
truncates or blanks every file that was not synced since it was last written.
"""

import functools
import json
import os
import signal
from pathlib import Path

from cervix_tf import durable


class Disk:
    """The disk below `root`; `notes` is a folder on the same disk, outside of it."""

    def __init__(self, root, notes):
        self.root, self.notes = Path(root).resolve(), Path(notes).resolve()
        self.notes.mkdir(parents=True, exist_ok=True)

    def install(self, kill_at=0):
        """Take notes in this process from now on; kill it in its step `kill_at` (0: never)."""
        self.left, self.shadows = kill_at, 0
        self.log = os.open(self.notes / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.fsync = self._stepped(os.fsync, self._synced, after=True)
        os.rename = self._stepped(os.rename, self._renamed)
        os.replace = self._stepped(os.replace, self._renamed)
        os.unlink = self._stepped(os.unlink, self._removed)
        os.remove = self._stepped(os.remove, self._removed)
        durable.exchange = self._stepped(durable.exchange, self._exchanged)

    def _stepped(self, call, note, after=False):
        @functools.wraps(call)
        def stepped(*arguments, **options):
            self._step()
            if not after and not options:  # removals within an open folder are of leftovers: nobody misses them
                note(*arguments)
            result = call(*arguments, **options)
            if after:
                note(*arguments)
            self._step()
            return result

        return stepped

    def _step(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, *what):
        os.write(self.log, (json.dumps(what) + "\n").encode())

    def _synced(self, descriptor):
        found, path = os.fstat(descriptor), str(Path(f"/proc/self/fd/{descriptor}").readlink())
        self._note("synced", path, found.st_ino, found.st_size, found.st_mtime_ns)

    def _renamed(self, source, target):
        if self._inside(source):
            self._note("renamed", str(source), str(target), self._shadow(target))

    def _exchanged(self, one, other):
        if self._inside(one):
            self._note("exchanged", str(one), str(other), "")

    def _removed(self, path):
        if self._inside(path) and Path(path).exists():
            self._note("removed", str(path), "", self._shadow(path))

    def _inside(self, path):
        return Path(path).resolve().is_relative_to(self.root)

    def _shadow(self, path):
        """Another name of what is at `path`, so that it can come back."""
        if not Path(path).is_file():
            return ""
        self.shadows += 1
        shadow = self.notes / f"{os.getpid()}-{self.shadows}"
        os.link(path, shadow)
        return str(shadow)

    def fail(self, rng):
        """Lose what was not synced; the names of what was lost."""
        log = self.notes / "log"
        notes = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        synced, pending = {}, []
        for kind, path, *more in notes:
            if kind == "synced":
                synced[more[0]] = tuple(more[1:])
                pending = [each for each in pending if str(Path(each[1]).parent) != path]
            else:
                pending.append((kind, path, *more))
        lost = []
        for kind, path, other, shadow in reversed(_taken_back(pending, rng)):
            lost.append(f"{kind} {Path(path).name}")
            if kind == "exchanged" and Path(path).exists() and Path(other).exists():
                durable.exchange(Path(path), Path(other))
            elif kind == "renamed" and Path(other).exists() and not Path(path).exists():
                Path(other).rename(path)
            old = Path(other if kind == "renamed" else path)
            if shadow and not old.exists():
                os.link(shadow, old)
        for path in sorted(self.root.rglob("*")):
            found = path.lstat()
            if path.is_file() and synced.get(found.st_ino) != (found.st_size, found.st_mtime_ns):
                size = int(rng.integers(0, found.st_size + 1))
                content = path.read_bytes()
                path.write_bytes(content[:size] if rng.random() < 0.7 else content[:size] + bytes(len(content) - size))
                lost.append(f"content {path.name}")
        return lost


def _taken_back(pending, rng):
    """Of each folder's changes of names, which a disk makes in their order, the last ones, at random how many."""
    kept, found = {}, []
    for folder in sorted({str(Path(path).parent) for _, path, *_ in pending}):
        kept[folder] = rng.integers(0, 1 + sum(str(Path(path).parent) == folder for _, path, *_ in pending))
    for each in pending:
        folder = str(Path(each[1]).parent)
        kept[folder] -= 1
        if kept[folder] < 0:
            found.append(each)
    return found
