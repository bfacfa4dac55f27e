"""The rows of Tables 5 to 10: which networks there are, what each is made of, and which table needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cervix_tf.config import Phi
from cervix_tf.errors import InputError
from experiments.mobilenetv2_ensemble.config import KINDS, Config

ALL_TYPES, CASES = "all-types", "cases"
BASELINES = ("densenet121", "resnet18", "mobilenet_v2", "resnext101_32x8d", "vgg19")  # sec. 4.1


@dataclass(frozen=True)
class Loss:
    """Cross entropy (Eq. 6) unless it says otherwise."""

    focal: float = 0.0
    """gamma of the focal loss (Eq. 8)."""
    population: bool = False
    """Class weights fixed by population (sec. 3.4.1)."""
    phi: Phi | None = None
    """Class weights recomputed each epoch (Eq. 9 and 10)."""

    @property
    def weighted(self) -> bool:
        """Whether it is a weighted cross entropy (Eq. 7)."""
        return self.population or self.phi is not None


PLAIN = Loss()
WEIGHTED = Loss(phi="exp(100x)")  # what sec. 3.4.2 settles on


@dataclass(frozen=True)
class Row:
    """One line's worth of work: a network, in a cross-validation one a fold."""

    name: str
    stage: Literal["network", "checkpoint", "ensemble", "fine_tuning", "probe", "time"]
    images: str = CASES
    """What it sees: acetic, green or iodine images, images of all types, or cases of seven images."""
    backbone: str = ""
    """One of `BASELINES`; empty = MobileNetV2 as the paper tunes it."""
    loss: Loss = PLAIN
    needs: tuple[str, ...] = ()
    """Rows that it is made of: the trunks of an ensemble by kind of view, or what a stage goes on from."""


def _rows() -> list[Row]:
    found = [Row(kind, "network", kind) for kind in KINDS]
    found += [
        Row("ensemble", "ensemble", needs=KINDS),
        *(Row(f"probe-{kind}", "probe", kind) for kind in KINDS),
        Row("ensemble-fine-tuned", "fine_tuning", needs=("ensemble",)),
        Row(ALL_TYPES, "network", ALL_TYPES),
    ]
    losses = {f"focal-{gamma}": Loss(focal=gamma) for gamma in (1, 2, 5)} | {"population": Loss(population=True)}
    losses |= {"x3": Loss(phi="x^3"), "exp": Loss(phi="exp(x)"), "exp10": Loss(phi="exp(10x)"), "exp100": WEIGHTED}
    found += [Row(f"acetic-{name}", "network", "acetic", loss=loss) for name, loss in losses.items()]
    found += [Row(f"{kind}-exp100", "network", kind, loss=WEIGHTED) for kind in ("green", "iodine")]
    # The iodine trunk is the one of plain cross entropy: it is the better one (sec. 3.4.2, Table 10).
    found.append(Row("ensemble-weighted", "ensemble", loss=WEIGHTED, needs=("acetic-exp100", "green-exp100", "iodine")))
    found += [Row(name, "network", "acetic", name) for name in BASELINES]
    # Table 9's cross-entropy rows are other checkpoints than Table 5's: of the same training, the most balanced.
    found += [Row(f"{name}-balanced", "checkpoint", "acetic", name, needs=(name,)) for name in BASELINES]
    found += [Row(f"{name}-weighted", "network", "acetic", name, loss=WEIGHTED) for name in BASELINES]
    found += [Row(f"time-{name}", "time", backbone=name) for name in BASELINES]
    return [*found, Row("time-tuned", "time"), Row("time-ensemble", "time", needs=KINDS)]


ROWS = {row.name: row for row in _rows()}
MAIN = (*KINDS, "ensemble")
TABLES: dict[int, tuple[str, ...]] = {
    5: (*BASELINES, "acetic"),
    6: (ALL_TYPES, *MAIN, "ensemble-fine-tuned"),
    7: tuple(name for name in ROWS if name.startswith("time-")),
    8: tuple(
        name for name, row in ROWS.items() if row.images == "acetic" and not row.backbone and row.stage != "probe"
    ),
    9: tuple(f"{name}-{how}" for name in BASELINES for how in ("balanced", "weighted")),
    10: (*MAIN, "acetic-exp100", "green-exp100", "iodine-exp100", "ensemble-weighted"),
}


def wanted(config: Config, tables: Sequence[int], only: Sequence[str]) -> list[Row]:
    """The rows to run, in an order in which nothing is missing that a row is made of.

    `only` names rows whatever their table. Without tables and names: the paper's main model.

    Raises `InputError` for a name that no row has.
    """
    for name in only:
        if name not in ROWS:
            raise InputError(f"--only {name!r}: there is no such row; the rows are {', '.join(ROWS)}")
    names = set(only) or {name for table in tables for name in TABLES[table]} or set(MAIN)
    if config.probe and not only and (not tables or 6 in tables):
        names |= {name for name, row in ROWS.items() if row.stage == "probe"}
    return [row for name, row in ROWS.items() if name in names]
