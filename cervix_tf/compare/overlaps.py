"""How many of the compared images and groups each model had seen before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cervix_tf import runs
from cervix_tf.data import manifest as manifests
from cervix_tf.data import seen
from cervix_tf.data.manifest import Manifest
from cervix_tf.data.seen import Overlap
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.run_dir import RunDir, read_object


def of(runs: Sequence[Path], models: Mapping[str, Predictions]) -> dict[str, Overlap | str]:
    """For each compared model how much of its predictions it had seen, or why that cannot be known.

    A run, a row of one and the folder of an evaluation say what their model was trained on; `models`
    are in the order of `runs`.
    """
    return {name: _overlap(run, model) for run, (name, model) in zip(runs, models.items(), strict=True)}


def _overlap(path: Path, model: Predictions) -> Overlap | str:
    own = RunDir((path if path.is_dir() else path.parent).resolve())
    whole = RunDir(own.root.parent.parent) if own.root.parent.name == "rows" else own
    if _cross_validated(whole):
        return "cross-validated: each row is predicted by a network of another fold, which of them is not recorded"
    listed = next((runs.listed_rows(run) for run in (own, whole) if run.manifest.is_file()), None)
    if own.seen.is_file():
        record = seen.read(own.seen)
    elif listed is not None and whole.config.is_file() and (listed.rows["split"] == "train").any():
        record = seen.of(listed)
    else:
        return "does not say what its model was trained on"
    return seen.overlap(record, _tested(model, listed, own), read=False)


def _cross_validated(run: RunDir) -> bool:
    folds = read_object(run.config).get("folds") if run.config.is_file() else None
    return isinstance(folds, int) and folds > 1


def _tested(model: Predictions, listed: Manifest | None, own: RunDir) -> Manifest:
    """The rows of the manifest that were predicted; without one, rows of what the predictions say."""
    ids = set(model.table["id"])
    if listed is not None:
        rows = listed.where(listed.rows["path"].isin(ids) | listed.rows["case"].isin(ids))
        if len(rows):
            return rows
    table = model.table.rename(columns={"id": "path"}).reindex(columns=list(manifests.COLUMNS), fill_value="")
    return Manifest(table, own.root)
