"""Which image files make one input of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cervix_tf.contract import Contract
from cervix_tf.data import images, views, walk
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

Input = tuple[str, list[str]]
"""Name and image files."""


def inputs_of(paths: Sequence[Path], contract: Contract, left_out: dict[str, str] | None = None) -> list[Input]:
    """Name and image files of every input that `paths` stand for, in order.

    A model of single images takes image files and folders of them, subfolders included.
    A model of several views takes case folders, or folders of case folders; `views` says which image of a case is
    which view. Where the contract lets views be missing, `images.MISSING` stands for those.
    What is called like an image in a folder of single ones and cannot be read, such as a .heic file, is refused; with
    `left_out` it is left out, and the reason noted there by its name.

    Raises `InputError` for a path that is missing, holds no image or does not fit the model, and for a case whose
    file names leave open which view is which.
    """
    found: list[Input] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder: check the path")
        if not path.is_dir() and not path.is_file():
            raise InputError(f"{path}: is a pipe or a device, not an image; give files or folders")
        found += _cases(path, contract) if contract.views else _images(path, left_out)
    return found


def sound(found: Sequence[Input]) -> tuple[list[Input], dict[str, str]]:
    """The inputs whose images can all be read, and why each of the others is left out, by its name.

    Raises `InputError` for files that are missing or may not be read, which are not damaged, and when no input is left.
    """
    kept: list[Input] = []
    left_out: dict[str, str] = {}
    files = [file for _, each in found for file in each if file != images.MISSING]
    problems = {file: problem for file, problem in zip(files, images.unreadable(files), strict=True) if problem}
    images.refuse([problem for problem in problems.values() if problem.kind in images.NOT_SEEN])
    for name, each in found:
        reasons = [str(problems[file]) for file in each if file in problems]
        if reasons:
            left_out[name] = "; ".join(reasons)
        else:
            kept.append((name, each))
    if not kept:
        raise InputError(f"none of {len(found)} inputs can be read; the first: {next(iter(left_out.values()))}")
    return kept, left_out


def _images(path: Path, left_out: dict[str, str] | None) -> list[Input]:
    if not path.is_dir():
        return [(str(path), [str(path)])]
    files = [path / name for name in _images_in(path, left_out)]
    if not files:
        raise InputError(f"{path}: no image in this folder ({', '.join(walk.SUFFIXES)}); check the path")
    return [(str(file), [str(file)]) for file in files]


def _cases(path: Path, contract: Contract) -> list[Input]:
    count = f"1 to {len(contract.views)}" if contract.missing_views else len(contract.views)
    needed = f"a folder of {count} images, by name in the order {', '.join(contract.views)}"
    if not path.is_dir():
        raise InputError(f"{path}: is one file, but {contract.task} takes cases: give {needed}")
    below = _images_in(path)
    names = [name for name in below if "/" not in name]
    if not names:
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not walk.strange((folder.name,)))
        if not folders:
            raise InputError(f"{path}: no image in this folder; give {needed}")
        return [case for folder in folders for case in _cases(folder, contract)]
    if len(names) < len(below):
        deeper = next(name for name in below if "/" in name)
        raise InputError(
            f"{path}: holds images ({names[0]}) and folders of images ({deeper}), which leaves open what one case is; "
            "give the case folders themselves, or move one of the two elsewhere"
        )
    if len(names) != len(contract.views) and not (contract.missing_views and len(names) < len(contract.views)):
        raise InputError(f"{path}: holds {amount(len(names), 'image')}, but {contract.task} takes {needed}")
    if contract.missing_views:
        in_order = views.of_some(names, contract.views, str(path))
        return [(str(path), [str(path / name) if name else images.MISSING for name in in_order])]
    file_of = {view: file for file, view in views.assign(names, contract.views, str(path)).items()}
    return [(str(path), [str(path / file_of[view]) for view in contract.views])]


def _images_in(path: Path, left_out: dict[str, str] | None = None) -> list[str]:
    """The images below a folder, relative to it; what is called like one and is none is refused or noted in `left_out`,
    thumbnails are passed over."""
    names, others = walk.images(path)
    for name, reason in others:
        if walk.strange(PurePosixPath(name).parts):
            continue
        problem = f"{path / name}: {reason}"
        if left_out is None:
            raise InputError(problem)
        left_out[str(path / name)] = problem
    return names
