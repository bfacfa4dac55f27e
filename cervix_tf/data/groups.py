"""Whether a manifest's groups can be trusted to keep a woman's images on one side of a split, told from names alone."""

from __future__ import annotations

import pandas as pd

from cervix_tf.data import names
from cervix_tf.data.manifest import Manifest

_SHOWN = 3
_FILL = "fill the column group, or import again with --group-pattern (folder) or --group-column (csv)"


def groups_of(rows: pd.DataFrame, own: str = "") -> pd.Series:
    """The group of each row, where empty its case, where that is empty too its column `own`; "" for none."""
    group = rows["group"].where(rows["group"] != "", rows["case"])
    return group.where(group != "", rows[own]) if own else group


def doubts(manifest: Manifest) -> list[str]:
    """One sentence on each reason why a split by these groups may leak; an empty list where there is none."""
    rows = manifest.rows
    said = [_without(rows), _near_equal(rows["group"]), _shared_bytes(rows)]
    return [sentence for sentence in said if sentence]


def in_several_splits(rows: pd.DataFrame) -> list[tuple[str, dict[str, int]]]:
    """(group, split -> position of its first row there) of each group, or case without group, in two splits or more."""
    groups = groups_of(rows)
    placed = pd.DataFrame({"group": groups, "split": rows["split"]})[(groups != "") & (rows["split"] != "")]
    placed = placed.drop_duplicates().assign(at=lambda table: table.index)
    several = placed[placed["group"].duplicated(keep=False)]
    return [
        (str(group), dict(zip(some["split"], some["at"].tolist(), strict=True)))
        for group, some in several.groupby("group", sort=False)
    ]


def _without(rows: pd.DataFrame) -> str:
    groups = groups_of(rows)
    missing = int((groups == "").sum())
    if missing == len(rows):
        return f"no row names a group or a case, so every image counts as a different woman: {_FILL}"
    if missing:
        return f"{missing} of {len(rows)} rows name neither group nor case; each counts as a different woman: {_FILL}"
    if len(rows) > 1 and groups.nunique() == len(rows):
        return f"every row is its own group; if a woman has several images here, {_FILL}"
    return ""


def _near_equal(groups: pd.Series) -> str:
    found = names.alike(set(groups) - {""}, names.words)
    if not found:
        return ""
    shown = "; ".join(" and ".join(map(repr, same)) for same in found[:_SHOWN])
    return (
        f"{len(found)} group names differ only in spelling ({shown}{'; ...' if len(found) > _SHOWN else ''}): "
        "if they mean the same group, use one spelling, or a split may separate its images"
    )


def _shared_bytes(rows: pd.DataFrame) -> str:
    known = rows[(rows["sha256"] != "") & (rows["group"] != "")]
    groups = known.groupby("sha256", sort=False)["group"].nunique()
    shared = groups.index[groups > 1]
    if not len(shared):
        return ""
    first = known[known["sha256"] == shared[0]].drop_duplicates("group")
    shown = " and ".join(f"{path} of {group!r}" for path, group in zip(first["path"], first["group"], strict=True))
    return f"{len(shared)} files with the same bytes are in several groups ({shown}): `--similar` keeps them together"
