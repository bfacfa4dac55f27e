"""`python -m cervix_tf`: the commands that there are, and the question that each answers."""

from __future__ import annotations

COMMANDS = {
    "data import": "What is in this folder of images, as one table (a manifest)?",
    "data audit": "Is the data sound: broken, duplicate, mislabeled, leaking images?",
    "data split": "What is trained on, what is tested on, with no group in both?",
    "train": "How well does a network of the zoo learn my own classes?",
    "predict": "What does a model say of these images?",
    "evaluate": "How good is a model on this data, with intervals?",
    "compare": "Which of several models is better on the same cases, and is it chance?",
    "export": "How do I take a run's model to a server or a phone, and does it decide the same there?",
    "report": "What did a run find, on one page?",
    "models list": "Which networks are there, and where do their weights come from?",
    "doctor": "What has this machine, what is chosen on it, what would be faster, is the installation whole?",
}


def main() -> None:
    """Print one line a command."""
    width = max(map(len, COMMANDS))
    for command, question in COMMANDS.items():
        print(f"python -m cervix_tf.{command:<{width}}  {question}")
    print(f"python -m {'experiments':<{width + len('cervix_tf.')}}  Which papers are reproduced here?")


if __name__ == "__main__":
    main()
