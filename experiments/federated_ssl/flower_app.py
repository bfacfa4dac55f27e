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
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from cervix_tf.errors import InputError
from cervix_tf.federated.flower import federation_config
from cervix_tf.federated.flower.client import RECALIBRATE, answer, clipping, measure, site_name
from cervix_tf.federated.flower.federation_config import FederationConfig
from cervix_tf.federated.flower.secure import masking
from cervix_tf.ranges import FileOr, Range, ZeroOr
from experiments.federated_ssl.config import PRESETS, Config, Network

if TYPE_CHECKING:  # Flower loads this file for every message: TensorFlow is imported where it is used
    from cervix_tf.data.inputs import Inputs
    from cervix_tf.data.manifest import Manifest
    from cervix_tf.federated.client import Client, Trainer

client = ClientApp(mods=[masking, clipping])
server = ServerApp()


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """What the run config says of the study: a preset, and what differs from it ("" and 0: nothing)."""

    preset: str = "paper"
    network: Network | Literal[""] = ""
    weights: str = ""
    batch_size: Annotated[int, ZeroOr(Range(2))] = 0


@dataclasses.dataclass(frozen=True)
class Federation:
    """Everything that the run config says."""

    study: Config
    config: FederationConfig


def read(run_config: Mapping[str, Any]) -> Federation:
    """The study's preset with the fields that a federation may change, and the federation's config.

    Raises `InputError` that names the key.
    """
    agreed = federation_config.read(run_config)
    own = StudySettings(**federation_config.values_of(StudySettings, run_config))
    federation_config.check(own)
    if own.preset not in PRESETS:
        raise InputError(f"run config: preset {own.preset!r}: there are {', '.join(PRESETS)}")
    if own.network and own.network not in get_args(Network):
        raise InputError(f"run config: network {own.network!r}: there are {', '.join(get_args(Network))}")
    base = PRESETS[own.preset].config
    if own.weights and base.start == "random":
        raise InputError(f"run config: weights {own.weights}: preset {own.preset} starts from random weights")
    study = dataclasses.replace(
        base,
        network=own.network or base.network,
        weights=own.weights or base.weights,
        federated_batch_size=own.batch_size or base.federated_batch_size,
        federation=agreed.policy,
        patience=agreed.patience,
        seed=agreed.seed,
    )
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
    return Trainer(network, federation.config.policy, study.seed)


def initial_weights(study: Config) -> str:
    """What the server's backbone starts with: imagenet, random or a file. Raises `InputError` when it is none."""
    if study.start == "random":
        return "random"
    if wrong := FileOr("imagenet", "random").problem(study.weights):
        raise InputError(f"run config: weights {study.weights}: {wrong}, on the SuperLink's machine")
    return study.weights


def site(federation: Federation, name: str, settings: Mapping[str, Any]) -> Client:
    """The site and its images: rows of the manifest in its `settings` whose site is `name`, or is not given.

    Rows without a split are for training. Raises `InputError` when there are none for it, none to validate on
    where the sites do that, or a woman of both.
    """
    from cervix_tf.data import inputs, manifest, splits
    from experiments.federated_ssl import training

    if not settings.get("manifest"):
        raise InputError(
            f"site {name}: no images; start its SuperNode with --node-config \"manifest='/data/manifest.csv'\""
        )
    path = Path(settings["manifest"])
    listed = manifest.read(path, Path(settings["root"]) if settings.get("root") else None)
    here = listed.rows["site"].isin(["", name])

    def part(*names: str) -> Manifest:
        return listed.where(here & listed.rows["split"].isin(names))

    def images(*names: str) -> Inputs:
        return inputs.from_every_image(part(*names))

    splits.check_disjoint({"train": part("", "train"), "validation": part("validation")})
    study, n, train = federation.study, federation.study.federated_batch_size, images("", "train")
    if not len(train):
        raise InputError(f"{path}: no training images of site {name!r}; leave the column site empty, or name it so")
    own = training.client(study, name, train, n)
    if federation.config.validation == "none":
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
    settings = context.node_config if "manifest" in context.node_config else context.run_config
    own = site(federation, site_name(message), settings)
    return how(message, context, trainer(federation, "random"), own)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """The federation; the backbone's weights, for `--weights` of a study, are the last line that it prints."""
    from cervix_tf import atomic, durable, run_lock, start
    from cervix_tf.federated.flower.server import federate
    from cervix_tf.run_dir import RunDir

    federation, out = read(context.run_config), RunDir(Path(context.run_config["out"]))
    weights = initial_weights(federation.study)
    durable.make_folder(out.root)
    with run_lock.held(out.root):
        start.import_tensorflow(start.threads(0, [out]))
        start.begin(federation, out, sys.argv, federation.config.seed)
        together = trainer(federation, weights)
        federate(grid, together, federation.config, out)
        with atomic.replacing(out.best_weights) as part:
            together.network.get_layer("features").save_weights(part)
        print(f"weights of the backbone: {out.best_weights.resolve()}", flush=True)
