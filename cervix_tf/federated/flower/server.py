"""What the ServerApp of a federation does: its rounds, kept so that a stopped one goes on."""

from __future__ import annotations

import logging
import time

import numpy as np
from flwr.app import ArrayRecord
from flwr.serverapp import Grid

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Weights, problem
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.flower.privacy import epsilon
from cervix_tf.federated.flower.strategy import Ring, Rounds
from cervix_tf.federated.flower.terms import Terms
from cervix_tf.federated.keeper import Keeper
from cervix_tf.run_dir import RunDir, write_json

_LOG = logging.getLogger("flwr")
_FOREVER = 12 * 3600.0  # as long as Flower keeps a message


def federate(grid: Grid, trainer: Trainer, terms: Terms, out: RunDir) -> Weights:
    """The weights after all rounds, from those that the trainer's network has, which gets them too.

    `out` gets the files that a simulation writes: history.csv, federation.csv, the state
    after the last whole round, the weights at the end. Started again after a failure, the
    federation goes on after that round; what sites keep for themselves is at the sites.

    Raises `InputError` when a round has fewer updates that count than the terms ask for.
    """
    policy = terms.policy
    if terms.privacy != "none" and trainer.statistics and policy.batch_norm != "local":
        raise InputError(
            f"privacy with batch-norm {policy.batch_norm!r}: noise makes moving variances negative, and "
            "averaging them apart would tell what the noise hides; set batch-norm to 'local'"
        )
    keeper = Keeper(out, clients=(), patience=0)
    if out.federated_weights.exists():
        weights = keeper.read(out.federated_weights)
        trainer.network.set_weights(weights)
        return weights
    weights, done = keeper.restore(trainer.weights)
    if wrong := problem(weights, trainer.weights):
        raise InputError(f"{out.root}: holds a federation of another network ({wrong}); choose another folder")
    fixed = trainer.statistics if policy.batch_norm == "local" else []
    strategy = (Ring if terms.topology == "ring" else Rounds)(terms, fixed, done)
    timeout, started = policy.deadline or _FOREVER, time.monotonic()

    def keep(server_round: int, arrays: ArrayRecord) -> None:
        nonlocal weights, started
        if server_round == 0 or not strategy.ends(server_round):
            return
        weights, number = arrays.to_numpy_ndarrays(), strategy.round_of(server_round) + 1
        events = strategy.take_events()
        loss = np.mean([event["loss"] for event in events if event["event"] == "trained"])
        keeper.keep(weights, {"epoch": number, "loss": loss, "seconds": round(time.monotonic() - started, 3)}, events)
        started = time.monotonic()
        if terms.privacy != "none":
            _account(terms, number, out)

    if strategy.steps:
        strategy.start(grid, ArrayRecord(weights), strategy.steps, timeout, evaluate_fn=keep)
    again = policy.batch_norm == "recalibrate"
    weights = keeper.finish(weights, (lambda last: strategy.recalibrated(grid, last, timeout)) if again else None)
    trainer.network.set_weights(weights)
    return weights


def _account(terms: Terms, releases: int, out: RunDir) -> None:
    """Write what the noise of the rounds so far is worth."""
    spent = epsilon(terms.noise_multiplier, releases, terms.delta)
    _LOG.info("privacy of a site after %d rounds: epsilon %.3f at delta %g", releases, spent, terms.delta)
    write_json(
        out.privacy,
        {"epsilon": spent, "delta": terms.delta, "releases": releases, "of": "a whole site, present or absent"},
    )
