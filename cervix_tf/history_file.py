"""history.csv, one row per epoch or round: read without TensorFlow, and the same text when written again."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from cervix_tf.errors import InputError


def read(path: Path) -> pd.DataFrame:
    """A training's history, to the last digit. Raises `InputError` when there is none in the file."""
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is missing or not text ({error}); train this network first") from None


def parse(text: str, path: Path) -> pd.DataFrame:
    """The history in the text of a file at `path`, which messages name. Raises `InputError`."""
    try:
        return pd.read_csv(io.StringIO(text), float_precision="round_trip")
    except ValueError as error:  # pandas' own are ValueErrors
        raise InputError(f"{path}: contains no training history ({error}); restore it, or train again") from None


def as_text(history: pd.DataFrame) -> str:
    """The history as `read` takes it."""
    return history.to_csv(index=False, lineterminator="\n")
