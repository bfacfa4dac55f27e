"""What the ServerApp of a federation does: its rounds, kept so that a stopped one goes on."""

from __future__ import annotations

import logging
import time

import numpy as np
from flwr.serverapp import Grid

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import Weights
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.flower.federation_config import FederationConfig
from cervix_tf.federated.flower.privacy import epsilon
from cervix_tf.federated.flower.strategy import Ring, Rounds
from cervix_tf.federated.policy import Policy
from cervix_tf.federated.round_checkpointer import RoundCheckpointer
from cervix_tf.federated.screening import problem
from cervix_tf.run_dir import RunDir, write_json

_LOG = logging.getLogger("flwr")


def federate(grid: Grid, trainer: Trainer, config: FederationConfig, out: RunDir) -> Weights:
    """The weights after all rounds, from those that the trainer's network has, which gets them too.

    `out` gets the files that a simulation writes: history.csv, federation.csv, the state
    after the last whole round, the weights at the end, which are the best round's where
    sites measure them. Started again after a failure, the federation goes on after that
    round; what sites kept for themselves is lost then, which is logged.

    Raises `InputError` when a round has fewer updates that count than the config asks for.
    """
    policy = config.policy
    if config.privacy != "none" and trainer.statistics and policy.batch_norm != "local":
        raise InputError(
            f"privacy with batch-norm {policy.batch_norm!r}: noise makes moving variances negative, and "
            "averaging them apart would reveal what the noise hides; set batch-norm to 'local'"
        )
    checkpointer = RoundCheckpointer(out, clients=(), patience=config.patience if config.validation == "sites" else 0)
    if out.federated_weights.exists():
        weights = checkpointer.read(out.federated_weights)
        trainer.network.set_weights(weights)
        return weights
    if config.privacy != "none":
        np.random.seed()  # Flower draws its noise from here: with the run's seed any site could take it off again
    with checkpointer:
        weights, done = checkpointer.restore(trainer.weights)
        if lost := lost_at_sites(policy, done):
            _LOG.warning("this federation goes on after round %d: %s", done, lost)
        if wrong := problem(weights, trainer.weights, trainer.variances):
            raise InputError(
                f"{out.root}: has no state from which this federation can continue ({wrong}); choose another folder"
            )
        rounds = (Ring if config.topology == "ring" else Rounds)(grid, trainer, config, checkpointer)
        while done < policy.rounds and not checkpointer.stalled:
            started = time.monotonic()
            weights, events = rounds.train(weights, done)
            losses = rounds.losses(weights, done, events) if config.validation == "sites" else {}
            checkpointer.keep(weights, time.monotonic() - started, events, losses)
            if config.privacy != "none":
                checkpointer.written()  # before a site sees it: drawn again, it would be one release more than counted
            done += 1
            _LOG.info("round %d of %d: %s", done, policy.rounds, checkpointer.history.iloc[-1].to_dict())
            if config.privacy != "none":
                _account(config, done, out)
        if checkpointer.best:
            _LOG.info("the result: the weights of round %d, which did best on validation images", checkpointer.best)
        again = policy.batch_norm == "recalibrate"
        weights = checkpointer.finish(weights, (lambda last: rounds.recalibrated(last, done)) if again else None)
    trainer.network.set_weights(weights)
    return weights


def lost_at_sites(policy: Policy, done: int) -> str:
    """What sites had kept for themselves when an earlier run ended after so many rounds; "" for nothing.

    Flower keeps it for as long as one run lasts.
    """
    kept = {"statistics": policy.batch_norm == "local", "optimizer state": policy.optimizer == "persist"}
    lost = " and ".join(what for what, at_sites in kept.items() if at_sites)
    if not done or not lost:
        return ""
    return f"the {lost} that sites kept for themselves are lost; losses before and after cannot be compared"


def _account(config: FederationConfig, releases: int, out: RunDir) -> None:
    """Write what the noise of the rounds so far is worth."""
    spent = epsilon(config.noise_multiplier, releases, config.delta)
    _LOG.info("privacy of a site after %d rounds: epsilon %.3f at delta %g", releases, spent, config.delta)
    write_json(
        out.privacy,
        {"epsilon": spent, "delta": config.delta, "releases": releases, "of": "a whole site, taking part or not"},
    )
