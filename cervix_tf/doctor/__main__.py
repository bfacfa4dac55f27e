"""`python -m cervix_tf.doctor`: what this machine has, what is chosen on it, what would be faster, what is wrong."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass

import tyro

import cervix_tf
from cervix_tf import processor, shown_paths, tuning
from cervix_tf.errors import exit_cleanly


@dataclass(frozen=True)
class Options:
    """Say what this machine has, what is chosen on it, and what would be faster; check the installation.

    Ends with exit code 1 where something is wrong.
    """


def main(arguments: list[str] | None = None) -> None:
    """Do as the command line says."""
    with exit_cleanly():
        tyro.cli(Options, args=arguments, prog="python -m cervix_tf.doctor")
        from cervix_tf.doctor import checks, machine

        here, graphics = processor.here(), machine.graphics()
        _print(
            "This machine",
            {
                "processor": str(here),
                "instructions": ", ".join(sorted(here.sets)) or "not known",
                "memory": f"{machine.memory() / 1e9:.0f} GB",
                "GPU": "; ".join(graphics) or "none of NVIDIA's",
                "system": f"{platform.platform()}, Python {platform.python_version()}",
                "cervix_tf": f"{cervix_tf.__version__}, {shown_paths.kept(str(checks.PROJECT))}",
            }.items(),
        )
        print("\nLoading the libraries, some seconds ...", flush=True)
        found = machine.libraries()
        chosen = {
            "oneDNN in training": tuning.one_dnn(here, os.environ),
            "--precision auto": tuning.precision(here, found.gpus),
            "--threads 0": tuning.Choice(str(here.cores), "as many as cores for this process"),
        }
        _print("\nChosen here", ((name, str(choice)) for name, choice in chosen.items()))
        hints = list(checks.faster(here, found, graphics, os.environ)) or ["nothing that is known"]
        _print("\nWould be faster", ((str(at), hint) for at, hint in enumerate(hints, 1)))
        findings = [*checks.installation(found), *checks.notes(found)]
        _print("\nThis installation", ((each.what, _told(each)) for each in findings))
        wrong = [each.what for each in checks.installation(found) if not each.fine]
        print(f"\n{'wrong: ' + ', '.join(wrong) if wrong else 'all is well'}")
        if wrong:
            raise SystemExit(1)


def _told(finding: tuple[str, bool, str, str]) -> str:
    _, fine, text, remedy = finding
    return text if fine else f"{text}: {remedy}"


def _print(title: str, lines: Iterable[tuple[str, str]]) -> None:
    print(title, *(f"  {name:<20} {text}" for name, text in lines), sep="\n", flush=True)


if __name__ == "__main__":
    main()
