"""Which image of a case is which view: the one rule, for importers, evaluation and prediction.

A file name that says its view has it: `Green.jpg`, `acetic_3.png`, `IMG 12 iodine.tif`. A word that all names
share says nothing. Names that say a kind of view but no number, or other numbers (0 to 4, say), take the views
of that kind in order. Where no name says a view, the names in natural order (numbers by their value, case and
Unicode form ignored) are the views in order. A few names that say nothing, beside others that do, take what is
left if it is of one kind. Everything else is refused: names that say two kinds, more or fewer images of a kind
than views, names that nobody could order.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath

from cervix_tf.data import names
from cervix_tf.errors import InputError


def kind(view: str) -> str:
    """The view's kind: its name without a trailing number (`acetic_3` -> `acetic`)."""
    return re.sub(r"_\d+$", "", view)


def number(view: str) -> int:
    """The number at the end of a view's name; 0 without one."""
    found = re.search(r"_(\d+)$", view)
    return int(found.group(1)) if found else 0


def slots(images: Mapping[str, Sequence[str]], views: Sequence[str]) -> list[str]:
    """The image of each of `views`, from the images of each kind in their order; "" for a kind that has none.

    A kind that `views` names k times (`acetic_1` ... `acetic_5`) and that has n images is
    filled with image floor(i * n / k) in slot i: all of them when n = k, repeats when
    n < k (a stand-in, since such a case shows less than the network was designed for), an
    even choice when n > k.
    """
    wanted = [kind(view) for view in views]
    taken: Counter[str] = Counter()
    filled = []
    for name in wanted:
        some = images.get(name) or [""]
        filled.append(some[taken[name] * len(some) // wanted.count(name)])
        taken[name] += 1
    return filled


def of_some(files: Sequence[str], views: Sequence[str], where: str) -> list[str]:
    """The file of each of `views` for a case that may lack some, "" for a kind that it lacks; see `slots`.

    Of a case with as many files as views `assign` tells the order, unless each name says its kind, as it has to where
    there are fewer: seven files are not seven views where two of them are green and none is of iodine.
    Raises `InputError` as `assign` does.
    """
    kinds = {kind(view) for view in views}
    if len(files) == len(views) and not all(_told(file, kinds) for file in files):
        file_of = {view: file for file, view in assign(files, views, where).items()}
        return [file_of[view] for view in views]
    told: dict[str, list[tuple[str, str]]] = {kind(view): [] for view in views}
    untold = _untold(where, f"name each file after its view: {', '.join(views)}")
    for file in files:
        found = _told(file, told)
        if len(found) != 1:
            raise untold(f"{file!r} names {' and '.join(found) or 'no view'}, and the case may lack some")
        ((name, index),) = found.items()
        told[name].append((file, index))
    for name, some in told.items():
        if len(some) > (most := sum(kind(view) == name for view in views)):
            raise untold(f"{len(some)} files are named {name}, the model takes {most}")
    return slots({name: _in_order(some, untold) for name, some in told.items()}, views)


def assign(files: Sequence[str], views: Sequence[str], where: str) -> dict[str, str]:
    """File -> its view, for the file names of one case; `where` names their folder in messages.

    Raises `InputError` that says why it cannot be told, and the names that would tell it.
    """
    untold = _untold(where, f"call the files {', '.join(views)}, or number all of them in this order")
    kinds: dict[str, list[str]] = defaultdict(list)
    for view in views:
        kinds[kind(view)].append(view)
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    silent = []
    for file in files:
        found = _told(file, kinds)
        if len(found) > 1:
            raise untold(f"{file!r} says {' and '.join(found)}")
        for name, index in found.items():
            told[name].append((file, index))
        if not found:
            silent.append(file)
    assigned: dict[str, str] = {}
    for name, some in told.items():
        of_kind = kinds[name]
        if len(some) == len(of_kind):
            assigned |= zip(_in_order(some, untold), of_kind, strict=True)
            continue
        exact = {file: f"{name}_{index}" for file, index in some}
        if len(some) > len(of_kind) or not silent or not _one_to_one(exact, of_kind):
            raise untold(f"{len(some)} file names match {name}, expected {len(of_kind)}")
        assigned |= exact
    left = [view for view in views if view not in assigned.values()]
    if len(silent) != len(left):
        raise untold(f"there are {len(files)} images for {len(views)} views")
    if assigned and len({kind(view) for view in left}) > 1:
        raise untold(f"{silent[0]!r} does not name a view, others do, and {', '.join(left)} are left")
    return assigned | dict(zip(_in_order([(file, "") for file in silent], untold), left, strict=True))


def _untold(where: str, remedy: str) -> Callable[[str], InputError]:
    """What turns a reason why the views of a case cannot be told into the error that says so."""

    def untold(why: str) -> InputError:
        return InputError(f"{where}: cannot tell which image is which view: {why}; {remedy}")

    return untold


def _told(file: str, kinds: Iterable[str]) -> dict[str, str]:
    """The kinds of view that a file's name says, each with the number right after it, "" without one."""
    said = names.words(_CAMEL.sub(" ", PurePath(file).stem))
    found: dict[str, tuple[int, int]] = {}
    for each in kinds:
        for words in (names.words(each), *((word,) for word in _OTHER_WORDS.get(each, ()))):
            places = [at for at in range(len(said)) if words and said[at : at + len(words)] == words]
            if places:
                found[each] = (places[-1], places[-1] + len(words))
    within = [  # green within green_saline is no kind of its own
        name
        for name, (start, end) in found.items()
        if any(first <= start and end <= last and (start, end) != (first, last) for first, last in found.values())
    ]
    return {
        name: said[end] if end < len(said) and said[end].isdigit() else ""
        for name, (_, end) in found.items()
        if name not in within
    }


def _in_order(files: Sequence[tuple[str, str]], untold: Callable[[str], InputError]) -> list[str]:
    """The files by the numbers of their views where those tell them apart, else by name in natural order."""
    numbers = {index for _, index in files}
    if "" not in numbers and len(numbers) == len(files):
        return [file for file, _ in sorted(files, key=lambda one: int(one[1]))]
    ordered = sorted((names.natural(PurePath(file).stem), file) for file, _ in files)
    for (one, first), (other, second) in pairwise(ordered):
        if one == other:
            raise untold(f"{first!r} and {second!r} differ only in case, zeros or the form of letters")
    return [file for _, file in ordered]


def _one_to_one(exact: dict[str, str], views: Sequence[str]) -> bool:
    return set(exact.values()) <= set(views) and len(set(exact.values())) == len(exact)


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OTHER_WORDS = {"iodine": ("lugol",)}
"""Kind of view -> other words for it in file names."""
