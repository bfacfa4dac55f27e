"""The images of a manifest that can be read; what happens to the others is the user's choice, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from cervix_tf.data import each_file, images, tables
from cervix_tf.data.headers import UnreadableImage
from cervix_tf.data.importing import files
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError


def only(manifest: Manifest, damaged: Literal["fail", "skip"] = "fail") -> tuple[Manifest, list[UnreadableImage]]:
    """The rows whose image `images.decode_file` reads, and why each of the others is left out, in order.

    With "fail" nothing is left out: raises `InputError` that names all files that cannot be
    read. With "skip" a damaged image takes the others of its case with it: a case with a
    view less would be another input. Raises `InputError` even then for files that are missing
    or may not be read, since a forgotten data root is no damage, and when no image is left.
    """
    if damaged == "fail":
        images.check_files(manifest.paths())
        return manifest, []
    problems = images.unreadable(manifest.paths())
    images.refuse([problem for problem in problems if problem is not None and problem.kind in images.NOT_SEEN])
    cases = manifest.rows["case"]
    incomplete = set(cases[[problem is not None for problem in problems]]) - {""}
    for at, (path, case) in enumerate(zip(manifest.paths(), cases, strict=True)):
        if problems[at] is None and case in incomplete:
            problems[at] = UnreadableImage("of an incomplete case", "another image of its case cannot be read", path)
    left_out = [problem for problem in problems if problem is not None]
    if len(left_out) == len(manifest):
        first = f"; the first: {left_out[0]}" if left_out else ""
        raise InputError(f"{manifest.root}: none of {len(manifest)} images can be read{first}")
    return manifest.where(pd.Series([problem is None for problem in problems], dtype=bool)), left_out


def check_unchanged(manifest: Manifest) -> None:
    """Raise `InputError` that names the files whose bytes are not those whose sha256 the manifest has."""
    known = manifest.where(manifest.rows["sha256"] != "")
    found = each_file.results(
        files.sha256, [Path(path) for path in known.paths()], "comparing images with the manifest"
    )
    problems = [
        f"{path}: has changed: its SHA-256 is {now[:16]}..., in the manifest {listed[:16]}...; put that file back, or "
        "import the images again and start another run"
        for path, listed, now in zip(known.paths(), known.rows["sha256"], found, strict=True)
        if now and now != listed
    ]
    tables.refuse(problems, str(manifest.root))


def counts(left_out: Sequence[UnreadableImage]) -> list[dict[str, object]]:
    """How many images of each kind of damage were left out, as lines of a run's audit.json."""
    found = Counter(problem.kind for problem in left_out)
    return [{"kind": f"{kind} (left out)", "count": count} for kind, count in sorted(found.items())]
