"""Parts of a manifest: as the source prescribes, random by class, or stratified with no group in two parts.

The group is `group`; where it is empty, `case`; where that is empty too, the image
itself. Rows that share a group or a case are never parted (a case that holds images of
two groups ties these groups together).

Rows are sorted by path before anything is drawn, and parts come sorted by path, so a
split depends on what the manifest holds and on the seed, not on the order of its rows.
Unlabeled rows are split like a class of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cervix_tf.data import manifest as manifests
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError
from cervix_tf.wording import amount

_USUAL = ("train", "validation", "test")
_NAMED_IN_ERRORS = 5


def prescribed(manifest: Manifest) -> dict[str, Manifest]:
    """The parts that the `split` column names: train, validation, test, then others by name.

    Rows whose split is empty come last, under "". Whether the parts share groups is
    the source's doing: ask `check_disjoint`. Raises `InputError` when no row has a split.
    """
    names = set(manifest.rows["split"])
    if not names - {""}:
        raise InputError("the manifest's split column is empty; fill it with `python -m cervix_tf.data split`")
    order = [name for name in _USUAL if name in names]
    order += sorted(names - set(_USUAL) - {""}) + ([""] if "" in names else [])
    ordered = _by_path(manifest)
    return {name: ordered.part(name) for name in order}


def random_by_class(manifest: Manifest, fractions: Mapping[str, float], seed: int) -> dict[str, Manifest]:
    """Parts drawn at random within each class, groups ignored, as published papers do: they may leak.

    `fractions`, name -> share of the rows, add up to 1. Each class is cut exactly: its
    counts differ from fraction x rows by less than one row (largest remainder).
    """
    _check_fractions(fractions)
    ordered = _by_path(manifest)
    names = list(fractions)
    part = np.empty(len(ordered), dtype=object)
    rng = np.random.default_rng(seed)
    labels = ordered.rows["label"].to_numpy()
    for label in sorted(set(labels)):
        members = rng.permutation(np.flatnonzero(labels == label))
        counts = _largest_remainder(len(members), [fractions[name] for name in names])
        part[members] = np.repeat(np.array(names, dtype=object), counts)
    return _parts(ordered, part, names)


def grouped(manifest: Manifest, fractions: Mapping[str, float], seed: int) -> dict[str, Manifest]:
    """Parts that share no group and have nearly the manifest's shares of each class.

    Groups come in random order, those with several labels first; each goes to the part
    that lacks most rows of the group's labels. For groups of one label this keeps every
    part within (parts - 1) x the largest group of fraction x rows, class by class; large
    groups are as likely in a small part as their number allows. Where a part got nothing of a
    class, one group of it is moved there, if that leaves no other part without a class.

    Raises `InputError` when a part would stay empty.
    """
    _check_fractions(fractions)
    ordered = _by_path(manifest)
    names = list(fractions)
    groups = group_numbers(ordered)
    labels, classes = np.unique(ordered.rows["label"].to_numpy(dtype=str), return_inverse=True)
    counts = np.zeros((groups.max() + 1, classes.max() + 1))  # rows of each group and class
    np.add.at(counts, (groups, classes), 1)
    lacking = np.outer([fractions[name] for name in names], counts.sum(0))
    weights = 1 / counts.sum(0)  # a row of a rare class counts for more

    chosen = np.empty(len(counts), dtype=int)
    order = np.random.default_rng(seed).permutation(len(counts))
    for unit in sorted(order, key=lambda unit: -np.count_nonzero(counts[unit])):
        chosen[unit] = np.argmax(lacking @ (counts[unit] * weights))
        lacking[chosen[unit]] -= counts[unit]
    _complete(chosen, counts, [at for at, label in enumerate(labels) if label], lacking)
    parts = _parts(ordered, np.array(names, dtype=object)[chosen[groups]], names)
    empty = [name for name, part in parts.items() if not len(part)]
    if empty:
        raise InputError(
            f"part {empty[0]!r} gets no rows: too few groups ({len(counts)}) for "
            f"{_shares(fractions)}; ask for fewer parts or a larger share"
        )
    return parts


def _complete(chosen: np.ndarray, counts: np.ndarray, classes: Iterable[int], lacking: np.ndarray) -> None:
    """Give each part that lacks a class a group of it, where another part can spare one without losing a class.

    `chosen` is the part of each group and is changed; `counts` are the rows of each group and class, `lacking` those
    that each part has too few of, (parts, classes). The part furthest above its share gives its smallest such group.
    """
    parts = range(len(lacking))
    for label in classes:
        for part in parts:
            if (counts[chosen == part, label] > 0).any():
                continue
            groups_of = np.array([((counts > 0) & (chosen == each)[:, None]).sum(0) for each in parts])
            spare = [
                (lacking[chosen[unit], label], counts[unit].sum(), unit)
                for unit in np.flatnonzero(counts[:, label])
                if (groups_of[chosen[unit]][counts[unit] > 0] > 1).all()
            ]
            if spare:
                _, _, unit = min(spare)
                lacking[chosen[unit]] += counts[unit]
                lacking[part] -= counts[unit]
                chosen[unit] = part


def folds(manifest: Manifest, k: int, seed: int) -> list[tuple[Manifest, Manifest]]:
    """`k` pairs (train, test), stratified, no group in both; each group is in exactly one test part.

    Raises `InputError` when a class has fewer than `k` groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if k < 2:
        raise InputError(f"{k} folds: cross-validation needs at least 2")
    ordered = _by_path(manifest)
    groups = pd.Series(group_numbers(ordered))
    labels = ordered.rows["label"]
    if groups.nunique() < k:
        raise InputError(f"{k} folds: only {groups.nunique()} groups; ask for at most that many folds")
    for label, count in groups.groupby(labels).nunique().items():
        if label and count < k:
            raise InputError(
                f"{k} folds: class {label!r} has only {amount(count, 'group')}; ask for at most {amount(count, 'fold')}"
            )
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    pairs = []
    for _, test in splitter.split(labels, labels, groups):
        tested = pd.Series(np.isin(np.arange(len(ordered)), test))
        pairs.append((ordered.where(~tested), ordered.where(tested)))
    return pairs


def check_disjoint(parts: Mapping[str, Manifest]) -> None:
    """Raise `InputError` when two parts share a group, a case or an image; names them and counts all."""
    homes: dict[tuple[str, str], dict[str, int]] = {}
    for name, part in parts.items():
        for kind in ("group", "case", "path"):
            values = part.rows[kind]
            for value, count in values[values != ""].value_counts(sort=False).items():
                homes.setdefault((kind, str(value)), {})[name] = count
    shared = [(kind, value, where) for (kind, value), where in homes.items() if len(where) > 1]
    if not shared:
        return
    kind = shared[0][0]  # group before case before path: the widest first
    same = sorted((value, where) for other, value, where in shared if other == kind)
    noun = {"group": "group", "case": "case", "path": "image"}[kind]
    lines = [
        f"{noun} {value!r} is in "
        + " and in ".join(f"{name} ({amount(count, 'row')})" for name, count in where.items())
        for value, where in same[:_NAMED_IN_ERRORS]
    ]
    lines.append(
        f"{amount(len(same), noun)} {'is' if len(same) == 1 else 'are'} shared by parts, which leaks test images into "
        "training; split with `python -m cervix_tf.data split MANIFEST --by group -o NEW_MANIFEST` or fix the columns"
    )
    raise InputError("\n".join(lines))


def copies(parts: Mapping[str, Manifest]) -> list[str]:
    """One sentence on each two parts that have files of the same bytes, by the manifest's sha256; most often none."""
    first: dict[str, tuple[str, str]] = {}
    shared: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, part in parts.items():
        for path, digest in zip(part.rows["path"], part.rows["sha256"], strict=True):
            home, original = first.setdefault(digest, (name, path)) if digest else (name, path)
            if home != name:
                shared.setdefault((name, home), []).append((path, original))
    return [
        f"{len(pairs)} images of {name} have the same bytes as images of {home} ({pairs[0][0]} and {pairs[0][1]}, for "
        "one): what is measured on them says nothing about new patients; `python -m cervix_tf.data split --similar` "
        "keeps copies in one split"
        for (name, home), pairs in shared.items()
    ]


def lacking(parts: Mapping[str, Manifest], classes: Iterable[str]) -> list[str]:
    """One sentence on each class that a part has no image of, with the remedy; an empty list where all have all."""
    return [
        f"split {name} ({amount(len(part), 'image')}) has no {label}; ask for larger shares or another seed, or leave "
        "the class out if it has fewer groups than there are splits"
        for name, part in parts.items()
        for label in sorted(set(classes) - set(part.rows["label"]))
    ]


def with_split_column(parts: Mapping[str, Manifest]) -> Manifest:
    """One manifest of all parts, their names in its `split` column."""
    return manifests.joined([replace(part, rows=part.rows.assign(split=name)) for name, part in parts.items()])


def group_numbers(manifest: Manifest, also: Iterable[tuple[int, int]] = ()) -> np.ndarray:
    """(rows,) integers: equal where rows must stay together, numbered from 0 in order of first row.

    Rows stay together when they share a group or a case, or when `also` pairs their positions.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = list(also)
    for column in ("group", "case"):
        first: dict[str, int] = {}
        for at, value in enumerate(manifest.rows[column]):
            if value:
                pairs.append((at, first.setdefault(value, at)))
    count = len(manifest)
    ends = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), (ends[0], ends[1])), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    return pd.factorize(components)[0]


def _by_path(manifest: Manifest) -> Manifest:
    if not len(manifest):
        raise InputError("no rows to split; check what was filtered or left out before")
    return replace(manifest, rows=manifest.rows.sort_values("path", ignore_index=True))


def _parts(ordered: Manifest, part: np.ndarray, names: Sequence[str]) -> dict[str, Manifest]:
    return {name: ordered.where(pd.Series(part == name)) for name in names}


def _largest_remainder(total: int, fractions: Sequence[float]) -> list[int]:
    exact = [total * fraction for fraction in fractions]
    counts = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: counts[at] - exact[at])
    for at in by_remainder[: total - sum(counts)]:
        counts[at] += 1
    return counts


def _check_fractions(fractions: Mapping[str, float]) -> None:
    if (
        not fractions
        or not all(math.isfinite(value) and value > 0 for value in fractions.values())
        or not math.isclose(sum(fractions.values()), 1, abs_tol=1e-6)
    ):
        raise InputError(f"shares {_shares(fractions)}: each must be above 0 and together they must add up to 1")


def _shares(fractions: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in fractions.items()) or "(none)"
