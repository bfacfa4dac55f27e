"""The same work for each of many files, by threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cervix_tf import progress

T = TypeVar("T")
Found = TypeVar("Found")
_AT_A_TIME = 256
"""Files of one task: a million tasks of one file each would queue up gigabytes."""


def found(work: Callable[[T], Found], files: Sequence[T], what: str, workers: int | None = None) -> Iterator[Found]:
    """What `work` gives for each of `files`, in order; a stage called `what` counts them.

    By `workers` threads; None = as many as Python thinks right for reading files.
    """

    def some(at: int) -> list[Found]:
        return [work(file) for file in files[at : at + _AT_A_TIME]]

    with ThreadPoolExecutor(workers) as pool:
        tasks = pool.map(some, range(0, len(files), _AT_A_TIME))
        yield from progress.counted((each for part in tasks for each in part), what, len(files), "images")
