"""Test predictions and histories of a published run, without the data set's file names and labels, and back again.

`write` puts beside a result what its numbers are made of: of each row of the run the history of its training, and for
every test image the probabilities, under the first 16 hex digits of the SHA-256 of the image's bytes and in the order
of these, which says nothing of the image. Which images belong to one group (woman, slide, near-duplicates) is kept,
since intervals need it. `restore`, and `python -m cervix_tf.report.archive RESULT MANIFEST -o RUN`, join the
predictions with a manifest of the same files: the metrics are computed again (their intervals from other resamples),
and another model can be compared with the published one, pair by pair.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import tyro

from cervix_tf import atomic, history_file
from cervix_tf.arguments import once
from cervix_tf.data import tables
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.metrics import classification, predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.formatting import headline
from cervix_tf.run_dir import RunDir, read_object, write_json

if TYPE_CHECKING:
    from cervix_tf.data.manifest import Manifest

_DIGITS = 16
_ABOUT = "rows.json"
_LABELS = ("data", "synthetic", "stand_in")
_SAID = frozenset({"positive", "seed", *_LABELS, "n", "accuracy"})
_USE_THE_RUNS = "give the manifest.csv that the study's own command writes into its run before it trains"


@dataclass(frozen=True)
class Options:
    """Join the kept predictions of a published result with your copy of its images; write metrics as a run has them."""

    result: tyro.conf.Positional[Path]
    """Folder of the result, experiments/<paper>/results/<name>."""
    manifests: tyro.conf.Positional[tuple[Path, ...]]
    """Manifests of the images, from `python -m cervix_tf.data import`, or a run's own."""
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """Folder for predictions, histories and metrics, laid out as a run; one of its own."""


def write(run: RunDir, folder: Path) -> None:
    """Write the archive of a finished run as `folder`, whole or not at all; an older archive there is replaced.

    Raises `InputError` when the run's manifest does not know what was predicted.
    """
    from cervix_tf.data import manifest

    listed = manifest.read(run.manifest)
    seed = read_object(run.config).get("seed", 0)
    about: dict[str, Any] = {}
    with atomic.replacing(folder) as part:
        for name, row in {"": run, **run.rows}.items():
            kept = _row(RunDir(part), name)
            if row.history.exists():
                atomic.write_text(kept.history, history_file.as_text(history_file.read(row.history)))
            if row.predictions.exists() and row.metrics.exists():
                known = _digests(manifest.read(row.manifest) if row.manifest.exists() else listed)
                atomic.write_text(
                    kept.predictions, tables.csv_text(_anonymous(predictions.read(row.predictions), known))
                )
                metrics = read_object(row.metrics)
                about[name] = {
                    "positive": (metrics["binary"] or {"positive": []})["positive"],
                    "seed": seed,
                    **{key: metrics[key] for key in _LABELS},
                    "n": metrics["n"],
                    "accuracy": metrics["metrics"]["accuracy"]["value"],
                }
        write_json(part / _ABOUT, about)


def restore(folder: Path, manifests: Sequence[Path], out: RunDir) -> dict[str, dict[str, Any]]:
    """Write the archived rows as `out`, laid out as a run; gives back each row's metrics by its name, "" for the run.

    Thresholds chosen on validation are not among them: only test predictions are kept.

    Raises `InputError` when an image that was predicted is in none of the manifests, when their labels are not those
    that the row was tested with, and when `out` holds anything else.
    """
    from cervix_tf.data import manifest

    about = read_object(folder / _ABOUT)
    for name, said in about.items():
        if not isinstance(said, dict) or not said.keys() >= _SAID or not isinstance(said["accuracy"], int | float):
            raise InputError(f"{folder / _ABOUT}: {name!r}: needs {', '.join(sorted(_SAID))}; restore the file")
    if not about:
        raise InputError(f"{folder}: contains no test predictions; this result is published only as tables on its page")
    if out.root.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out.root}: is in the archive itself, which contains no names; choose another folder")
    atomic.check_target(out.root, folder=True, ours=lambda restored: not RunDir(restored).report.exists())
    having = _having({path: manifest.read(path) for path in manifests})
    found, metrics = {}, {}
    for name, said in about.items():
        path = _row(RunDir(folder), name).predictions
        found[name] = _named(path, having)
        settings = {key: said[key] for key in ("positive", "seed", *_LABELS)}
        metrics[name] = classification.summary(found[name], **settings)
        accuracy = metrics[name]["metrics"]["accuracy"]["value"]
        if metrics[name]["n"] != said["n"] or not math.isclose(accuracy, said["accuracy"], abs_tol=1e-9):
            raise InputError(
                f"{path}: was right on {said['accuracy']:.2%} of {said['n']} labeled images, and by the manifests' "
                f"labels it is {accuracy:.2%} of {metrics[name]['n']}: they are not the run's labels; {_USE_THE_RUNS}"
            )
    with atomic.replacing(out.root) as part:
        for history in sorted(folder.rglob(RunDir(folder).history.name)):
            atomic.write_text(part / history.relative_to(folder), history.read_text(encoding="utf-8"))
        for name in about:
            row = _row(RunDir(part), name)
            predictions.write(found[name], row.predictions)
            write_json(row.metrics, metrics[name])
    return metrics


def _row(run: RunDir, name: str) -> RunDir:
    return run.row(name) if name else run


def _anonymous(predicted: Predictions, digests: Mapping[str, str]) -> pd.DataFrame:
    """Columns image, group (a number) and p_<class>, sorted by image."""
    if lacking := [name for name in predicted.table["id"] if name not in digests]:
        raise InputError(
            f"{lacking[0]!r}: was predicted and is neither an image with a SHA-256 nor a case of the run's manifest; "
            "import the images again without --no-hash"
        )
    columns = {f"p_{name}": [f"{p:.9g}" for p in predicted.table[f"p_{name}"]] for name in predicted.classes}
    image = predicted.table["id"].map(digests)
    made = pd.DataFrame({"image": image, "group": predicted.groups, **columns}).sort_values("image", ignore_index=True)
    numbers = pd.factorize(made["group"])[0]
    width = len(str(numbers.max()))
    return made.assign(group=[f"{number:0{width}}" for number in numbers])


def _having(manifests: Mapping[Path, Manifest]) -> dict[str, list[dict[str, Any]]]:
    """Digest -> what the manifests say of each image, or case, that has it; several where files have the same bytes."""
    found: dict[str, list[dict[str, Any]]] = {}
    homes: dict[str, tuple[str, Path]] = {}
    for path, listed in manifests.items():
        images: dict[str, Any] = {row["path"]: row for row in listed.rows.to_dict("records")}
        cases: dict[str, Any] = {}
        for row in images.values():
            if row["case"] and (row["case"] not in cases or not cases[row["case"]]["label"]):
                cases[row["case"]] = {**row, "view": ""}
        for name, digest in _digests(listed).items():
            before, home = homes.setdefault(name, (digest, path))
            if before != digest:
                raise InputError(
                    f"{name!r}: is one image in {home} and another in {path}; "
                    "import both data sets from the folder above, so that their paths differ"
                )
            if home == path:
                found.setdefault(digest, []).append({**(images.get(name) or cases[name]), "id": name})
    return found


def _named(path: Path, having: Mapping[str, list[dict[str, Any]]]) -> Predictions:
    """The predictions with id, label and whatever else the manifests say of their images."""
    table = tables.read(path, ["image", "group"], exact=True)
    classes = [name[2:] for name in table.header if name.startswith("p_")]
    left = {digest: list(rows) for digest, rows in having.items()}
    rows, lacking = [], []
    for digest, group in zip(table.column("image"), table.column("group"), strict=True):
        if not left.get(digest):
            lacking.append(digest)
            continue
        if len({row["label"] for row in having[digest]}) > 1:
            same = " and ".join(repr(row["id"]) for row in having[digest])
            raise InputError(f"{path}: {same} have the same bytes and different labels; leave the wrong one out")
        rows.append({**left[digest].pop(0), "group": group})
    if lacking:
        raise InputError(
            f"{path}: {len(lacking)} of {len(table)} images are in no manifest ({tables.listed(lacking, 'images')}); "
            "give manifests of all data sets of the run, of files with the same bytes and of whole cases; or "
            f"{_USE_THE_RUNS}"
        )
    if other := sorted({row["label"] for row in rows} - {*classes, ""}):
        raise InputError(
            f"{path}: its classes are {', '.join(classes)}, and the manifest calls an image {other[0]!r}: "
            f"{_USE_THE_RUNS}"
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
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.report.archive")
        for name, metrics in restore(options.result, options.manifests, RunDir(options.out)).items():
            print(f"{name or 'run'}: {headline(metrics)}")
        print(f"written to {options.out}")


if __name__ == "__main__":
    main()
