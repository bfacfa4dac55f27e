"""`python -m cervix_tf.doctor`: what hardware there is, what is chosen for it, what would be faster, what is wrong."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tyro

from cervix_tf import processor, progress, shown_paths, tuning
from cervix_tf.arguments import once
from cervix_tf.doctor import checks, machine
from cervix_tf.doctor.checks import Finding
from cervix_tf.errors import exit_cleanly
from cervix_tf.version import __version__


@dataclass(frozen=True)
class Options:
    """Print the hardware found, the settings chosen for it and what would be faster; check the installation.

    Ends with exit code 1 if something is wrong.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Do as the command line says."""
    with exit_cleanly():
        tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.doctor")
        here, graphics = processor.here(), machine.graphics()
        memory = machine.memory()
        _print(
            "This machine",
            {
                "processor": str(here),
                "instructions": ", ".join(sorted(here.sets)) or "not known",
                "memory": f"{memory / 1e9:.0f} GB" if memory else "not known",
                "GPU": "; ".join(graphics) or "none from NVIDIA",
                "system": f"{platform.platform()}, Python {platform.python_version()}",
                "cervix_tf": f"{__version__}, {shown_paths.kept(str(checks.PROJECT))}",
            }.items(),
        )
        with progress.stage("loading the libraries"):
            found = machine.libraries()
        chosen = {
            "oneDNN in training": tuning.one_dnn(here, os.environ),
            "--precision auto": tuning.precision(here, found.gpus),
            "--threads 0": tuning.Choice(str(here.cores), "one for each core that this process may use"),
        }
        _print("\nChosen settings", ((name, str(choice)) for name, choice in chosen.items()))
        hints = list(checks.faster(here, found, graphics, os.environ)) or ["nothing known"]
        _print("\nWould be faster", ((str(at), hint) for at, hint in enumerate(hints, 1)))
        needed = list(checks.installation(found))
        _print("\nThis installation", ((each.what, _text(each)) for each in [*needed, *checks.notes(found)]))
        wrong = [each.what for each in needed if not each.fine]
        print(f"\n{'wrong: ' + ', '.join(wrong) if wrong else 'everything is in order'}")
        if wrong:
            raise SystemExit(1)


def _text(finding: Finding) -> str:
    return finding.text if finding.fine else f"{finding.text}: {finding.remedy}"


def _print(title: str, lines: Iterable[tuple[str, str]]) -> None:
    print(title, *(f"  {name:<20} {text}" for name, text in lines), sep="\n", flush=True)


if __name__ == "__main__":
    main()
