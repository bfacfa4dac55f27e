"""What the ServerApp of a federation does: its rounds, kept so that a stopped one goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.app import ArrayRecord
from flwr.serverapp import Grid

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Weights, problem
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.flower.privacy import epsilon
from cervix_tf.federated.flower.strategy import Answer, Ring, Rounds
from cervix_tf.federated.flower.terms import Terms
from cervix_tf.run_dir import RunDir, write_json

_LOG = logging.getLogger("flwr")
_FOREVER = 12 * 3600.0  # as long as Flower keeps a message
COLUMNS = ("round", "client", "examples", "loss", "seconds", "bytes_received", "event")
"""Of the record, `RunDir.history`: one line a site and round, rounds from 1, bytes as the server counts them."""


def federate(grid: Grid, trainer: Trainer, terms: Terms, out: RunDir) -> Weights:
    """The weights after all rounds, from those that the trainer's network has, which gets them too.

    After every round the weights are kept in `out`, and its record has a line for every
    site: started again after a failure, the federation goes on after the last whole round.
    At the end the network's weights are in `out.best_weights`.

    Raises `InputError` when a round has fewer updates that count than the terms ask for.
    """
    if terms.privacy != "none" and trainer.statistics and terms.policy.batch_norm != "local":
        raise InputError(
            f"privacy with batch-norm {terms.policy.batch_norm!r}: noise makes moving variances negative, and "
            "averaging them apart would tell what the noise hides; set batch-norm to 'local'"
        )
    kept = _Kept(out)
    done, weights = kept.newest(trainer.weights)
    fixed = trainer.statistics if terms.policy.batch_norm == "local" else []
    strategy = (Ring if terms.scheme == "ring" else Rounds)(terms, fixed, kept.answer, done)

    def keep(server_round: int, arrays: ArrayRecord) -> None:
        nonlocal weights
        if server_round and strategy.ends(server_round):
            weights = arrays.to_numpy_ndarrays()
            number = strategy.round_of(server_round) + 1
            kept.round(number, weights)
            if terms.privacy != "none":
                kept.privacy(terms, number)

    if strategy.steps:
        timeout = terms.policy.deadline or _FOREVER
        strategy.start(grid, ArrayRecord(weights), strategy.steps, timeout, evaluate_fn=keep)
    if terms.policy.batch_norm == "recalibrate":
        weights = strategy.recalibrated(grid, weights, terms.policy.deadline or _FOREVER)
    trainer.network.set_weights(weights)
    with atomic.replacing(out.best_weights) as part:
        trainer.network.save_weights(part)
    return weights


class _Kept:
    """What a federation has on disk: the weights after its last whole round, and the record of all."""

    def __init__(self, out: RunDir) -> None:
        self.out = out
        self.rows = pd.read_csv(out.history) if out.history.exists() else pd.DataFrame(columns=list(COLUMNS))

    def newest(self, first: Weights) -> tuple[int, Weights]:
        """Rounds that are done, and the weights after them; `first` before any."""
        found = {int(path.stem.removeprefix("round-")): path for path in self.out.checkpoints.glob("round-*.npz")}
        if not found:
            return 0, first
        done = max(found)
        with np.load(found[done]) as arrays:
            weights = [arrays[name] for name in arrays.files]
        wrong = problem(weights, first)
        if wrong:
            raise InputError(f"{found[done]}: is of another network ({wrong}); give the run another name")
        return done, weights

    def answer(self, answer: Answer) -> None:
        """Add a line to the record, also of a round that then fails."""
        update = answer.update
        row: dict[str, object] = {"round": answer.round + 1, "client": answer.client, "event": answer.event}
        if update is not None:
            row |= {
                "examples": update.examples,
                "loss": update.losses[-1] if update.losses else None,
                "seconds": round(update.seconds, 3),
                "bytes_received": sum(array.nbytes for array in update.weights),
            }
        self.rows = pd.DataFrame([*self.rows.to_dict("records"), row], columns=list(COLUMNS))
        atomic.write_text(self.out.history, self.rows.to_csv(index=False, lineterminator="\n"))

    def round(self, number: int, weights: Weights) -> None:
        """Keep the weights after a round instead of those after the round before."""
        with atomic.replacing(self._weights(number)) as part:
            np.savez(part, *weights)
        self._weights(number - 1).unlink(missing_ok=True)

    def privacy(self, terms: Terms, releases: int) -> None:
        """Write what the noise of the rounds so far is worth."""
        spent = epsilon(terms.noise_multiplier, releases, terms.delta)
        _LOG.info("privacy of a site after %d rounds: epsilon %.3f at delta %g", releases, spent, terms.delta)
        write_json(
            self.out.privacy,
            {"epsilon": spent, "delta": terms.delta, "releases": releases, "of": "a whole site (present or absent)"},
        )

    def _weights(self, number: int) -> Path:
        return self.out.checkpoints / f"round-{number}.npz"
