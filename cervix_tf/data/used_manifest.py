"""The manifest as a run has used it: part of what the run is, so that no other takes its place later."""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path

from cervix_tf.data import manifest as manifests
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError

_SHOWN = 3


def keep(manifest: Manifest, path: Path) -> None:
    """Write the manifest to `path` in a run; a run that has one already must have the same.

    Raises `InputError` as `check` does.
    """
    if path.exists():
        check(manifest, path)
    else:
        manifests.write(manifest, path)


def check(manifest: Manifest, path: Path) -> None:
    """Raise `InputError` unless the manifest has the rows of the one at `path`, in its order.

    The message counts the rows that differ and names the first ones: new and missing images, and those whose label,
    split, group, file or other column has changed.
    """
    found = differences(manifests.read(path), manifest)
    if found:
        more = f"; and {len(found) - _SHOWN} more rows" if len(found) > _SHOWN else ""
        raise InputError(
            f"{path}: the run was made with other data: {'; '.join(found[:_SHOWN])}{more}; restore the data, "
            "or choose another run folder (a study: --run NAME, train: -o RUN)"
        )


def differences(before: Manifest, now: Manifest) -> list[str]:
    """What differs between two manifests, one text per row, in the order of `now`; what is missing there comes last."""
    old, new = _texts(before), _texts(now)
    found = []
    for path, row in new.items():
        was = old.get(path)
        if was is None:
            found.append(f"{path} is new")
        elif was != row:
            changed = [f"{name} was {was[name]!r}, now {row[name]!r}" for name in row if was[name] != row[name]]
            found.append(f"{path}: {', '.join(changed)}")
    found += [f"{path} is missing" for path in old if path not in new]
    if not found and list(old) != list(new):
        moved = next(path for path, was in zip(new, old, strict=True) if path != was)
        found.append(f"the rows have another order, from {moved} on")
    return found


def _texts(manifest: Manifest) -> dict[str, dict[Hashable, str]]:
    """Column -> text of every row, by path; what says nothing of the data's meaning is left out."""
    rows = manifest.rows.drop(columns=["width", "height"])
    rows["age"] = ["" if math.isnan(age) else f"{age:g}" for age in rows["age"]]
    return {str(row["path"]): row for row in rows.to_dict("records")}
