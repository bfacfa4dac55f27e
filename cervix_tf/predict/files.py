"""Which image files make one input of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cervix_tf.data.images import SUFFIXES
from cervix_tf.errors import InputError
from cervix_tf.export.contract import Contract


def inputs_of(paths: Sequence[Path], contract: Contract) -> list[tuple[str, list[str]]]:
    """Name and image files of every input that `paths` stand for, in order.

    A model of single images takes image files and folders of them, subfolders included.
    A model of several views takes case folders, or folders of case folders; the
    images of a case, sorted by name, are its views in the contract's order.

    Raises `InputError` for a path that is missing, holds no image, or does not fit the model.
    """
    found: list[tuple[str, list[str]]] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder: check the path")
        found += _cases(path, contract) if contract.views else _images(path)
    return found


def _images(path: Path) -> list[tuple[str, list[str]]]:
    if not path.is_dir():
        return [(str(path), [str(path)])]
    files = sorted(file for file in path.rglob("*") if _is_image(file))
    if not files:
        raise InputError(f"{path}: no image in this folder ({', '.join(SUFFIXES)}); check the path")
    return [(str(file), [str(file)]) for file in files]


def _cases(path: Path, contract: Contract) -> list[tuple[str, list[str]]]:
    needed = f"a folder of {len(contract.views)} images, by name in the order {', '.join(contract.views)}"
    if not path.is_dir():
        raise InputError(f"{path}: is one file, but {contract.task} takes cases: give {needed}")
    files = sorted(file for file in path.iterdir() if _is_image(file))
    if not files:
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
        if not folders:
            raise InputError(f"{path}: no image in this folder; give {needed}")
        return [case for folder in folders for case in _cases(folder, contract)]
    if len(files) != len(contract.views):
        raise InputError(f"{path}: holds {len(files)} images, but {contract.task} takes {needed}")
    return [(str(path), [str(file) for file in files])]


def _is_image(file: Path) -> bool:
    # A link that leads nowhere, a pipe and the like are refused when they are read, not passed over.
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir()
