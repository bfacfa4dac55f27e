"""A row, data set or seed that fails lets the others go on, so that one that does not converge costs no night."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import tensorflow as tf

from cervix_tf.errors import InputError
from cervix_tf.training import devices

Attempt = Callable[[str], AbstractContextManager[None]]
"""Name of a row -> the context in which it is trained and measured."""


@contextlib.contextmanager
def collected(kind: str = "row") -> Iterator[Attempt]:
    """What to run each row in: where one fails, that is said and the code after it goes on, to others and their tables.

    `kind` says what they are, where they are no rows. Failing is an `InputError`, such as a loss that is no number, or
    a network that does not fit into the device's memory. With several workers, which do everything together, it ends
    the command at once.

    Raises one `InputError` at the end, with what was wrong with each that failed.
    """
    failed: list[str] = []

    @contextlib.contextmanager
    def attempt(name: str) -> Iterator[None]:
        try:
            yield
        except (InputError, tf.errors.ResourceExhaustedError) as error:
            if devices.worker() is not None:
                raise
            known = isinstance(error, InputError)
            said = str(error) if known else "does not fit into memory; lower --images.batch-size, or use fewer pixels"
            print(f"note: {kind} {name} failed, the others continue: {said}", flush=True)
            failed.extend(f"{kind} {name}: {line}" for line in said.split("\n"))

    yield attempt
    if failed:
        raise InputError("\n".join(failed))


def each(kind: str, several: Mapping[str, Callable[[], object]]) -> None:
    """Do each of `several` (by name), as `collected` does rows; one alone fails as it would without."""
    if len(several) == 1:
        next(iter(several.values()))()
        return
    with collected(kind) as attempt:
        for name, do in several.items():
            with attempt(name):
                do()
