"""`python -m cervix_tf`: the commands that there are, and the question that each answers."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

COMMANDS = {
    "data import": "What is in this folder of images, as one table (a manifest)?",
    "data audit": "Is the data sound: broken, duplicate, conflictingly labeled, leaking images?",
    "data split": "What is trained on, what is tested on, with no group in both?",
    "train": "How well does a network of the zoo learn my own classes?",
    "predict": "What does a model say about these images?",
    "evaluate": "How good is a model on this data, with intervals?",
    "compare": "Which of several models is better on the same cases, and is it chance?",
    "export": "How do I take a run's model to a server or a phone, and does it decide the same there?",
    "app": "How do I screen images in a browser or on a phone, offline and without sending them anywhere?",
    "report": "What did a run find, on one page?",
    "models list": "Which networks are available, and where do their weights come from?",
    "doctor": "What hardware is here, what settings does it get, what would be faster, is the installation complete?",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m cervix_tf.<command>` with the arguments after its name; without any, list the commands."""
    command, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if command in {name.split()[0] for name in COMMANDS}:
        sys.argv = [f"cervix_tf.{command}", *rest[:-1]]
        runpy.run_module(f"cervix_tf.{command}", run_name="__main__", alter_sys=True)
        return
    if command not in ("", "-h", "--help"):
        print(f"error: {command}: no such command; python -m cervix_tf lists all", file=sys.stderr)
        sys.exit(2)
    width = max(map(len, COMMANDS))
    for command, question in COMMANDS.items():
        print(f"python -m cervix_tf.{command:<{width}}  {question}")
    print(f"python -m {'experiments':<{width + len('cervix_tf.')}}  Which papers are reproduced here?")


if __name__ == "__main__":
    main()
