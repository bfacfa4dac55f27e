"""What is wrong with the images of a manifest, and what must be left out, with a reason a row.

What is an error of a file is what `images.decode_file` refuses, so what no network is
trained, evaluated or asked on. Nothing is dropped here: `audit` reports, `write_exclusions` writes the list, and
`apply_exclusions` leaves out what the (perhaps edited) list names.

| kind | severity | left out |
|---|---|---|
| missing, empty, unreadable, truncated, damaged, not_an_image | error | yes |
| too_large, wrong_format, sixteen_bit | error | yes |
| wrong_channels | error for CMYK and the like, warning for gray and alpha | if an error |
| wrong_extension, blank, orientation (stored turned by EXIF, read upright) | warning | no |
| changed: the bytes are not those whose sha256 the manifest holds | error | no: import again |
| identical_bytes, identical_pixels | warning | the later copies |
| same_image_two_labels | error | every labeled copy |
| same_image_two_splits | error | the later copies |
| same_image_two_groups | warning | the later copies |
| group_two_splits: of a group, or a case without one | error | no: split again |
| near_duplicate, near_duplicate_two_labels, ..._splits, ..._groups | warning | no: `group_by_similarity` |

Of identical images the copy that is kept is a labeled one before an unlabeled one,
then one in `test`, then in `validation` (so that published test parts stay whole),
then the one that stands first in the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cervix_tf import atomic
from cervix_tf.data import fingerprints, groups, splits, tables
from cervix_tf.data.fingerprints import NEAR_BITS, Fingerprint
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError

FINDING = ("path", "kind", "severity", "reason", "other")
EXCLUSION = ("path", "reason")
_KEPT_FIRST = {"test": 0, "validation": 1}
_TWO = ("label", "split", "group")


@dataclass(frozen=True)
class Report:
    """What an audit found."""

    findings: pd.DataFrame
    """Columns `FINDING`, all str, in the manifest's order; `other` is the second image of a pair or ""."""
    exclusions: pd.DataFrame
    """Columns `EXCLUSION`: each image to leave out, once, with its first reason, in the manifest's order."""
    images: int
    """Rows looked at."""

    @property
    def errors(self) -> int:
        """Number of findings that stop a run or falsify its result."""
        return int((self.findings["severity"] == "error").sum())

    def counts(self) -> dict[tuple[str, str], int]:
        """(severity, kind) -> number of findings, errors first, then by kind."""
        return {
            (str(severity), str(kind)): len(rows)
            for (severity, kind), rows in self.findings.groupby(["severity", "kind"], sort=True)
        }


def audit(
    manifest: Manifest, *, workers: int = 0, max_megapixels: float | None = None, threshold: int = NEAR_BITS
) -> Report:
    """Findings and exclusions for every image of `manifest`; each file is read and decoded once.

    `workers` threads (0 = one per core); `max_megapixels` instead of the reader's own limit;
    `threshold` is the most differing bits of 64 that near-duplicates may have (see `fingerprints`).
    """
    prints = fingerprints.inspect_all([Path(path) for path in manifest.paths()], workers, max_megapixels)
    rows = manifest.rows
    found = [*_of_files(rows, prints), *_of_copies(rows, prints), *_of_near(rows, prints, threshold)]
    found += _of_groups(rows)
    found.sort(key=lambda finding: finding.at)
    paths = rows["path"].tolist()
    table = [
        (paths[one.at], one.kind, one.severity, one.reason, "" if one.other is None else paths[one.other])
        for one in found
    ]
    left_out = [(paths[at], reason) for at, reason in sorted(_left_out(rows, prints).items())]
    return Report(
        pd.DataFrame(table, columns=list(FINDING), dtype=object),
        pd.DataFrame(left_out, columns=list(EXCLUSION), dtype=object),
        len(rows),
    )


def group_by_similarity(
    manifest: Manifest,
    threshold: int = NEAR_BITS,
    *,
    workers: int = 0,
    max_megapixels: float | None = None,
    left_out: Collection[str] = (),
) -> Manifest:
    """The manifest with near-duplicates in one group, for sets that name no woman or slide.

    Rows that shared a group or a case stay together. A new group is named after the
    first group it swallows (by name), or `near-` and a digest of its first path;
    an image that resembles no other keeps its group, empty or not. Images that are `left_out` of a split afterwards,
    by their paths, connect groups like others where they can be read: a copy that an audit lists is what shows that
    two groups are one woman.
    Raises `InputError` when other files cannot be read: audit and exclude first.
    """
    prints = fingerprints.inspect_all([Path(path) for path in manifest.paths()], workers, max_megapixels)
    marks = zip(manifest.rows["path"], prints, strict=True)
    if unread := [path for path, mark in marks if not mark.pixels and path not in left_out]:
        raise InputError(
            f"{unread[0]}: cannot be read ({len(unread)} such files); leave them out first: "
            "`python -m cervix_tf.data audit MANIFEST --exclusions exclude.csv`"
        )
    near = [(one, two) for one, two, _ in fingerprints.near_pairs(prints, threshold)]
    by_pixels: dict[str, int] = {}  # identical images of one color have no hash, yet belong together
    near += [(at, by_pixels.setdefault(mark.pixels, at)) for at, mark in enumerate(prints) if mark.pixels]
    rows = manifest.rows.copy()
    for _, members in rows.groupby(splits.group_numbers(manifest, near)):
        if len(members) > 1:
            named = sorted(set(members["group"]) - {""})
            digest = hashlib.sha256(min(members["path"]).encode()).hexdigest()[:12]
            rows.loc[members.index, "group"] = named[0] if named else f"near-{digest}"
    return replace(manifest, rows=rows)


def write_findings(report: Report, path: Path) -> None:
    """Write the findings as CSV, one line a finding; a header alone when there are none."""
    atomic.write_text(path, tables.csv_text(report.findings))


def write_exclusions(report: Report, path: Path) -> None:
    """Write the exclusion list as CSV, `path,reason`; a header alone when nothing is left out."""
    atomic.write_text(path, tables.csv_text(report.exclusions))


def apply_exclusions(manifest: Manifest, path: Path) -> Manifest:
    """The manifest without the images that the CSV at `path` (columns path, reason) names.

    Raises `InputError` when the file is no such table, names an image that the manifest
    lacks, gives no reason, or leaves nothing.
    """
    table = tables.read(path, EXCLUSION, exact=True, missing="make one with `python -m cervix_tf.data audit`")
    known = set(manifest.rows["path"])
    problems = [f"{row.where}: {row['path']}: no reason; say why it is left out" for row in table if not row["reason"]]
    problems += [
        f"{row.where}: {row['path']}: not in the manifest; remove the line or audit again"
        for row in table
        if row["path"] not in known
    ]
    tables.refuse(problems, str(path))
    kept = manifest.where(~manifest.rows["path"].isin(table.column("path")))
    if not len(kept):
        raise InputError(f"{path}: leaves out all {len(manifest)} images; is it another data set's list?")
    return kept


class _Finding(NamedTuple):
    at: int
    kind: str
    severity: str
    reason: str
    other: int | None = None


def _of_files(rows: pd.DataFrame, prints: list[Fingerprint]) -> Iterator[_Finding]:
    for at, (mark, listed) in enumerate(zip(prints, rows["sha256"], strict=True)):
        for problem in mark.problems:
            yield _Finding(at, problem.kind, problem.severity, problem.reason)
        if listed and mark.sha256 and mark.sha256 != listed:
            yield _Finding(at, "changed", "error", "sha256 is not the manifest's; restore it or import again")


def _of_copies(rows: pd.DataFrame, prints: list[Fingerprint]) -> Iterator[_Finding]:
    for copies in _identical(rows, prints):
        first = copies[0]
        for at in copies[1:]:
            what = "bytes" if prints[at].sha256 == prints[first].sha256 else "pixels"
            yield _Finding(at, f"identical_{what}", "warning", f"same {what} as the other", first)
        for column in _TWO:
            named = [at for at in copies if rows[column][at]]
            severity = "warning" if column == "group" else "error"
            for at in named:
                if rows[column][at] != rows[column][named[0]]:
                    reason = _both(rows, column, named[0], at)
                    yield _Finding(at, f"same_image_two_{column}s", severity, reason, named[0])


def _of_near(rows: pd.DataFrame, prints: list[Fingerprint], threshold: int) -> Iterator[_Finding]:
    for one, two, bits in fingerprints.near_pairs(prints, threshold):
        if prints[one].pixels != prints[two].pixels:
            differing = [c for c in _TWO if rows[c][one] and rows[c][two] and rows[c][one] != rows[c][two]]
            kind = f"near_duplicate_two_{differing[0]}s" if differing else "near_duplicate"
            reasons = [f"{bits} of 64 bits differ", *(_both(rows, column, one, two) for column in differing)]
            yield _Finding(two, kind, "warning", "; ".join(reasons), one)


def _of_groups(rows: pd.DataFrame) -> Iterator[_Finding]:
    for group, first in groups.in_several_splits(rows):
        (one, first_at), *others = first.items()
        for other, at in others:
            yield _Finding(at, "group_two_splits", "error", f"{group!r} is in {one} and in {other}", first_at)


def _left_out(rows: pd.DataFrame, prints: list[Fingerprint]) -> dict[int, str]:
    """Position -> why this image must not be used."""
    reasons: dict[int, str] = {}
    for at, mark in enumerate(prints):
        for problem in mark.problems:
            if problem.severity == "error":
                reasons.setdefault(at, f"{problem.kind}: {problem.reason}")
    for copies in _identical(rows, prints):
        labels = sorted({rows["label"][at] for at in copies} - {""})
        for at in copies if len(labels) > 1 else ():
            if rows["label"][at]:
                reasons.setdefault(at, f"conflicting labels: the same image is {' and '.join(labels)}")
        kept = next((at for at in copies if at not in reasons), None)
        for at in copies:
            if at != kept and kept is not None:
                reasons.setdefault(at, f"duplicate: the same image as {rows['path'][kept]}")
    return reasons


def _identical(rows: pd.DataFrame, prints: list[Fingerprint]) -> Iterator[list[int]]:
    """Positions of images with the same pixels, two or more, the copy to keep first."""
    same: dict[str, list[int]] = {}
    for at, mark in enumerate(prints):
        if mark.pixels:
            same.setdefault(mark.pixels, []).append(at)
    for copies in same.values():
        if len(copies) > 1:
            rank = {at: (not rows["label"][at], _KEPT_FIRST.get(rows["split"][at], 2), at) for at in copies}
            yield sorted(copies, key=rank.__getitem__)


def _both(rows: pd.DataFrame, column: str, one: int, two: int) -> str:
    return f"{column}s {rows[column][one]!r} and {rows[column][two]!r}"
