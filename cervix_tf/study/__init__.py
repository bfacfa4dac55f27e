"""The life of a study, told once: command line, rows, data, training, evaluation, deployment, report.

Plain functions that take the values they use. A paper's package keeps what is the paper's: its numbers, its
networks and losses, its splits, its published tables, and what only it measures.
"""

from cervix_tf.study.command import Needs, Preset, RunRequest, Study, main

__all__ = ["Needs", "Preset", "RunRequest", "Study", "main"]
