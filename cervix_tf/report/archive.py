"""Test predictions and histories of a published run, without the data set's file names and labels, and back again.

`write` puts beside a result what its numbers are made of: of each row of the run the history of its training, and for
every test image the probabilities, under the first 16 hex digits of the SHA-256 of the image's bytes. That gives nobody
an image, a name or a label; who has the same files finds them by it. `restore`, and
`python -m cervix_tf.report.archive RESULT MANIFEST -o RUN`, join the predictions with a manifest of those files: then
the metrics can be computed again, and another model compared with the published one, pair by pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import tyro

from cervix_tf import atomic, history_file
from cervix_tf.data import tables
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.metrics import classification, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.formatting import interval, value
from cervix_tf.run_dir import RunDir, read_object, write_json

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest

_DIGITS = 16
_ABOUT = "rows.json"
_LABELS = ("data", "synthetic", "stand_in")


@dataclass(frozen=True)
class Options:
    """Join the kept predictions of a published result with your copy of its images; write metrics as a run has them."""

    result: tyro.conf.Positional[Path]
    """Folder of the result, experiments/<paper>/results/<name>."""
    manifests: tyro.conf.Positional[tuple[Path, ...]]
    """Manifests of the images, from `python -m cervix_tf.data import`, or a run's own."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """Folder for predictions, histories and metrics, laid out as a run."""


def write(run: RunDir, folder: Path) -> list[str]:
    """Write the archive of a finished run into `folder`; gives back the names of its rows, "" for the run itself.

    Raises `InputError` when the run's manifest does not know what was predicted.
    """
    from cervix_tf.data import manifest

    listed = manifest.read(run.manifest)
    seed = read_object(run.config).get("seed", 0)
    about: dict[str, Any] = {}
    for name, row in {"": run, **run.rows}.items():
        kept = _row(RunDir(folder), name)
        if row.history.exists():
            atomic.write_text(kept.history, history_file.as_text(history_file.read(row.history)))
        if row.predictions.exists() and row.metrics.exists():
            found = manifest.read(row.manifest) if row.manifest.exists() else listed
            atomic.write_text(kept.predictions, tables.csv_text(_anonymous(predictions.read(row.predictions), found)))
            metrics = read_object(row.metrics)
            positive = (metrics["binary"] or {"positive": []})["positive"]
            about[name] = {"positive": positive, "seed": seed, **{key: metrics[key] for key in _LABELS}}
    write_json(folder / _ABOUT, about)
    return list(about)


def restore(folder: Path, manifests: Sequence[Path], out: RunDir) -> dict[str, dict[str, Any]]:
    """Write the archived rows into `out` as a run has them; gives back each row's metrics by its name.

    Thresholds chosen on validation are not among them: only test predictions are kept.

    Raises `InputError` when an image that was predicted is in none of the manifests, or there under an unknown class.
    """
    from cervix_tf.data import manifest

    about = read_object(folder / _ABOUT)
    known = [manifest.read(path) for path in manifests]
    found = {name: _named(_row(RunDir(folder), name).predictions, known) for name in about}
    metrics = {name: classification.summary(found[name], **said) for name, said in about.items()}
    for history in sorted(folder.rglob(RunDir(folder).history.name)):
        atomic.write_text(out.root / history.relative_to(folder), history.read_text(encoding="utf-8"))
    for name in about:
        predictions.write(found[name], _row(out, name).predictions)
        write_json(_row(out, name).metrics, metrics[name])
    return metrics


def _row(run: RunDir, name: str) -> RunDir:
    return run.row(name) if name else run


def _anonymous(predicted: Predictions, listed: Manifest) -> pd.DataFrame:
    """Columns image, group and p_<class>; groups are numbered in their order, so that they are resampled as before."""
    digests = _digests(listed)
    if lacking := [name for name in predicted.table["id"] if name not in digests]:
        raise InputError(
            f"{lacking[0]!r}: was predicted and is neither an image with a SHA-256 nor a case of the run's manifest"
        )
    _, group = np.unique(predicted.groups.astype(str), return_inverse=True)
    width = len(str(group.max()))
    probabilities = {f"p_{name}": [f"{p:.6f}" for p in predicted.table[f"p_{name}"]] for name in predicted.classes}
    return pd.DataFrame(
        {
            "image": predicted.table["id"].map(digests),
            "group": [f"{number:0{width}}" for number in group],
            **probabilities,
        }
    )


def _named(path: Path, known: Sequence[Manifest]) -> Predictions:
    """The predictions with id, label and whatever else the manifests say of their images."""
    table = tables.read(path, ["image", "group"], exact=True)
    classes = [name[2:] for name in table.header if name.startswith("p_")]
    having: dict[str, list[dict[str, Any]]] = {}  # files of the same bytes: several
    for listed in known:
        images: dict[str, Any] = {row["path"]: row for row in listed.rows.to_dict("records")}
        cases = {row["case"]: {**row, "view": ""} for row in reversed(images.values()) if row["case"]}
        for name, digest in _digests(listed).items():
            having.setdefault(digest, []).append({**(images.get(name) or cases[name]), "id": name})
    rows, lacking = [], []
    for digest, group in zip(table.column("image"), table.column("group"), strict=True):
        if having.get(digest):
            rows.append({**having[digest].pop(0), "group": group})
        else:
            lacking.append(digest)
    if lacking:
        raise InputError(
            f"{path}: {len(lacking)} of {len(table)} images are in no manifest ({tables.listed(lacking, 'images')}); "
            "give manifests of all data sets of the run, of files with the same bytes"
        )
    cells = dict(zip(table.header, table.cells, strict=True))
    columns = [[tables.number(cell) for cell in cells[f"p_{name}"]] for name in classes]
    return predictions.from_rows(pd.DataFrame(rows), list(zip(*columns, strict=True)), classes)


def _digests(listed: Manifest) -> dict[str, str]:
    """Path or case -> digest; a case's is that of its images' digests in order."""
    rows = listed.rows[listed.rows["sha256"] != ""]
    found = {
        str(case): hashlib.sha256("".join(sorted(of_it)).encode()).hexdigest()[:_DIGITS]
        for case, of_it in rows[rows["case"] != ""].groupby("case")["sha256"]
    }
    return found | dict(zip(rows["path"], rows["sha256"].str[:_DIGITS], strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Do as the command line says; wrong input ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=arguments, prog="python -m cervix_tf.report.archive")
        for name, metrics in restore(options.result, options.manifests, RunDir(options.out)).items():
            accuracy = metrics["metrics"]["accuracy"]
            print(f"{name or 'run'}: accuracy {value('accuracy', accuracy)} {interval('accuracy', accuracy)}")
        print(f"written to {options.out}")


if __name__ == "__main__":
    main()
