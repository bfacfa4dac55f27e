"""Names that are one to a reader though not to a computer, and the order in which people count names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

_NUMBER = re.compile(r"([0-9]+)")
_WORD = re.compile(r"[0-9]+|[^\W\d_]+")


def fold(name: str) -> str:
    """The name without case and in one Unicode form: what some file systems take for the same name."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def plain(text: str) -> str:
    """The text as it looks: without case, blanks and invisible characters, each letter and digit in one form."""
    return "".join(_seen(text).split())


def words(text: str) -> tuple[str, ...]:
    """The words and numbers in a text, numbers by their value: `Woman_012` and `woman 12` have the same."""
    return tuple(_value(word) if word[0].isdigit() else word for word in _WORD.findall(_seen(text)))


def natural(name: str) -> tuple[str | tuple[int, str], ...]:
    """Sort key by which `IMG (8)` comes before `IMG (10)`; equal for names that nobody could order."""
    parts = _NUMBER.split(_seen(name))  # text and numbers take turns, so what meets in a comparison is of one kind
    return tuple((len(_value(part)), _value(part)) if at % 2 else part for at, part in enumerate(parts))


def alike(names: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
    """The different names that `key` takes for one, a sorted list for each such name; most often none."""
    found: dict[object, list[str]] = {}
    for name in sorted(set(names)):
        found.setdefault(key(name), []).append(name)
    return [same for same in found.values() if len(same) > 1]


def _seen(text: str) -> str:
    if text.isascii():
        return text.lower()
    visible = (each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")
    return fold("".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in visible))


def _value(digits: str) -> str:
    return digits.lstrip("0") or "0"
