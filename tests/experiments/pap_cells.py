"""Manifests of cells that are not there, for tests of splits and tables."""

from cervix_tf.data import manifest
from experiments.cvm_cervix import data


def images(counts, groups=1, split=""):
    """A manifest of so many images a class, `groups` images a group."""
    records = [
        {"path": f"{label}/{at}.png", "label": label, "group": f"{label} {at // groups}", "split": split}
        for label, count in counts.items()
        for at in range(count)
    ]
    return manifest.from_records(records, ".")


def counts_of(splits, classes):
    return {name: tuple((splits[split].rows["label"] == name).sum() for split in data.SPLITS) for name in classes}
