"""Four clients, one of which lies, for five rounds: the other three go on as if they were alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from cervix_tf.errors import InputError
from cervix_tf.federated import simulation
from cervix_tf.federated.averaging import Update
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.policy import Policy
from cervix_tf.run_dir import RunDir

ROUNDS = 5
LIES = {
    "times 1e6": lambda update: scaled(update, 1e6),
    "times 1e30": lambda update: scaled(update, 1e30),
    "NaN": lambda update: scaled(update, np.nan),
    "negative variances": None,  # needs their positions
    "count 1e18": lambda update: dataclasses.replace(update, examples=10**18),
    "loss NaN": lambda update: dataclasses.replace(update, losses=(float("nan"),)),
}


def with_weights(update, weights):
    """The update with other weights in front."""
    return dataclasses.replace(update, weights=[*weights, *update.weights[len(weights) :]])


def scaled(update, factor):
    with np.errstate(over="ignore"):
        return with_weights(update, [array * np.float32(factor) for array in update.weights])


class Lying(Trainer):
    """Trains all clients, but from a round on "liar" sends back a lie about what it was given."""

    lie, since = None, 0

    def train(self, client, weights, round):
        if self.lie is None or client.name != "liar" or round < self.since:
            return super().train(client, weights, round)
        return self.lie(Update("liar", [array * np.float32(1.01) for array in weights], client.examples, (0.5,), 0.1))


@pytest.fixture(scope="module")
def shared_network(network):
    """A network, its initial weights, and the positions of moving variances among them."""
    shared = network()
    return shared, shared.get_weights(), Trainer(shared, Policy(), 0).variances


@pytest.fixture
def federate(shared_network, client, tmp_path):
    """federate(names, lie=None, name="run", since=0, topology="server", **policy): weights and record."""
    shared, first, variances = shared_network

    def negative(update):
        weights = [-array if at in variances else array for at, array in enumerate(update.weights)]
        return with_weights(update, weights)

    def run(names, lie="", name="run", since=0, topology="server", **policy):
        trainer = Lying(shared, Policy(**{"rounds": ROUNDS, "minimum": 3, **policy}), seed=0)
        trainer.since = since
        if lie:
            trainer.lie = negative if lie == "negative variances" else LIES[lie]
        out = RunDir(tmp_path / name)
        clients = [client(each, ord(each[0])) for each in names]
        weights = simulation.run([trainer], clients, first, out, topology=topology)
        return weights, pd.read_csv(out.federation, keep_default_na=False)

    run.record = lambda name="run": pd.read_csv(RunDir(tmp_path / name).federation, keep_default_na=False)
    return run


@pytest.fixture(scope="module")
def alone(shared_network, client, tmp_path_factory):
    """The three honest clients' weights without the liar, by topology and weighting."""
    shared, first, _ = shared_network
    found = {}
    for topology, weighting in (("server", "plain"), ("server", "by_size"), ("ring", "plain")):
        trainer = Trainer(shared, Policy(rounds=ROUNDS, weighting=weighting), seed=0)
        clients = [client(name, ord(name)) for name in "abc"]
        out = RunDir(tmp_path_factory.mktemp("alone"))
        found[topology, weighting] = simulation.run([trainer], clients, first, out, topology=topology)
    return found


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize(
    ("topology", "weighting", "place"),
    [("server", "plain", 3), ("server", "by_size", 1), ("ring", "plain", 0), ("ring", "plain", 2)],
)
def test_three_honest_clients_end_with_the_weights_they_have_alone(
    lie, topology, weighting, place, federate, alone, same
):
    names = ["a", "b", "c"]
    names.insert(place, "liar")
    weights, record = federate(names, lie, topology=topology, weighting=weighting)
    assert same(weights, alone[topology, weighting])
    told = record[record["client"] == "liar"]
    assert len(told) == ROUNDS and set(told["event"]) == {"refused"} and all(told["reason"])
    assert set(record[record["client"] != "liar"]["event"]) == {"trained"}


@pytest.mark.parametrize("topology", ["server", "ring"])
def test_where_all_clients_are_needed_the_round_is_refused_and_the_one_before_stays(topology, federate, same):
    names = ["a", "liar", "b", "c"]
    with pytest.raises(
        InputError, match=r"round 3: 3 of 4 clients came back, 4 are needed \(liar refused: changes the"
    ):
        federate(names, "times 1e30", since=2, topology=topology, minimum=0)
    record = federate.record()
    assert list(record["round"]) == [1] * 4 + [2] * 4 + [3] * 5
    assert list(record["event"][8:]) == ["unused", "refused", "unused", "unused", "round refused"]
    assert "more than 10 times as much" in record["reason"][9]
    weights, after = federate(names, topology=topology, minimum=0)  # the liar's machine was repaired
    assert same(weights, federate(names, name="whole", topology=topology, minimum=0)[0])
    pd.testing.assert_frame_equal(after[:13].drop(columns="seconds"), record.drop(columns="seconds"))
    assert (after["event"][13:] == "trained").all() and list(after["round"][13:]) == [3] * 4 + [4] * 4 + [5] * 4


def test_two_clients_of_which_one_lies_cannot_go_on_and_lose_nothing(federate, same):
    for _ in range(2):  # again and again
        with pytest.raises(InputError, match=r"round 2: 0 of 2 clients .*cannot be told which is wrong"):
            federate(["a", "liar"], "times 1e6", since=1, minimum=1)
    weights, _ = federate(["a", "liar"], minimum=1)
    assert same(weights, federate(["a", "liar"], name="whole", minimum=1)[0])


def test_two_clients_of_one_name_are_refused_before_anything_is_trained(federate, tmp_path):
    with pytest.raises(InputError, match="a name occurs twice"):
        federate(["a", "b", "a"])
    assert not any(tmp_path.iterdir())


def test_without_a_bound_one_finite_update_is_the_end(federate):
    """What the bound is for: so it was before there was one."""
    with pytest.raises(InputError, match=r"round 2: 0 of 4 clients"):
        federate(["a", "b", "c", "liar"], "times 1e30", norm_bound=0.0)


def test_what_a_refused_client_keeps_for_itself_is_what_it_kept_before(
    federate, client, shared_network, same, tmp_path
):
    shared, first, _ = shared_network
    sites = [client(name, ord(name)) for name in "abc"]

    class Once(Trainer):
        def train(self, of, weights, round):
            update = super().train(of, weights, round)
            if (of.name, round) != ("b", 1):
                return update
            of.kept = [array + np.float32(1e9) for array in of.kept]
            return scaled(update, 1e6)

    policy = Policy(rounds=2, minimum=2, optimizer="persist", batch_norm="local")
    simulation.run([Once(shared, policy, 0)], sites, first, RunDir(tmp_path / "two"))
    again = [client(name, ord(name)) for name in "abc"]
    simulation.run([Trainer(shared, dataclasses.replace(policy, rounds=1), 0)], again, first, RunDir(tmp_path / "one"))
    assert same(sites[1].kept, again[1].kept)


def test_weights_that_do_badly_beyond_measure_are_no_state_to_go_on_from(shared_network, client, tmp_path):
    shared, first, _ = shared_network
    losses = iter([0.5, float("nan")])
    sites, out = [client(name, ord(name)) for name in "ab"], RunDir(tmp_path)
    trainer = Trainer(shared, Policy(rounds=3), 0)
    with pytest.raises(InputError, match=r"round 2: the loss on held-out images is nan; .* continues after round 1"):
        simulation.run([trainer], sites, first, out, held_out=lambda _: next(losses))
    assert list(pd.read_csv(out.history)["epoch"]) == [1] and (out.checkpoints / "round-1.npz").exists()
    record = pd.read_csv(out.federation, keep_default_na=False)
    assert list(record["event"]) == ["trained", "trained", "unused", "unused", "round refused"]


def test_patience_without_held_out_images_is_a_mistake(shared_network, client, tmp_path):
    shared, first, _ = shared_network
    with pytest.raises(ValueError, match="give held_out, too"):
        simulation.run([Trainer(shared, Policy(), 0)], [client("a")], first, RunDir(tmp_path), patience=2)
