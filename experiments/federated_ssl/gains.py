"""The abstract's three differences: what self-supervision, other sites' images and a federation add to the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cervix_tf import history_file
from cervix_tf.compare import comparison
from cervix_tf.metrics.predictions import Predictions
from cervix_tf.report.tables import Measured, Table, line, per_cent, table
from cervix_tf.run_dir import RunDir
from experiments.federated_ssl.config import PUBLISHED, Row

KINDS = {"ImageNet": ("imagenet",), "SSL": ("ssl",), "CSSL": ("cssl",), "Federated SSL": ("csfssl", "ppfssl")}
DIFFERENCES = (("SSL", "ImageNet"), ("CSSL", "SSL"), ("Federated SSL", "SSL"))


def validation_loss(out: RunDir) -> float:
    """The lowest one of a classifier's training."""
    return float(history_file.read(out.history)["val_loss"].min())


def paper(first: str, second: str, site: str) -> float | None:
    """Points between the best accuracies that Table II has of two kinds at a site of the paper."""
    if site not in PUBLISHED.sites:
        return None
    at = 4 * PUBLISHED.sites.index(site)

    def best(kind: str) -> float:
        return max(numbers[at] for name, numbers in PUBLISHED.table_2.items() if name.split("-")[0] in KINDS[kind])

    return best(first) - best(second)


def of_rows(
    found: Mapping[Row, Mapping[str, Predictions]],
    losses: Mapping[Row, Mapping[str, float]],
    sites: Sequence[str],
    note: str,
    seed: int,
) -> Table:
    """The three differences, one column per site; `found` and `losses` (validation) are of a row's classifier there.

    Of several rows of a kind (three N, several E, two rings) the one with the lowest validation loss stands for it.
    """
    chosen: list[str] = []

    def best(kind: str, site: str) -> Row | None:
        there = [row for row in found if row.kind in KINDS[kind]]
        return min(there, key=lambda row: losses[row][site], default=None)

    def difference(first: str, second: str, site: str) -> Measured | None:
        one, other = best(first, site), best(second, site)
        if one is None or other is None:
            return None
        chosen.append(f"{site.upper()}: {one.name} over {other.name}")
        pair = {one.name: found[one][site], other.name: found[other][site]}
        compared = comparison.compare(pair, "accuracy", positive=("case",), seed=seed)
        return per_cent(compared["pairs"][0]["difference"])

    rows = [
        line(
            f"{first} over {second}",
            "",
            [paper(first, second, site) for site in sites],
            [difference(first, second, site) for site in sites],
        )
        for first, second in DIFFERENCES
    ]
    how = "Of several rows of a kind ours is the one with the lowest validation loss"
    how += f" ({'; '.join(chosen)})" if chosen else ""
    note = (
        f"{note} {how}, the paper's the one with the highest test accuracy; its abstract says 2.5 and 1.5 points, "
        "which are ALTS's. Paired by woman."
    )
    return table("Abstract", "Accuracy gained", map(str.upper, sites), rows, note, unit="points")
