"""Files and folders that are either whole or not there, and that never take the place of somebody else's."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cervix_tf import durable
from cervix_tf.errors import InputError, system_code

MARKER = ".cervix_tf"
"""File in a folder that lists what this program wrote there; nothing else in it is ever replaced."""
_TITLE = "# Written by cervix_tf, which replaces the files listed here and no others."
_PART, _OLD = ".part-", ".old-"
_LONGEST = 50  # characters of the target's name in a temporary one: with these, too, it is a file name anywhere


@contextlib.contextmanager
def replacing(target: Path, *, synced: bool = True) -> Iterator[Path]:
    """A path beside `target` to write a file or folder to; renamed to `target` once the block ends well.

    The name ends as the target's does, since writers look at suffixes. When the
    block fails, what it wrote is removed and an older `target` stays as it was.
    At every moment, also of a kill or a power failure, `target` is the old or the new one, whole; without `synced` a
    power failure may spoil it, for many small files that can be made again.

    Raises `OSError` about `target` when the disk is full or the like, whatever the writer makes of it, and
    `InputError` where `check_target` does; what is found out only once the block has written (a file
    where a folder is, or the other way round) is refused then.
    """
    given, target = Path(target), Path(os.path.realpath(target))
    _recover(target)
    check_target(given, folder=target.is_dir())
    durable.make_folder(target.parent)
    part = target.with_name(_part(target.name))
    try:
        yield part
        check_target(given, folder=part.is_dir())
        if part.is_dir():
            (part / MARKER).write_text(_listing(_files(part)), encoding="utf-8")
        if synced:
            durable.sync(part)
        if target.is_dir() and any(target.iterdir()):  # such a folder cannot be renamed over
            _swap(part, target)
        else:
            part.replace(target)
        if synced:
            durable.sync_names(target.parent)
    except Exception as error:
        code = None if isinstance(error, InputError) else system_code(error)
        if code is None or part.name not in (getattr(error, "filename", None) or part.name):
            raise
        raise OSError(code, os.strerror(code), str(given)) from error  # users know the target, not the part
    finally:
        _remove(part)


def clear_leftovers(folder: Path) -> None:
    """Remove what killed writers left below `folder`: files and folders that were never renamed to their target.

    What a kill has left between two names comes back first (see `_swap`). Call this only while no other process
    writes there (see `cervix_tf.run_lock`).
    """
    for root, folders, files in os.walk(folder):
        here = Path(root)
        for name in [name for name in folders if name.startswith(_OLD)]:
            _recover(here / name.removeprefix(_OLD))
        for name in [name for name in (*folders, *files) if name.startswith(_PART)]:
            _remove(here / name)
        folders[:] = [name for name in folders if not name.startswith((_PART, _OLD))]


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 to `target`, whole or not at all."""
    with replacing(target) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)


def check_target(
    target: Path, *, folder: bool = False, inputs: Iterable[Path] = (), ours: Callable[[Path], bool] | None = None
) -> None:
    """Raise `InputError` unless a file (a whole folder, with `folder`) may be written to `target`.

    A file replaces nothing but a file, and none of `inputs`. A folder replaces nothing but an empty folder and one of
    which this program wrote every file. Where a user chooses the name, either replaces only what is empty or what
    `ours` recognizes as written by the same command. What is above `target` must be folders, the last that is there one
    to write to. Commands call this for all that they are going to write, before they compute anything.
    """
    target = Path(target)
    if target.is_dir():
        if not folder:
            raise InputError(f"{target}: is a folder; give the name of a file to write, or of one inside this folder")
        strangers = sorted(_files(target) - written(target))
        if strangers:
            raise InputError(
                f"{target}: holds {strangers[0]!r}, which this program did not write, and would be replaced as a "
                "whole; choose another name, or move that folder away"
            )
    elif target.is_file() and folder:
        raise InputError(f"{target}: is a file, but a folder is to be written here; choose another name")
    elif target.exists() and not target.is_file():
        raise InputError(f"{target}: is a device or a pipe, which cannot be replaced; give the name of a file")
    if any(target.exists() and each.exists() and target.samefile(each) for each in inputs):
        raise InputError(f"{target}: is an input of this command; choose another name for its output")
    there = bool(_files(target)) if target.is_dir() else target.is_file() and target.stat().st_size > 0
    if ours is not None and there and not ours(target):
        raise InputError(
            f"{target}: already exists and would be lost, since this command did not write it; choose another "
            "name, or move that file"
        )
    _check_writable(Path(os.path.realpath(target)).parent, target)


def check_results(folder: Path, names: Iterable[str]) -> None:
    """Raise `InputError` unless files of these `names` may be written into `folder`, which need not be there.

    Those that are there already must have been written by this program: `claim` says so to later calls.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, but results need a folder; choose another name")
    ours = written(folder)
    theirs = [name for name in names if os.path.lexists(folder / name) and name not in ours]
    if theirs:
        raise InputError(
            f"{folder / theirs[0]}: already exists, and this program did not write it; "
            "choose a new folder for the results, or move that file"
        )
    _check_writable(Path(os.path.realpath(folder)), folder)


def claim(folder: Path, names: Iterable[str]) -> None:
    """Check as `check_results` does, and note in `folder` that the files of these `names` are this program's."""
    names = set(names)
    check_results(folder, names)
    before = written(folder)
    if not names <= before:
        write_text(folder / MARKER, _listing(before | names))


def discard(folder: Path, names: Iterable[str]) -> None:
    """Remove the files of these `names` from `folder` that this program wrote there; those of others stay."""
    for name in written(folder).intersection(names):
        (folder / name).unlink(missing_ok=True)


def _swap(part: Path, target: Path) -> None:
    """Let the folders `part` and `target` change places.

    In one step where the system has it. Elsewhere the old folder is set aside first, under a name that says whose
    place it had: if a kill leaves nothing at `target` then, `_recover` puts it back.
    """
    if durable.exchange(part, target):
        return
    aside = target.with_name(f"{_OLD}{target.name}")
    target.rename(aside)
    durable.sync_names(target.parent)
    part.rename(target)
    durable.sync_names(target.parent)
    aside.rename(part)


def _recover(target: Path) -> None:
    """Bring back, or remove, the folder that a killed `_swap` set aside to make place for `target`."""
    aside = target.with_name(f"{_OLD}{target.name}")
    if not os.path.isfile(aside / MARKER):  # noqa: PTH113 (Path's own method fails where the name is too long)
        return
    if os.path.lexists(target):
        part = target.with_name(_part(target.name))
        aside.rename(part)  # first, so that what is called `aside` is whole
        _remove(part)
    else:
        aside.rename(target)


def _part(name: str) -> str:
    return f"{_PART}{uuid.uuid4().hex[:8]}-{name[-_LONGEST:]}"


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _listing(files: Iterable[str]) -> str:
    return "\n".join([_TITLE, *sorted(files)]) + "\n"


def written(folder: Path) -> set[str]:
    """The files below `folder` that its marker says are this program's; none without a marker."""
    try:
        lines = (folder / MARKER).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return set(lines[1:]) if lines[:1] == [_TITLE] else set()


def _files(folder: Path) -> set[str]:
    """Every file, link and empty folder below `folder` by its POSIX path in it, without marker and leftovers."""
    found = set()
    for root, folders, files in os.walk(folder):
        here = Path(root).relative_to(folder)
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        found |= {(here / name).as_posix() for name in (*files, *links)}
        if not folders and not files and root != str(folder):
            found.add(here.as_posix())
    return found - {MARKER}


def _check_writable(folder: Path, target: Path) -> None:
    """Raise `InputError` unless `folder`, or the nearest above it that is there, can take a new file."""
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{target}: {folder} is a file, not a folder; check the path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target}: {folder} is read-only or not yours; choose a folder that you may write to")
