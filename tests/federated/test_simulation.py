import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.federated import simulation
from cervix_tf.federated.averaging import average
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.policy import Policy
from cervix_tf.run_dir import RunDir

STEPS, ROUNDS = 3, 3


@pytest.mark.parametrize("topology", ["server", "ring"])
def test_one_client_equals_centralised_training_bit_for_bit(topology, network, client, batches, same, tmp_path):
    alone, federated = network(), network()
    alone.fit(batches(0)(0), epochs=4, steps_per_epoch=STEPS, verbose=0, shuffle=False)
    trainer = Trainer(federated, Policy(rounds=4, optimizer="persist"), seed=0)
    found = simulation.run([trainer], [client("one")], trainer.weights, RunDir(tmp_path), topology=topology)
    assert same(found, alone.get_weights())


def test_clients_that_are_all_alike_equal_one_of_them(network, client, same, tmp_path):
    trainer = Trainer(network(), Policy(rounds=3, optimizer="persist"), seed=0)  # no random layers: seeds go by name
    first = trainer.weights
    one = simulation.run([trainer], [client("one")], first, RunDir(tmp_path / "one"))
    three = simulation.run([trainer], [client(name) for name in "abc"], first, RunDir(tmp_path / "three"))
    assert same(one, three)
    assert not same(one, first)


def test_the_order_of_clients_changes_nothing_for_a_server_and_everything_for_a_ring(federate, client, same):
    def named(*names):
        return [client(name, ord(name)) for name in names]

    assert same(federate(named("a", "b", "c"), "abc"), federate(named("c", "a", "b"), "cab"))
    ring = federate(named("a", "b", "c"), "ring-abc", "ring"), federate(named("b", "c", "a"), "ring-bca", "ring")
    assert not same(*ring)


def test_a_round_of_a_ring_is_one_client_after_the_other_and_one_of_a_server_their_average(federate, client, same):
    def two():
        return [client("a", 1, 8), client("b", 2, 16)]

    trainer = Trainer(federate.network, Policy(), seed=0)
    a, b = two()
    first = trainer.train(a, federate.first, 0)
    handed_on, beside = trainer.train(b, first.weights, 0), trainer.train(b, federate.first, 0)
    assert same(federate(two(), "ring", "ring", rounds=1), handed_on.weights)
    assert same(federate(two(), "plain", rounds=1), average([first, beside]))
    by_size = federate(two(), "by_size", rounds=1, weighting="by_size")
    assert same(by_size, average([first, beside], "by_size"))
    kernel = (first.weights[0] + 2 * beside.weights[0]) / 3
    np.testing.assert_allclose(by_size[0], kernel, rtol=1e-6)
    measured = [trainer.recalibrate(each, by_size) for each in two()]
    again = federate(two(), "recalibrated", rounds=1, weighting="by_size", batch_norm="recalibrate")
    assert same(again, average(measured, "by_size")) and not same(again, average(measured))


def test_labelled_training_of_two_sites_learns_what_both_know(federate, client):
    def held_out(weights):
        federate.network.set_weights(weights)
        return float(np.mean([federate.network.evaluate(c.batches(0), steps=STEPS, verbose=0) for c in sites]))

    sites = [client("a", 3), client("b", 5)]
    before = held_out(federate.first)
    after = held_out(federate(sites, rounds=12, held_out=held_out))
    history = pd.read_csv(RunDir(federate.root / "run").history)
    assert after < 0.8 * before
    assert after == pytest.approx(history["val_loss"].min())  # the best round's weights are the result
    assert list(history["epoch"]) == list(range(1, 13))


def test_rounds_without_improvement_end_the_federation(federate, client):
    losses = iter([0.5, 0.4, 0.6, 0.7, 0.3])
    federate([client("a")], rounds=9, held_out=lambda _: next(losses), patience=2)
    assert list(pd.read_csv(RunDir(federate.root / "run").history)["val_loss"]) == [0.5, 0.4, 0.6, 0.7]


POLICIES = [
    {"optimizer": "persist"},
    {"batch_norm": "local", "topology": "ring", "optimizer": "persist"},
    {"batch_norm": "recalibrate", "local_epochs": 2},
]


@pytest.mark.parametrize("settings", POLICIES)
def test_a_kill_between_any_two_writes_changes_nothing(settings, federate, client, same, monkeypatch):
    def two():
        return [client("a", 1), client("b", 2)]

    settings = {"held_out": lambda weights: float(np.abs(weights[0]).mean()), **settings}
    clients = two()
    whole, kept = federate(clients, "whole", **settings), [each.kept for each in clients]
    real, left = atomic.replacing, [0]

    def dying(target):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(target)

    monkeypatch.setattr(atomic, "replacing", dying)
    kills = 0
    for at in (1, 2, 3, 4, 5, 4, 3):  # that many writes after each start
        left[0] = at
        clients = two()
        try:
            federate(clients, "killed", **settings)
        except KeyboardInterrupt:
            kills += 1
    left[0] = 0
    assert kills >= 4
    clients = two()
    assert same(federate(clients, "killed", **settings), whole)
    assert all(same(each.kept, before) for each, before in zip(clients, kept, strict=True))
    again = two()
    assert same(federate(again, "killed", **settings), whole)  # finished: read, not trained
    assert all(same(each.kept, before) for each, before in zip(again, kept, strict=True))
    one, other = (pd.read_csv(RunDir(federate.root / name).federation) for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))
    assert [path.name for path in (federate.root / "killed" / "checkpoints").iterdir()] == ["federated.npz"]


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import keras, numpy as np, tensorflow as tf
from cervix_tf.federated import simulation
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.policy import Policy
from cervix_tf.run_dir import RunDir

keras.utils.set_random_seed(0)
network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, activation="relu"),
                            keras.layers.BatchNormalization(), keras.layers.Dropout(0.3), keras.layers.Dense(2)])
network.compile(keras.optimizers.SGD(0.1, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                jit_compile=False)

def batches(seed):
    def batch(step):
        at = tf.stack([step, seed])
        return tf.random.stateless_normal((8, 5), at), tf.random.stateless_uniform((8,), at, maxval=2, dtype=tf.int32)
    return lambda first: tf.data.Dataset.range(2 * first, 10_000).map(batch)

policy = Policy(rounds=int(sys.argv[3]), optimizer="persist", batch_norm="local")
clients = [Client(name, batches(at), 2, 16) for at, name in enumerate("ab")]
trainer = Trainer(network, policy, seed=0)
print("ready", flush=True)
weights = simulation.run([trainer], clients, trainer.weights, RunDir(Path(sys.argv[2])), topology=sys.argv[4])
np.savez(sys.argv[2] + ".npz", *weights, *clients[0].kept, *clients[1].kept)
"""


def start(out, rounds, topology="server"):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[2]), str(out), str(rounds), topology]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def killed_and_whole(folder, kills, rounds=12, seed=0):
    """Runs a federation whole, and once more with so many SIGKILLs at random moments; the files of both ends."""
    started = time.monotonic()
    assert start(folder / "whole", rounds).wait() == 0
    length, generator = time.monotonic() - started, np.random.default_rng(seed)
    died = 0
    while died < kills:
        process = start(folder / "killed", rounds)
        time.sleep(generator.uniform(0, length / kills))
        process.kill()
        died += process.wait() == -9
    assert start(folder / "killed", rounds).wait() == 0
    return np.load(folder / "whole.npz"), np.load(folder / "killed.npz")


def test_a_federation_killed_by_sigkill_and_started_again_ends_with_the_same_weights(tmp_path):
    whole, killed = killed_and_whole(tmp_path, kills=2)
    assert whole.files == killed.files
    assert all(np.array_equal(whole[name], killed[name]) for name in whole.files)


@pytest.mark.parametrize(
    ("how", "event", "reason"),
    [("dies", "died", "disk gone"), ("is NaN", "refused", "not finite"), ("is late", "late", "after 6 s")],
)
@pytest.mark.parametrize("topology", ["server", "ring"])
def test_a_round_ends_with_the_others_when_a_client_fails(
    how, event, reason, topology, federate, client, capsys, failing
):
    sites = [client("a", 1), client("b", 2), client("c", 3)]
    sites[1].batches = failing(sites[1].batches, how, 1)
    deadline = 6.0 if how == "is late" else 0.0  # longer than the first round's tracing on a busy machine
    found = federate(sites, topology=topology, minimum=2, optimizer="persist", deadline=deadline)
    assert all(np.isfinite(array).all() for array in found)
    told = pd.read_csv(RunDir(federate.root / "run").federation, keep_default_na=False)
    assert [(line.round, line.client) for line in told.itertuples() if line.event != "trained"] == [(2, "b")]
    (line,) = told[told["event"] != "trained"].itertuples()
    assert line.event == event and reason in line.reason
    assert f"round 2: without b {event}" in capsys.readouterr().out
    assert len(told) == 9 and (told[told["round"] == 3]["event"] == "trained").all()  # it is back


def test_a_failed_clients_update_has_no_part_in_the_average(federate, client, same, failing):
    spoilt = client("b", 2)
    spoilt.batches = failing(spoilt.batches, "is NaN", 0)
    together = federate([client("a", 1), spoilt], "both", rounds=1, minimum=1)
    assert same(together, federate([client("a", 1)], "alone", rounds=1))


def test_wrong_shapes_are_refused_with_their_reason(federate, client, monkeypatch):
    real = Trainer.train

    def other_shapes(self, of, weights, round):
        update = real(self, of, weights, round)
        return type(update)(**{**vars(update), "weights": update.weights[1:]}) if of.name == "b" else update

    monkeypatch.setattr(Trainer, "train", other_shapes)
    federate([client("a", 1), client("b", 2)], minimum=1, rounds=1)
    told = pd.read_csv(RunDir(federate.root / "run").federation, keep_default_na=False)
    assert list(told["event"]) == ["trained", "refused"] and told["reason"][1] == "7 arrays instead of 8"


def test_too_few_clients_end_the_federation_and_it_goes_on_once_they_are_back(federate, client, same, failing):
    def two():
        return [client("a", 1), client("b", 2)]

    sites = two()
    sites[1].batches = failing(sites[1].batches, "dies", 1)
    with pytest.raises(InputError, match=r"round 2: 1 of 2 clients came back, 2 are needed \(b died: disk gone\)"):
        federate(sites, "broken")
    assert same(federate(two(), "broken"), federate(two(), "whole"))


def test_bytes_of_each_client_and_round_are_counted(federate, client, failing):
    spoilt = client("b", 2)
    spoilt.batches = failing(spoilt.batches, "dies", 1)
    federate([client("a", 1), spoilt], minimum=1)
    size = sum(array.nbytes for array in federate.first)
    told = pd.read_csv(RunDir(federate.root / "run").federation)
    assert list(told["bytes_received"]) == [size] * 6
    assert list(told["bytes_sent"]) == [size, size, size, 0, size, size]


TWO_DEVICES = """
import sys
from pathlib import Path
import numpy as np, keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from cervix_tf.federated import simulation
from cervix_tf.federated.client import Client, Trainer
from cervix_tf.federated.policy import Policy
from cervix_tf.layers import FusedBatchNormalization
from cervix_tf.run_dir import RunDir
from cervix_tf.training import devices

def network(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        built = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(4, 3), FusedBatchNormalization(),
                                  keras.layers.Flatten(), keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        built.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=False)
    return built

def batches(seed):
    def batch(step):
        at = tf.stack([step, seed])
        pixels = tf.random.stateless_normal((8, 4, 4, 3), at)
        return pixels, tf.random.stateless_uniform((8,), at, maxval=2, dtype=tf.int32)
    return lambda first: tf.data.Dataset.range(2 * first, 1000).map(batch)

def run(strategies, name):
    policy = Policy(rounds=2, optimizer="persist", batch_norm="recalibrate")
    trainers = [Trainer(network(strategy), policy, 0) for strategy in strategies]
    clients = [Client(each, batches(at), 2, 16) for at, each in enumerate("abc")]
    return simulation.run(trainers, clients, trainers[0].weights, RunDir(Path(sys.argv[1]) / name))

alone = run([tf.distribute.get_strategy()], "alone")
apart = run([tf.distribute.OneDeviceStrategy(f"/cpu:{at}") for at in range(2)], "apart")
assert all(np.array_equal(a, b) for a, b in zip(alone, apart, strict=True))
mirrored = run([devices.strategy("2")], "mirrored")
# Batch normalization sees half a batch on each of two mirrored devices, so weights are near and not the same.
assert all(np.isfinite(a).all() and a.shape == b.shape for a, b in zip(mirrored, alone, strict=True))
assert max(np.abs(a - b).max() for a, b in zip(mirrored[:2], alone[:2])) < 0.1
print("same")
"""


def test_clients_side_by_side_on_two_devices_equal_clients_in_turn_and_mirrored_devices_can_train_them(tmp_path):
    command = [sys.executable, "-c", TWO_DEVICES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("same"), done.stderr[-2000:]
