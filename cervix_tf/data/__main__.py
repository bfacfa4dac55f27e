"""`python -m cervix_tf.data`: original files into a manifest, and a manifest audited, split and shown."""

from __future__ import annotations

import functools
import math
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from cervix_tf import atomic, errors, progress
from cervix_tf.arguments import once
from cervix_tf.data import importers
from cervix_tf.wording import amount

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest

Root = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
_LAYOUTS = (
    f"the layout: {', '.join(importers.NAMES)}; never tried on the original files: {', '.join(importers.UNTRIED)}"
)
_EXAMPLES = 3
_MOST_SHOWN = 20


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command: 0, or 1 when an audit found errors; bad input exits with 2."""
    commands: dict[str, Callable[..., int]] = {
        "import": import_,
        "audit": audit,
        "split": split,
        "show": show,
    }
    with errors.exit_cleanly():
        return tyro.extras.subcommand_cli_from_dict(
            commands, prog="python -m cervix_tf.data", description=__doc__, args=once(argv)
        )


def import_(
    name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME", help=_LAYOUTS)],
    root: Annotated[Positional[Path], tyro.conf.arg(metavar="ROOT")],
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="CSV")],
    importer: OmitArgPrefixes[importers.Options] = importers.Options(),  # noqa: B008 (frozen)
) -> int:
    """Make a manifest of a folder in its original layout; say what it contains and what was left out.

    Args:
        root: folder of the images
        out: manifest to write
        importer: settings that only some importers need
    """
    from cervix_tf.data import manifest as manifests

    atomic.check_target(out, ours=manifests.is_one)
    imported = importers.load(name, root, importer)
    if imported.table is not None:
        atomic.check_target(out, inputs=[imported.table])
    _check_kept(imported.manifest, out)
    _print_counts(imported.manifest, f"{name}: {amount(len(imported.manifest), 'image')}")
    reasons = Counter(reason for _, reason in imported.left_out)
    for reason, count in reasons.most_common():
        examples = [what for what, why in imported.left_out if why == reason][:_EXAMPLES]
        print(f"left out: {count} x {reason} ({', '.join(examples)}{', ...' if count > len(examples) else ''})")
    if not imported.left_out:
        print("left out: nothing")
    for note in imported.notes:
        print(f"note: {note}")
    _write(imported.manifest, out)
    return 0


def audit(
    manifest: Annotated[Positional[Path], tyro.conf.arg(metavar="MANIFEST")],
    root: Root = None,
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="CSV")] = None,
    exclusions: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = None,
    workers: int = 0,
    max_megapixels: float | None = None,
    near_bits: int = 8,
) -> int:
    """Read every image of a manifest; find broken files, copies, conflicting labels and leaks.

    Exit code 0: no errors (there may be warnings); 1: errors were found.

    Args:
        manifest: manifest CSV
        root: folder that its paths are relative to; default: the manifest's own
        out: file for the findings: path, kind, severity, reason, other
        exclusions: file for the list of images to leave out: path, reason
        workers: threads; 0 = one per core
        max_megapixels: larger images are errors and are not decoded; default: as everywhere, 50 or CERVIX_TF_MAX_PIXELS
        near_bits: most bits, of 64, in which the perceptual hashes of near-duplicates may differ
    """
    from cervix_tf.data import audit as audits
    from cervix_tf.data import groups, tables
    from cervix_tf.data import manifest as manifests

    if workers < 0 or (max_megapixels is not None and not 0 < max_megapixels < math.inf) or not 0 <= near_bits <= 32:
        raise errors.InputError("--workers must be 0 or more, --max-megapixels above 0, --near-bits 0 to 32")
    for target, columns in ((out, audits.FINDING), (exclusions, audits.EXCLUSION)):
        if target is not None:
            ours = functools.partial(tables.has_columns, columns=columns)
            atomic.check_target(target, inputs=[manifest], ours=ours)
    if out is not None and exclusions is not None and out.resolve() == exclusions.resolve():
        raise errors.InputError(f"{out}: findings and exclusions are two files; give them different names")
    table = manifests.read(manifest, root)
    _check_root(table, manifest)
    report = audits.audit(table, workers=workers, max_megapixels=max_megapixels, threshold=near_bits)
    for (severity, kind), count in report.counts().items():
        print(f"{severity:8} {kind:32} {count}")
    worst = report.findings[report.findings["severity"] == "error"]
    for path, kind, _, reason, other in worst.head(_MOST_SHOWN).itertuples(index=False, name=None):
        print(f"{path}: {kind}: {reason}{f' ({other})' if other else ''}")
    if len(worst) > _MOST_SHOWN:
        print(f"... and {amount(len(worst) - _MOST_SHOWN, 'more error')}; -o FILE writes all")
    near = report.findings[report.findings["kind"].str.startswith("near_duplicate")]
    for path, _, _, reason, other in near.head(_EXAMPLES).itertuples(index=False, name=None):
        print(f"nearly the same: {other} and {path} ({reason})")
    if len(near):
        at = f" --root {shlex.quote(str(root))}" if root else ""
        command = f"python -m cervix_tf.data split {shlex.quote(str(manifest))}{at} --similar"
        print(f"{amount(len(near), 'such pair')}; to keep each in one split: {command}")
    for doubt in groups.doubts(table):
        print(f"warning: {doubt}")
    if out is not None:
        audits.write_findings(report, out)
        print(f"findings written: {out}")
    if exclusions is not None:
        audits.write_exclusions(report, exclusions)
        print(f"exclusion list written: {exclusions}")
    print(
        f"{amount(report.images, 'image')}, {amount(report.errors, 'error')}, "
        f"{amount(len(report.findings) - report.errors, 'warning')}, "
        f"{len(report.exclusions)} to leave out"
    )
    return 1 if report.errors else 0


def split(
    manifest: Annotated[Positional[Path], tyro.conf.arg(metavar="MANIFEST")],
    by: Literal["group", "class"] = "group",
    test: float = 0.2,
    validation: float = 0.0,
    seed: int = 0,
    similar: bool = False,
    root: Root = None,
    exclude: Annotated[Path | None, tyro.conf.arg(metavar="CSV")] = None,
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="CSV")] = None,
    dry_run: bool = False,
) -> int:
    """Fill a manifest's split column with train, validation and test.

    Args:
        manifest: manifest CSV
        by: group: stratified by class, no group in two splits; class: at random within each class, may leak
        test: share of the images, 0 to 1
        validation: share of the images, 0 to 1
        seed: the same seed gives the same split, whatever the order of the rows
        similar: put near-duplicates into one group first; reads every image
        root: folder that its paths are relative to; default: the manifest's own
        exclude: exclusion list of an audit: these images are left out; needs --out
        out: manifest to write; without it the manifest itself is rewritten
        dry_run: only print the counts
    """
    from cervix_tf.data import audit as audits
    from cervix_tf.data import groups, splits
    from cervix_tf.data import manifest as manifests

    if out is not None:
        inputs = [] if exclude is None else [exclude]
        atomic.check_target(out, inputs=inputs, ours=lambda path: path.samefile(manifest) or manifests.is_one(path))
    table = manifests.read(manifest, root)
    kept = table if exclude is None else audits.apply_exclusions(table, exclude)
    left_out = set(table.rows["path"]) - set(kept.rows["path"])
    if exclude is not None:
        if out is None and not dry_run:
            raise errors.InputError(f"--exclude leaves rows out; -o FILE writes the others, and {manifest} keeps all")
        print(f"left out: {amount(len(left_out), 'image')} named in {exclude}")
    if similar:
        before = len(set(splits.group_numbers(table)))
        table = audits.group_by_similarity(table, left_out=left_out)
        print(f"near-duplicates grouped: {amount(before, 'group')} before, {len(set(splits.group_numbers(table)))} now")
    for doubt in groups.doubts(table):  # of all: a copy that is left out may show that two groups are one woman
        print(f"warning: {doubt}", file=sys.stderr)
    table = table.where(~table.rows["path"].isin(left_out))
    # Rounded, since 1 - 0.7 - 0.3 is not 0, and a part of however small a share gets a group.
    shares = {"train": round(1 - test - validation, 9), "validation": validation, "test": test}
    shares = {name: share for name, share in shares.items() if share != 0}
    parts = (splits.grouped if by == "group" else splits.random_by_class)(table, shares, seed)
    whole = splits.with_split_column(parts)
    _print_counts(whole, f"{amount(len(whole), 'image')} by {by}, seed {seed}")
    try:
        splits.check_disjoint(parts)
    except errors.InputError as error:
        print(f"warning: {str(error).splitlines()[-1]}", file=sys.stderr)
    for sentence in splits.lacking(parts, set(table.rows["label"]) - {""}):
        print(f"warning: {sentence}; training refuses this split", file=sys.stderr)
    if dry_run:
        print("nothing was written: --dry-run")
        return 0
    held = Counter(name for name in table.rows["split"] if name)
    if held:
        past = ", ".join(f"{name} ({amount(n, 'row')})" for name, n in held.items())
        print(f"the split column previously held {past}")
    _write(whole, out or manifest)
    return 0


def show(
    manifest: Annotated[Positional[Path], tyro.conf.arg(metavar="MANIFEST")],
    root: Root = None,
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="PNG")] = None,
    columns: int = 8,
    seed: int = 0,
) -> int:
    """Count a manifest by class, view, site, device and split; with --out, draw a contact sheet.

    Args:
        manifest: manifest CSV
        root: folder that its paths are relative to; default: the manifest's own
        out: contact sheet to write; without it none is drawn
        columns: most images in a row of the sheet
        seed: which images the sheet shows
    """
    from cervix_tf.data import contact_sheet
    from cervix_tf.data import manifest as manifests

    if columns < 1:
        raise errors.InputError("--columns must be at least 1")
    if out is not None:
        atomic.check_target(out, inputs=[manifest], ours=lambda _: False)
    table = manifests.read(manifest, root)
    _print_counts(table, f"{manifest}: {amount(len(table), 'image')}")
    if out is not None:
        contact_sheet.write(table, out, columns=columns, seed=seed)
        print(f"contact sheet written: {out}")
    else:
        print("-o sheet.png draws a contact sheet")
    return 0


def _check_kept(imported: Manifest, out: Path) -> None:
    """Raise `InputError` where the manifest at `out` says of the same images what importing them again would lose."""
    from cervix_tf.data import manifest as manifests

    if not out.exists() or not out.stat().st_size:
        return
    before, now = (each.rows.set_index("path") for each in (manifests.read(out, imported.root), imported))
    both = before.index.intersection(now.index)
    for column in ("group", "case", "label", "view", "site", "device", "split", "age"):
        then, again = (rows.loc[both, column].map(str) for rows in (before, now))
        told = ~then.isin(["", "nan"]) & (then != both.to_series())  # an image without a group is one by itself
        lost = both[((then != again) & told).to_numpy()]
        if len(lost):
            raise errors.InputError(
                f"{out}: has another {column} for {amount(len(lost), 'image')} ({lost[0]}: {then[lost[0]]!r}, imported "
                f"again {again[lost[0]]!r}); choose another name with -o, or remove the file if that is not needed"
            )


def _check_root(listed: Manifest, file: Path) -> None:
    """Raise `InputError` when the folder holds none of the images, and is thus the wrong one."""
    if not any(Path(path).exists() for path in listed.paths()):
        raise errors.InputError(
            f"{file}: {listed.root} has none of its images ({len(listed)}): give the folder that their paths start in "
            "with --root"
        )


def _write(manifest: Manifest, out: Path) -> None:
    """Write the manifest and say how to read it again."""
    from cervix_tf.data import manifest as manifests

    manifests.write(manifest, out)
    print(f"written: {out}")
    root, folder = "", shlex.quote(str(manifest.root))
    if out.resolve().parent != manifest.root.resolve():
        print(f"paths in it are relative to {manifest.root}: read it with --root {folder}")
        root = f" --data.root {folder}"
    print(f"to use it in a study: --data.manifest {shlex.quote(str(out))}{root}")
    own = root.replace("--data.root", "--root")
    classes = len(set(manifest.rows["label"]) - {""})
    if classes > 1:
        print(f"train on its own classes: python -m cervix_tf.train {shlex.quote(str(out))}{own} -o RUN")
    else:
        print(f"training needs labels of at least two classes; this manifest has {classes or 'none'}")


def _print_counts(manifest: Manifest, title: str) -> None:
    """Tables of images, groups and cases a class, and of images by split, view, site and device if there are any."""
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    console = progress.console()
    rows = manifest.rows
    print(title)
    counts = Table("class")
    for column in ("images", "groups", "cases"):
        counts.add_column(column, justify="right")
    for label, members in [*rows.groupby("label"), ("all", rows)]:
        if members is rows:
            counts.add_section()
        named = (members[column].replace("", None).nunique() for column in ("group", "case"))
        counts.add_row(Text(str(label) or "(unlabeled)"), str(len(members)), *map(str, named))
    console.print(counts)
    for column in ("split", "view", "site", "device"):
        if (rows[column] != "").any():
            crossed = pd.crosstab(rows[column], rows["label"])
            if len(crossed.columns) > len(crossed):  # the longer side goes down the page
                crossed = crossed.T
            print(f"images by class and {column}")
            table = Table("")
            for name in crossed.columns:
                table.add_column(Text(str(name) or "(none)"), justify="right")
            for row, cells in crossed.iterrows():
                table.add_row(Text(str(row) or "(none)"), *map(str, cells))
            console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
