"""The same work for each of many files, by threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cervix_tf import progress

T = TypeVar("T")
Result = TypeVar("Result")
_MOST = 256
"""Files of one task at most: a million tasks of one file each would queue up gigabytes."""
_TASKS = 1024
"""Tasks that files are divided into before one has more than a single file: all threads have work to the end."""


def results(work: Callable[[T], Result], files: Sequence[T], what: str, workers: int | None = None) -> Iterator[Result]:
    """What `work` gives for each of `files`, in order; a stage called `what` counts them.

    By `workers` threads; None = `ThreadPoolExecutor` chooses.
    """
    size = min(_MOST, max(1, len(files) // _TASKS))

    def task(start: int) -> list[Result]:
        return [work(file) for file in files[start : start + size]]

    with ThreadPoolExecutor(workers) as pool:
        tasks = pool.map(task, range(0, len(files), size))
        yield from progress.counted(itertools.chain.from_iterable(tasks), what, len(files), "images")
