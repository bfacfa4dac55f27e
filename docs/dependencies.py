"""Write constraints.txt, the exact files that `make` installs, and dependencies.md, their licenses.

`python docs/dependencies.py WHAT`, by `make lock` and `make upgrade-check` or by hand:

- lock: constraints.txt anew, from the newest versions that setup.cfg admits;
- add: constraints.txt with the versions that it has, and what setup.cfg newly requires;
- licenses: dependencies.md, once everything is installed;
- upgrades: print what a new lock would change, and write it to build/upgrade/constraints.txt.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LOCK = PROJECT / "constraints.txt"
PAGE = Path(__file__).with_name("dependencies.md")
HEAD = """\
# Exact versions with the hashes of their files, for Python 3.11 to 3.13 on any system: what `make` installs.
# Written by `make lock`; `make test` must pass with it. Without make:
#   pip install --require-hashes -r constraints.txt && pip install --no-deps --no-build-isolation -e .
"""
MORE = "# What follows is for `make test`, `make docs` and federations; `make demo` does without.\n"
# Of packages for other systems than the one that wrote the page.
ELSEWHERE = {"appnope": "BSD-2-Clause", "colorama": "BSD-3-Clause"}
SHORT = 80  # some packages have the whole text of their license where its name belongs


def lock(pins: Mapping[str, str]) -> str:
    """The text of constraints.txt: the newest versions, but for those of `pins`."""
    everything = _compiled(pins, "--extra", "dev", "--extra", "federated")
    needed = set(blocks(_compiled(versions(everything))))
    found = blocks(everything)
    first, rest = ("".join(text for name, text in found.items() if (name in needed) == wanted) for wanted in (1, 0))
    return HEAD + first + MORE + rest


def versions(text: str) -> dict[str, str]:
    """Package -> version of a lock's text."""
    return dict(re.findall(r"^([\w.-]+)(?:\[.+\])?==([\w.!+-]+)", text, re.MULTILINE))


def page(text: str) -> str:
    """dependencies.md of a lock's text; of packages that are installed here, but for `ELSEWHERE`."""
    first, _, _ = text.partition(MORE)
    needed = versions(first)
    lines = [
        "# Dependencies and their licenses\n",
        "Written by `make lock` from what the installed packages say of themselves; `make test` checks it.\n",
        "| package | version | license | needed for |",
        "|---|---|---|---|",
    ]
    for name, version in versions(text).items():
        lines.append(f"| {name} | {version} | {license(name)} | {'everything' if name in needed else 'make test'} |")
    return "\n".join(lines) + "\n"


def license(name: str) -> str:
    """What an installed package calls its license."""
    try:
        found = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ELSEWHERE.get(name, "not installed here")
    said = found.get("License-Expression") or found.get("License") or ""
    classified = [
        value.rpartition(" :: ")[2] for value in found.get_all("Classifier") or [] if value.startswith("License ::")
    ]
    named = said if 0 < len(said) <= SHORT and said.upper() != "UNKNOWN" else ", ".join(classified)
    return (named or "see its files").replace("|", "or").replace("\n", " ")


def upgrades(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What differs between two locks, one line a package."""
    return [
        f"{name} {before.get(name, 'new')} -> {after.get(name, 'gone')}"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    ]


def _compiled(pins: Mapping[str, str], *extras: str) -> str:
    """What uv resolves setup.cfg, with these extras, and the build tools to; hashes included."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    settings = configparser.ConfigParser()
    settings.read(PROJECT / "setup.cfg")
    oldest = re.findall(r"3\.\d+", settings["options"]["python_requires"])[0]
    tools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["build-system"]["requires"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as kept:
        kept.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        kept.flush()
        command = [uv, "pip", "compile", "setup.cfg", "-", *extras, "--constraint", kept.name]
        command += [
            "--universal",
            "--python-version",
            oldest,
            "--fork-strategy",
            "fewest",
        ]  # one version for all systems
        command += ["--no-strip-extras"]  # pip looks for `coverage[toml]` among the hashes, not for `coverage`
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        given = "\n".join(tools)
        return subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT).stdout


def blocks(text: str) -> dict[str, str]:
    """Package -> its lines in a lock's text."""
    return {name: block for block, name in re.findall(r"^(([\w.-]+).*==.*\n(?: +.*\n)*)", text, re.MULTILINE)}


def main(what: str) -> None:
    """Do what the command line says."""
    if what not in ("lock", "add", "licenses", "upgrades"):
        sys.exit(__doc__)
    there = versions(LOCK.read_text())
    if what in ("lock", "add"):
        LOCK.write_text(lock(there if what == "add" else {}))
    elif what == "licenses":
        PAGE.write_text(page(LOCK.read_text()))
    else:
        new = PROJECT / "build" / "upgrade" / LOCK.name
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(lock({}))
        print("\n".join(upgrades(there, versions(new.read_text()))) or "nothing is newer")


if __name__ == "__main__":
    main(sys.argv[-1])
