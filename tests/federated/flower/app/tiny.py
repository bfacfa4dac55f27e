"""A Flower app of a network with 90 weights and sites with 12 random images each; a site can be told to fail."""

import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from cervix_tf.federated.flower import terms
from cervix_tf.federated.flower.client import RECALIBRATE, answer, clipping, name_of

IMAGES, BATCH, SIDE = 12, 4, 6
client = ClientApp(mods=[clipping])
server = ServerApp()


def trainer(agreed):
    """The network, compiled, with the same first weights everywhere."""
    import keras

    from cervix_tf.federated.client import Trainer
    from cervix_tf.layers import FusedBatchNormalization

    keras.utils.set_random_seed(agreed.seed)
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            FusedBatchNormalization(momentum=0.9),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, jit_compile=False)
    return Trainer(network, agreed.policy, agreed.seed)


def site(name):
    """A site's data: its own, and another order every epoch."""
    import tensorflow as tf

    from cervix_tf.federated.client import Client
    from cervix_tf.seeds import seed_of

    rng = np.random.default_rng(seed_of(0, name))
    x = rng.normal(rng.uniform(-1, 1), 1, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    y = rng.integers(0, 2, IMAGES).astype("int32")

    def batches(first):
        orders = [np.random.default_rng(epoch).permutation(IMAGES) for epoch in range(first, first + 20)]
        return tf.data.Dataset.from_tensor_slices((x[np.concatenate(orders)], y[np.concatenate(orders)])).batch(BATCH)

    return Client(name, batches, IMAGES // BATCH, IMAGES)


@client.train()
def train(message, context):
    """Local training; spoilt where `fault` says so: KIND:SITE:ROUND."""
    agreed = terms.read(context.run_config)
    name, now = name_of(message), message.content["config"]["round"] + 1
    fault = context.run_config["fault"].split(":")
    kind = fault[0] if fault[1:] == [name, str(now)] else ""
    if kind == "hang":
        (Path(context.run_config["out"]) / "hanging").touch()
        time.sleep(600)
    if kind == "raise":
        raise OSError("the disk is gone")
    reply = answer(message, context, trainer(agreed), site(name))
    weights = reply.content["arrays"].to_numpy_ndarrays()
    if kind == "nan":
        weights[0][0, 0, 0, 0] = np.nan
    if kind == "shape":
        weights[0] = weights[0][1:]
    if kind == "far":
        weights = [array + 100 for array in weights]
    if kind == "garbage":
        reply.content["metrics"]["examples"] = float("inf")
    if kind:
        reply.content["arrays"] = ArrayRecord(weights)
    return reply


@client.train(RECALIBRATE)
def recalibrate(message, context):
    """The site's moving statistics."""
    return answer(message, context, trainer(terms.read(context.run_config)), site(name_of(message)))


@server.main()
def main(grid, context):
    """The federation; its weights are in the run directory."""
    from cervix_tf.federated.flower.server import federate
    from cervix_tf.run_dir import RunDir

    agreed = terms.read(context.run_config)
    federate(grid, trainer(agreed), agreed, RunDir(Path(context.run_config["out"])))
