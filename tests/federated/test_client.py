import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.federated.client import Trainer
from cervix_tf.federated.policy import Policy, ring
from cervix_tf.seeds import seed_of

STEPS = 3


def test_one_client_trained_round_by_round_equals_centralised_training_bit_for_bit(network, client, batches, same):
    alone, federated = network(), network()
    alone.fit(batches(0)(0), epochs=4, steps_per_epoch=STEPS, verbose=0, shuffle=False)
    one, trainer = client("one"), Trainer(federated, Policy(optimizer="persist"), seed=0)
    weights = trainer.weights
    for round in range(4):
        weights = trainer.train(one, weights, round).weights
    assert same(weights, alone.get_weights())


def test_several_local_epochs_are_the_epochs_that_centralised_training_would_run(network, client, same):
    one, two = client("one"), client("one")
    trainer = Trainer(network(), Policy(local_epochs=1, optimizer="persist"), seed=0)
    first = trainer.weights
    slow = first
    for round in range(4):
        slow = trainer.train(one, slow, round).weights
    trainer.policy = Policy(local_epochs=2, optimizer="persist")
    fast = trainer.train(two, first, 0)
    assert len(fast.losses) == 2
    assert same(trainer.train(two, fast.weights, 1).weights, slow)


def test_an_update_depends_on_weights_client_and_round_only(network, client, same):
    trainer = Trainer(network(dropout=0.5), Policy(), seed=3)
    first = trainer.weights
    update = trainer.train(client("one"), first, 2)
    trainer.train(client("two", 1), first, 5)
    assert same(trainer.train(client("one"), first, 2).weights, update.weights)
    assert not same(trainer.train(client("one"), first, 3).weights, update.weights)
    assert not same(trainer.train(client("other"), first, 2).weights, update.weights)  # dropout draws otherwise
    assert (update.client, update.examples, len(update.losses)) == ("one", 12, 1)
    assert update.seconds > 0


def test_the_optimizer_starts_anew_or_goes_on_as_the_policy_says(network, client, same):
    trainer = Trainer(network(), Policy(), seed=0)
    first, one = trainer.weights, client("one")
    anew = trainer.train(one, first, 0)
    assert one.kept == []
    assert same(trainer.train(one, first, 0).weights, anew.weights)
    trainer.policy = Policy(optimizer="persist")
    assert same(trainer.train(one, first, 0).weights, anew.weights)
    assert not same(trainer.train(one, first, 0).weights, anew.weights)


def test_local_statistics_never_leave_the_client_and_come_back_in_its_next_round(network, client, same):
    averaging = Trainer(network(), Policy(), seed=0)
    keeping = Trainer(network(), Policy(batch_norm="local"), seed=0)
    first, one = keeping.weights, client("one")
    common, own = averaging.train(client("one"), first, 0), keeping.train(one, first, 0)
    assert len(keeping.statistics) == 2
    for at, (sent, trained, before) in enumerate(zip(own.weights, common.weights, first, strict=True)):
        assert np.array_equal(sent, before if at in keeping.statistics else trained)
    assert same(keeping.localized(one, own.weights), common.weights)
    resumed = averaging.train(client("one"), common.weights, 1)
    keeping.train(one, own.weights, 1)  # the statistics in here are those it was first sent
    assert same(keeping.localized(one, first)[-4:-2], resumed.weights[-4:-2])
    assert keeping.statistics == [len(first) - 4, len(first) - 3]


def test_recalibrated_statistics_are_those_of_the_clients_batches(network, client, batches):
    trainer = Trainer(network(), Policy(), seed=0)
    first, one = trainer.weights, client("one")
    found = trainer.recalibrate(one, first)
    convolved = [trainer.network.layers[0](pixels).numpy() for pixels, _ in batches(0)(0).take(STEPS)]
    mean, variance = trainer.statistics
    np.testing.assert_allclose(found.weights[mean], np.mean([x.mean((0, 1, 2)) for x in convolved], 0), rtol=1e-5)
    np.testing.assert_allclose(found.weights[variance], np.mean([x.var((0, 1, 2)) for x in convolved], 0), rtol=1e-4)
    for at, (after, before) in enumerate(zip(found.weights, first, strict=True)):
        assert at in trainer.statistics or np.array_equal(after, before)


def test_a_training_that_ends_in_nan_leaves_what_the_client_kept(network, client):
    trainer = Trainer(network(), Policy(optimizer="persist", batch_norm="local"), seed=0)
    first, one = trainer.weights, client("one")
    trainer.train(one, first, 0)
    before = one.kept
    spoilt = [array * np.float32("nan") for array in first]
    assert np.isnan(trainer.train(one, spoilt, 1).weights[0]).all()
    assert one.kept is before
    assert all(np.isfinite(array).all() for array in trainer.train(one, first, 1).weights)


def test_weights_of_another_network_are_refused(network, client):
    trainer = Trainer(network(), Policy(), seed=0)
    with pytest.raises(ValueError, match="arrays for a network with"):
        trainer.train(client("one"), trainer.weights[1:], 0)


def test_the_ring_starts_where_it_is_told_and_keeps_its_order():
    assert ring(["nhs", "alts", "third"]) == ("nhs", "alts", "third")
    assert ring(["nhs", "alts", "third"], "alts") == ("alts", "third", "nhs")
    with pytest.raises(InputError, match="cannot start at 'x': its clients are nhs, alts"):
        ring(["nhs", "alts"], "x")
    with pytest.raises(InputError, match="twice"):
        ring(["nhs", "nhs"])


def test_seeds_differ_by_every_part():
    found = {seed_of(0), seed_of(1), seed_of(0, "a"), seed_of(0, "b"), seed_of(0, "a", 1), seed_of(0, "a", 2)}
    assert len(found) == 6
    assert all(0 <= seed < 2**31 for seed in found)
