"""The study's self-supervised learning between institutions: what Flower runs at a site and at the server.

`flower/pyproject.toml` is the app that `flwr run` sends round: settings alone, since the
code is what each institution has installed. `flower/README.md` is the way from
certificates to the final weights.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from cervix_tf import ranges
from cervix_tf.errors import InputError
from cervix_tf.federated.flower import terms
from cervix_tf.federated.flower.client import RECALIBRATE, answer, clipping, measure, name_of
from cervix_tf.federated.flower.secure import masking
from cervix_tf.federated.flower.terms import Terms
from experiments.federated_ssl.config import PRESETS, Config, Network

if TYPE_CHECKING:  # Flower loads this file for every message: TensorFlow is imported where it is used
    from cervix_tf.data.inputs import Inputs
    from cervix_tf.federated.client import Client, Trainer

client = ClientApp(mods=[masking, clipping])
server = ServerApp()


@dataclasses.dataclass(frozen=True)
class Federation:
    """Everything that the run config says."""

    study: Config
    terms: Terms


def read(run_config: Mapping[str, Any]) -> Federation:
    """The study's preset with the fields that a federation may change, and the terms.

    Raises `InputError` that names the key.
    """
    preset = run_config["preset"]
    if preset not in PRESETS:
        raise InputError(f"run config: preset {preset!r}: there are {', '.join(PRESETS)}")
    agreed, base = terms.read(run_config), PRESETS[preset].config
    study = dataclasses.replace(
        base,
        network=run_config["network"] or base.network,
        weights=run_config["weights"] or base.weights,
        federated_batch_size=run_config["batch-size"] or base.federated_batch_size,
        federation=agreed.policy,
        patience=agreed.patience,
        seed=agreed.seed,
    )
    if study.network not in get_args(Network):
        raise InputError(f"run config: network {study.network!r}: there are {', '.join(get_args(Network))}")
    here = dataclasses.replace(study, weights=base.weights)  # a file of the server, which sites do not have
    if wrong := list(ranges.problems(here, "run config: ")):
        raise InputError("\n".join(wrong))
    return Federation(study, agreed)


def trainer(federation: Federation, weights: str) -> Trainer:
    """The network with its projection, compiled for self-supervised learning; `weights`: of its backbone."""
    from cervix_tf.federated.client import Trainer
    from cervix_tf.federated.flower.seeding import seeded
    from cervix_tf.seeds import seed_of
    from experiments.federated_ssl import model, training

    study = federation.study
    seed = seed_of(study.seed, "first weights")
    network = seeded(seed, lambda: model.learner(study, model.encoder(study, weights)))
    training.compile_learner(network, study)
    return Trainer(network, federation.terms.policy, study.seed)


def site(federation: Federation, name: str, place: Mapping[str, Any]) -> Client:
    """The site and its images: rows of the manifest at `place` whose site is `name`, or is not given.

    Rows without a split are for training. Raises `InputError` when there are none for it, or none to validate on
    where the sites do that.
    """
    from cervix_tf.data import inputs, manifest
    from experiments.federated_ssl import training

    if not place.get("manifest"):
        raise InputError(
            f"site {name}: no images; start its SuperNode with --node-config \"manifest='/data/manifest.csv'\""
        )
    path = Path(place["manifest"])
    listed = manifest.read(path, Path(place["root"]) if place.get("root") else None)
    here = listed.rows["site"].isin(["", name])

    def images(*parts: str) -> Inputs:
        return inputs.from_every_image(listed.where(here & listed.rows["split"].isin(parts)))

    study, n, train = federation.study, federation.study.federated_batch_size, images("", "train")
    if not len(train):
        raise InputError(f"{path}: no training images of site {name!r}; leave the column site empty, or name it so")
    own = training.client(study, name, train, n)
    if federation.terms.validation == "none":
        return own
    validation = images("validation")
    if not len(validation):
        raise InputError(
            f"{path}: no validation images of site {name!r}; fill the column split (`python -m cervix_tf.data split`), "
            "or run with validation='none'"
        )
    return dataclasses.replace(own, held_out=training.validation_views(study, n, validation))


@client.train()
def train(message: Message, context: Context) -> Message:
    """Local training."""
    return _answered(message, context)


@client.train(RECALIBRATE)
def recalibrate(message: Message, context: Context) -> Message:
    """Moving statistics with the final weights."""
    return _answered(message, context)


@client.evaluate()
def validate(message: Message, context: Context) -> Message:
    """The loss of the common weights on the site's validation images."""
    return _answered(message, context, measure)


def _answered(message: Message, context: Context, how: Callable[..., Message] = answer) -> Message:
    from cervix_tf import start

    start.import_tensorflow()
    federation = read(context.run_config)
    place = context.node_config if "manifest" in context.node_config else context.run_config
    own = site(federation, name_of(message), place)
    return how(message, context, trainer(federation, "random"), own)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """The federation; the backbone's weights, for `--weights` of a study, are the last line that it prints."""
    from cervix_tf import atomic, durable, run_lock, start
    from cervix_tf.federated.flower.server import federate
    from cervix_tf.run_dir import RunDir

    federation, out = read(context.run_config), RunDir(Path(context.run_config["out"]))
    durable.make_folder(out.root)
    with run_lock.held(out.root):
        start.import_tensorflow(start.threads(0, [out]))
        start.begin(federation, out, sys.argv, federation.terms.seed)
        study = federation.study
        together = trainer(federation, study.weights if study.start == "imagenet" else "random")
        federate(grid, together, federation.terms, out)
        with atomic.replacing(out.best_weights) as part:
            together.network.get_layer("features").save_weights(part)
        print(f"weights of the backbone: {out.best_weights.resolve()}", flush=True)
