"""The words of a command line, before they are parsed."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence

from cervix_tf.errors import InputError

_OPTION = re.compile(r"(--?[a-z][\w.-]*)(=.*)?", re.DOTALL)


def once(arguments: Sequence[str] | None = None) -> list[str]:
    """The arguments, those of this process by default, each option of which is given at most once.

    Raises `InputError` where one is repeated: the parser would take the last and drop the others without a word.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = Counter(found[1].replace("_", "-") for word in words if (found := _OPTION.fullmatch(word)))
    for name, times in given.items():
        if times > 1:
            raise InputError(f"{name} is given {times} times; give it once, followed by all its values")
    return words
