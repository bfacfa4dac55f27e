"""The rows of Table II: how a classifier's first weights are made; which of them a command wants."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

from cervix_tf.cli import Asked, Listed
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from experiments.federated_ssl.config import Config


class Row(NamedTuple):
    """One initialisation (sec. III-C)."""

    kind: str
    """random, imagenet, ssl (a site's own images), cssl (all sites together), csfssl (client-server), ppfssl (ring)."""
    n: int = 0
    """Images a batch."""
    e: int = 1
    """Local epochs of a federation."""
    start: str = ""
    """Site at which the ring starts."""

    @property
    def name(self) -> str:
        """Of its folders in the run."""
        if self.kind in ("ssl", "cssl"):
            return f"{self.kind}-{self.n}"
        if self.kind == "csfssl" and self.e > 1:
            return f"csfssl-e{self.e}"
        return f"ppfssl-{self.start}" if self.kind == "ppfssl" else self.kind

    @property
    def shared(self) -> bool:
        """Whether one pre-training serves all sites."""
        return self.kind in ("cssl", "csfssl", "ppfssl")

    def pretraining(self, site: str) -> str:
        """Name of the folder of the pre-training whose weights a site's classifier starts from."""
        return f"{self.name}-pretraining" if self.shared else f"{self.name}-pretraining-{site}"

    def classifier(self, site: str) -> str:
        """Name of the folder of a site's classifier."""
        return f"{self.name}-{site}"


def every(config: Config, sites: Sequence[str]) -> list[Row]:
    """All rows, in the order of Table II, then the other local epochs that sec. IV tried."""
    n = config.federated_batch_size
    return [
        Row("random"),
        Row("imagenet"),
        *(Row("ssl", size) for size in config.batch_sizes),
        *(Row("cssl", size) for size in config.batch_sizes),
        Row("csfssl", n, config.local_epochs[0]),
        *(Row("ppfssl", n, config.local_epochs[0], site) for site in sites),
        *(Row("csfssl", n, e) for e in config.local_epochs[1:]),
    ]


def wanted(config: Config, sites: Sequence[str], asked: Asked) -> list[Row]:
    """The rows that a command runs: those it names, else all if it wants Table II, else CSSL (sec. IV: the best).

    Raises `InputError` for a row that there is not.
    """
    there = {row.name: row for row in every(config, sites)}
    unknown = [name for name in asked.only if name not in there]
    if unknown:
        raise InputError(f"--only {unknown[0]}: no such row; there are {', '.join(there)}")
    if asked.only:
        return [row for name, row in there.items() if name in asked.only]
    if 2 in asked.tables:
        return list(there.values())
    return [] if asked.tables else [Row("cssl", config.batch_sizes[0])]


def listed(config: Config, out: RunDir, asked: Asked) -> list[Listed]:
    """What `--list` prints: every row and the state of its trainings."""
    from experiments.federated_ssl import data

    sites = data.expected_sites(config, out)
    found = wanted(config, sites, asked) if asked.only or asked.tables else every(config, sites)
    return [Listed(row.name, "2", *_state(out, row, sites)) for row in found]


def _state(out: RunDir, row: Row, sites: Sequence[str]) -> tuple[str, str]:
    done = [site for site in sites if out.row(row.classifier(site)).metrics.exists()]
    names = {row.pretraining(site) for site in sites} | {row.classifier(site) for site in sites}
    seconds = sum(_seconds(out.row(name)) for name in names)
    state = "finished" if done and len(done) == len(sites) else f"{len(done)} of {len(sites)} sites"
    return (state if seconds else "not begun"), f"{seconds / 60:.1f} min of training so far"


def _seconds(out: RunDir) -> float:
    if not out.history.exists():
        return 0.0
    with out.history.open(encoding="utf-8", newline="") as file:
        return sum(float(line["seconds"]) for line in csv.DictReader(file))
