"""A row that fails lets the other rows go on, so that one that does not converge costs no night."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import tensorflow as tf

from cervix_tf.errors import InputError
from cervix_tf.training import devices

Attempt = Callable[[str], AbstractContextManager[None]]
"""Name of a row -> the context in which it is trained and measured."""


@contextlib.contextmanager
def collected() -> Iterator[Attempt]:
    """What to run each row in: where one fails, that is said and the code after it goes on, to others and their tables.

    Failing is an `InputError`, such as a loss that is no number, or a network that does not fit into the device's
    memory. With several workers, which do everything together, it ends the command at once.

    Raises one `InputError` at the end, with what was wrong with each row that failed.
    """
    failed: list[str] = []

    @contextlib.contextmanager
    def attempt(row: str) -> Iterator[None]:
        try:
            yield
        except (InputError, tf.errors.ResourceExhaustedError) as error:
            if devices.worker() is not None:
                raise
            known = isinstance(error, InputError)
            said = str(error) if known else "does not fit into memory; lower --images.batch-size, or use fewer pixels"
            print(f"note: row {row} failed, the others continue: {said}", flush=True)
            failed.append(f"row {row}: {said}")

    yield attempt
    if failed:
        raise InputError("\n".join(failed))
