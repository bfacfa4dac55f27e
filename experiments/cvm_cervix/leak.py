"""What a random split adds to the accuracy: two runs of which the protocol alone differs, one beside the other."""

from __future__ import annotations

from dataclasses import asdict

from cervix_tf.compare import comparison
from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report import tables
from cervix_tf.report.tables import Measured, Table, line, per_cent
from cervix_tf.run_dir import RunDir, read_json, read_object
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix.config import Config, Row

# What may differ between two runs that are compared: the protocol, and what changes no number.
_FREE = ("protocol", "similar", "reference_run", "data", "devices", "tensorboard", "timed_passes", "eager")
_ALIKE = 0.01  # by how much the training images of two cross-validations may differ


def check(config: Config, out: RunDir) -> None:
    """Raise `InputError` unless `config.reference_run` is a run of the other protocol, and all that counts alike.

    `out` is the run of the configuration, begun: both are compared as runs keep them, `~` for the home folder.
    """
    if config.reference_run is None:
        return
    where, reference = f"--reference-run {config.reference_run}", RunDir(config.reference_run)
    ours, other = read_object(out.config), read_object(reference.config)
    if other.get("protocol") == config.protocol:
        raise InputError(f"{where}: is {config.protocol} too; give a run of the other protocol")
    for fields in (ours, other):
        fields.get("images", {}).pop("cache", None)
    differing = [name for name in ours if name not in _FREE and other.get(name) != ours[name]]
    if differing:
        each = "; ".join(f"its {name} is {other.get(name)}, not {ours[name]}" for name in differing)
        raise InputError(f"{where}: {each}; the difference would not be due to the protocols alone")
    mine, its = (read_object(run.environment).get("initial_weights", {}) for run in (out, reference))
    for name in mine.keys() & its.keys():
        if mine[name] != its[name]:
            raise InputError(
                f"{where}: its {name} was another file (SHA-256 {its[name][:16]}..., not {mine[name][:16]}...); the "
                "difference would not be due to the protocols alone"
            )


def table(config: Config, reference: RunDir, row: Row, out: RunDir, name: str, note: str) -> Table:
    """Not in the paper: test accuracy of both protocols, and by how many points the random split's is higher.

    There is no difference where one of them had more images to train on.
    """
    runs = {config.protocol: out, read_json(reference.config)["protocol"]: reference}
    results = {protocol: study.result_dir(config, run, row) for protocol, run in runs.items()}
    trained = {protocol: len(manifest.read(run.manifest).part("train")) for protocol, run in runs.items()}
    names = {"as_published": "as_published: at random", "leak_free": "leak_free: by group"}
    rows = [
        line(words, row.network, None, [per_cent(read_json(results[protocol].metrics)["metrics"]["accuracy"])])
        for protocol, words in names.items()
    ]
    sizes = " and ".join(f"{trained[protocol]} ({protocol})" for protocol in names)
    note += (
        f" Reference run: {reference.root.name}. Training images{' of the first fold' * (config.folds > 1)}: {sizes}."
    )
    more, less = max(trained.values()), min(trained.values())
    if more - less <= (_ALIKE * less if config.folds > 1 else 0):
        published, free = (predictions.read(results[name].predictions) for name in names)
        measured = difference(published, free, config.seed)
        rows.append(line("Difference, points", row.network, None, [measured]))
    else:
        note += (
            " They are not as many, so that no difference is given; a run with --protocol as_published and "
            "--reference-run of the leak_free one takes as many."
        )
    title = f"What a random split adds to the accuracy of {name}"
    return tables.table("Leak", title, ["Acc"], rows, note)


def difference(published: Predictions, free: Predictions, seed: int) -> Measured:
    """By how many points the accuracy of `published` is above that of `free`.

    Of the same images (two cross-validations) it is paired: whole groups of `free` are
    resampled. Of two test splits either one's groups are resampled on their own.
    """
    if set(published.table["id"]) == set(free.table["id"]):
        same_rows = predictions.from_rows(free.table, published.of(free.table["id"]).probabilities, free.classes)
        compared = comparison.compare({"as_published": same_rows, "leak_free": free}, seed=seed)["pairs"][0]
        return per_cent({**compared["difference"], "method": f"paired {compared['difference']['method']}"})
    return per_cent(asdict(comparison.independent_difference(published, free, seed=seed)))
