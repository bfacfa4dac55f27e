"""A Flower app of a network with 90 weights and sites with 12 random images each; a site can be told to fail."""

import os
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from cervix_tf.federated.flower import federation_config
from cervix_tf.federated.flower.client import RECALIBRATE, answer, clipping, measure, site_name
from cervix_tf.federated.flower.secure import masking

IMAGES, BATCH, SIDE = 12, 4, 6
client = ClientApp(mods=[masking, clipping])
server = ServerApp()


def network(seed):
    """The network, compiled, with the same initial weights everywhere."""
    import keras

    from cervix_tf.federated.flower.seeding import seeded
    from cervix_tf.layers import FusedBatchNormalization

    def build():
        return keras.Sequential(
            [
                keras.Input((SIDE, SIDE, 3)),
                keras.layers.Conv2D(4, 3, activation="relu"),
                FusedBatchNormalization(momentum=0.9),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(2),
            ]
        )

    built = seeded(seed, build)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly in a process that takes three steps and ends, since tracing them takes longer.
    eagerly = bool(os.environ.get("TINY_EAGERLY"))
    built.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, jit_compile=False, run_eagerly=eagerly)
    return built


def trainer(agreed):
    """What trains and measures at every site."""
    from cervix_tf.federated.client import Trainer

    return Trainer(network(agreed.seed), agreed.policy, agreed.seed)


def site(name):
    """A site's data: its own, in another order every epoch, and as many validation images."""
    import tensorflow as tf

    from cervix_tf.federated.client import Client
    from cervix_tf.seeds import seed_of

    rng = np.random.default_rng(seed_of(0, name))
    shift = rng.uniform(-1, 1)

    def images():
        return (rng.normal(shift, 1, (IMAGES, SIDE, SIDE, 3)).astype("float32"),
                rng.integers(0, 2, IMAGES).astype("int32"))  # fmt: skip

    (x, y), held_out = images(), images()

    def batches(first):
        orders = [np.random.default_rng(epoch).permutation(IMAGES) for epoch in range(first, first + 20)]
        return tf.data.Dataset.from_tensor_slices((x[np.concatenate(orders)], y[np.concatenate(orders)])).batch(BATCH)

    return Client(
        name, batches, IMAGES // BATCH, IMAGES, held_out=tf.data.Dataset.from_tensor_slices(held_out).batch(BATCH)
    )


def fault_of(message, context):
    """What the run's `fault` (KIND:SITE:ROUND; ...) wants of this site now, if anything."""
    name, now = site_name(message), str(message.content["config"]["round"] + 1)
    for one in filter(None, context.run_config["fault"].split(";")):
        kind, *where = one.split(":")
        if where in ([name, now], [name, "*"]):
            return kind
    return ""


def spoilt(kind, weights, variances):
    """The weights of a site that is broken, or lies."""
    if kind == "nan":
        weights[0][0, 0, 0, 0] = np.nan
    if kind == "shape":
        weights[0] = weights[0][1:]
    if kind == "far":
        weights = [array + 100 for array in weights]
    if kind.startswith("times"):
        weights = [array * np.float32(kind.removeprefix("times")) for array in weights]
    if kind == "negative":
        for at in variances:
            weights[at] = -weights[at]
    return weights


@client.train()
def train(message, context):
    """Local training; spoilt where `fault` says so."""
    agreed, kind = federation_config.read(context.run_config), fault_of(message, context)
    if kind == "hang":
        (Path(context.run_config["out"]) / "hanging").touch()
        time.sleep(600)
    if kind == "raise":
        raise OSError("the disk is gone")
    local = trainer(agreed)
    reply = answer(message, context, local, site(site_name(message)))
    if kind:
        weights = spoilt(kind, reply.content["arrays"].to_numpy_ndarrays(), local.variances)
        reply.content["arrays"] = ArrayRecord(weights)
    if kind == "garbage":
        reply.content["metrics"]["examples"] = float("inf")
    if kind == "count":
        reply.content["metrics"]["examples"] = 10**18
    return reply


@client.train(RECALIBRATE)
def recalibrate(message, context):
    """The site's moving statistics."""
    return answer(message, context, trainer(federation_config.read(context.run_config)), site(site_name(message)))


@client.evaluate()
def validate(message, context):
    """The loss of the common weights on the site's validation images."""
    if fault_of(message, context) == "blind":
        raise OSError("the disk is gone")
    return measure(message, context, trainer(federation_config.read(context.run_config)), site(site_name(message)))


@server.main()
def main(grid, context):
    """The federation; its weights are in the run directory."""
    from cervix_tf.federated.flower.server import federate
    from cervix_tf.run_dir import RunDir

    agreed = federation_config.read(context.run_config)
    federate(grid, trainer(agreed), agreed, RunDir(Path(context.run_config["out"])))
