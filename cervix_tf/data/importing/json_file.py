"""A data set's JSON file, read with bounds and with errors that name its line."""

from __future__ import annotations

import json
from pathlib import Path

from cervix_tf.data import plain_file
from cervix_tf.errors import InputError

_MOST_BYTES = 2**28


def read(path: Path) -> object:
    """What the file holds; raises `InputError` when it is no JSON in UTF-8."""
    try:
        with plain_file.opened(path, _MOST_BYTES) as file:
            return json.loads(file.read(_MOST_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; download the file again") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: not JSON ({error.msg}); download the file again") from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); download the file again") from None
