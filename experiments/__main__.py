"""`python -m experiments`: the studies and how to run them; `python -m experiments new NAME` begins another one."""

from __future__ import annotations

import importlib
import keyword
import pkgutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

import experiments
from cervix_tf import atomic
from cervix_tf.arguments import once
from cervix_tf.errors import InputError, exit_cleanly

FOLDER = Path(experiments.__path__[0])
TEMPLATE = "_template"


def main(arguments: Sequence[str] | None = None) -> None:
    """List the studies, or begin another one; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        tyro.extras.subcommand_cli_from_dict(
            {"list": list_, "new": new},
            prog="python -m experiments",
            description=__doc__,
            args=once(arguments) or ["list"],
        )


def list_() -> None:
    """Print each study's command and its paper."""
    for study in sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]) if module.ispkg):
        if not study.startswith("_"):
            citation = " ".join((importlib.import_module(f"experiments.{study}").__doc__ or "").split())
            print(f"python -m experiments.{study}", textwrap.indent(textwrap.fill(citation, 92), "    "), sep="\n")


def new(name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME")]) -> None:
    """Create a new study in `experiments`, which runs as it is and is ready to fill in.

    Args:
        name: name of the package: lower-case letters, digits and underscores
    """
    if not name.isidentifier() or name != name.lower() or name.startswith("_") or keyword.iskeyword(name):
        raise InputError(f"{name!r}: give lower-case letters, digits and underscores, such as smith2026")
    target = FOLDER / name
    if target.exists():
        raise InputError(f"{target}: already exists; choose another name")
    with atomic.replacing(target) as part:
        part.mkdir()
        for file in sorted((FOLDER / TEMPLATE).iterdir()):
            if file.is_file():
                (part / file.name).write_text(file.read_text(encoding="utf-8").replace(TEMPLATE, name), "utf-8")
    print(f"{target}: try python -m experiments.{name} --preset demo, then fill in what is marked TODO")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
