"""Paths without the names of people: as a run keeps them, and as its pages show them.

A run keeps `~` for the home folder, so that its files are found again and no user is named. What is published, the
report, the model card and the pages of results, has `DATA` for the folder of the images and, of any other absolute
path, its last part alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

DATA = "DATA"

# An absolute path's folders, at the start of a text or after what separates it from another word.
_FOLDERS = re.compile(r"(?:(?<=^)|(?<=[\s='\"(\[,;]))(?:[A-Za-z]:)?[/\\](?=[^\s/\\])(?:[^/\\'\"=]+[/\\])*")


def kept(text: str) -> str:
    """`text` with `~` instead of the home folder, wherever it stands in it."""
    home = str(Path("~").expanduser()) if _has_home() else ""
    return text if len(home) < 2 else _replaced(text, home, "~")  # a service's home may be the root folder


def found(text: str) -> Path:
    """The path that `kept` made `text` of."""
    path = Path(text)
    return path.expanduser() if path.parts[:1] == ("~",) and _has_home() else path


def published(text: str, data_root: str = "") -> str:
    """`text`, one value or one word of a command, without any folder outside the images' and the home folder."""
    if data_root:
        for root in {data_root, kept(data_root), str(found(data_root))}:
            text = _replaced(text, root, DATA)
    return _FOLDERS.sub("", kept(text))


def command(words: Sequence[str]) -> str:
    """A command line as a run keeps it, which a shell understands."""
    return _joined(map(kept, words))


def published_command(line: str, data_root: str = "") -> str:
    """A command line of `command`, word by word as `published`."""
    try:
        words = shlex.split(line)
    except ValueError:  # of an older run, which did not quote its words
        words = line.split()
    return _joined(published(word, data_root) for word in words)


def _has_home() -> bool:
    """False for a user whom the system does not know, as in some containers."""
    try:
        Path.home()
    except RuntimeError:
        return False
    return True


def _joined(words: Iterable[str]) -> str:
    """The words quoted where that is needed, but never the `~`, which a shell replaces only outside quotes."""
    quoted = (word if re.fullmatch(r"[\w@%+=:,./~-]+", word) else shlex.quote(word) for word in words)
    return " ".join(re.sub("^'~/", "~/'", word) for word in quoted)


def _replaced(text: str, folder: str, by: str) -> str:
    """`text` with `by` for the folder where it stands as a whole path or as the start of one."""
    return re.sub(rf"(?<![\w.~/\\]){re.escape(folder.rstrip('/') or folder)}(?=[/\\\s'\",;)\]]|$)", lambda _: by, text)
