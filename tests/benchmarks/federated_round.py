"""What a round of two clients costs beside training, with ResNet-50's weights: ours and Flower's simulation engine.

Ours keeps every round on disk, Flower's engine keeps nothing.
"""

from __future__ import annotations

import functools
import queue
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from row import Measure, Row

SITES = ("a", "b")
ROUNDS = 4


@functools.cache
def trainer():
    """ResNet-50 whose training takes no time: everything around it does what it always does."""
    import keras

    from cervix_tf.federated.client import Trainer
    from cervix_tf.federated.policy import Policy
    from cervix_tf.models import backbones

    network = backbones.backbone("resnet50", 64, 64, weights="random")
    network.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", jit_compile=False)
    network.fit = lambda *_, **__: SimpleNamespace(history={"loss": [0.0]})
    return Trainer(network, Policy(rounds=ROUNDS), seed=0)


def client(name: str):
    """A client without data."""
    from cervix_tf.federated.client import Client

    return Client(name, lambda first: None, steps=1, examples=1)


def ours() -> Measure:
    """A whole federation, by its rounds."""
    from cervix_tf.federated import simulation
    from cervix_tf.run_dir import RunDir

    alone = trainer()
    first, clients = alone.weights, [client(name) for name in SITES]

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            simulation.run([alone], clients, first, RunDir(Path(folder)))
            return (time.perf_counter() - started) / ROUNDS

    measure()
    return measure


def flower() -> Measure:
    """Flower's engine, kept running; each measurement is one round of its FedAvg."""
    from flwr.app import ArrayRecord, ConfigRecord
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    from cervix_tf.federated.flower.client import answer

    wanted: queue.Queue[None] = queue.Queue()
    taken: queue.Queue[float] = queue.Queue()
    server, site = ServerApp(), ClientApp()

    @site.train()
    def train(message, context):
        return answer(message, context, trainer(), client("a"))

    @server.main()
    def main(grid, context):
        strategy = FedAvg(weighted_by_key="examples")
        arrays = ArrayRecord(trainer().weights)
        while True:
            wanted.get()
            started = time.perf_counter()
            messages = strategy.configure_train(1, arrays, ConfigRecord({"client": "a", "round": 0}), grid)
            arrays, _ = strategy.aggregate_train(1, grid.send_and_receive(messages))
            assert arrays is not None
            taken.put(time.perf_counter() - started)

    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": len(SITES)}}
    engine = functools.partial(run_simulation, server, site, len(SITES), backend_config=resources)
    threading.Thread(target=engine, daemon=True).start()

    def measure() -> float:
        wanted.put(None)
        return taken.get()

    measure()  # starts Ray, builds the networks
    return measure


ROWS = [
    Row(
        "Federated round, two clients, ResNet-50's weights, all but training",
        "s",
        {"ours": ours, "flower simulation": flower},
        more_is_better=False,
        target="ours at most 0.3 s and at most a tenth of Flower's",
    ),
]
