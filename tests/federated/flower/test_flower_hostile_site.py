"""Four sites in this process, one of which lies, for five rounds: the other three go on as if they were alone."""

import math

import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

from cervix_tf.errors import InputError

STRATEGIES = {
    "mean": {},
    "ring": {"topology": "ring"},
    "median": {"aggregation": "median"},
    "trimmed mean": {"aggregation": "trimmed_mean", "trim": 0.34},
    "krum": {"aggregation": "krum", "malicious": 0},
}
KINDS = {
    "times1e6": "changes the weights by",
    "times1e30": "changes the weights by",
    "nan": "not finite",
    "negative": "variances below 0",
    "count": "registered with 12",
}
"""Lie -> what the record says of it."""


@pytest.fixture(scope="module")
def alone(first):
    """What three honest sites end with, by strategy: filled when it is first asked for."""
    return {}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_three_honest_sites_end_with_the_weights_they_have_alone(strategy, kind, federation, alone, same):
    settings = {"rounds": 5, "minimum": 3, **STRATEGIES[strategy]}
    if strategy not in alone:
        alone[strategy] = federation(name="alone", **settings).weights
    done = federation(sites="a,liar,b,c", sizes="12,12,12,12", fault=f"{kind}:liar:*", **settings)
    assert same(done.weights, alone[strategy])
    told = done.record[done.record["client"] == "liar"]
    assert list(told["event"]) == ["refused"] * 5
    assert all(KINDS[kind] in reason for reason in told["reason"]), list(told["reason"])
    assert set(done.record[done.record["client"] != "liar"]["event"]) == {"trained"}


@pytest.mark.parametrize("strategy", ["mean", "ring", "median"])
def test_where_all_sites_are_needed_the_round_is_refused_and_the_same_run_goes_on_later(strategy, federation, same):
    settings = {"sites": "a,liar,b,c", "rounds": 3, **STRATEGIES[strategy]}
    for _ in range(2):
        with pytest.raises(InputError, match=r"round 2: 3 of 4 clients .*liar refused: changes the weights by"):
            federation(fault="times1e30:liar:2", **settings)
    done = federation(**settings)
    assert same(done.weights, federation(name="whole", **settings).weights)
    assert list(done.record["event"] == "round refused") == [False] * 8 + [True] + [False] * 4 + [True] + [False] * 8


def test_two_supernodes_of_one_name_are_refused_and_neither_is_asked(federation, same):
    with pytest.raises(InputError, match=r"site b: two SuperNodes are registered under this name, 101 and 900; keep"):
        federation(nodes={900: "b"})
    record = federation.record()
    assert list(record["event"]) == ["round refused"] and "supernode unregister" in record["reason"][0]
    done = federation()
    assert same(done.weights, federation(name="whole").weights)


def test_a_supernode_that_is_none_of_the_sites_is_not_asked_whatever_its_name(federation, same):
    done = federation(nodes={900: "stranger", 901: "stranger"})
    assert {name for _, name, _ in done.grid.asked} == {"a", "b", "c"}


def test_a_number_of_images_that_was_not_agreed_on_counts_for_nothing_in_a_plain_mean(federation, same):
    done = federation(fault="count:b:1", rounds=1)
    assert same(done.weights, federation(name="honest", rounds=1).weights)
    assert list(done.record["examples"]) == [12, 10**18, 12]


def test_a_huge_update_moves_a_private_mean_by_the_clipping_norm_at_most(federation, first):
    """`norm-bound` has no effect with privacy: the server's clipping holds instead."""
    settings = {"privacy": "server", "batch_norm": "local", "noise_multiplier": 1e-9, "clipping_norm": 1e-3}
    weights = federation(fault="times1e30:b:1", rounds=1, **settings).weights
    moved = math.sqrt(sum(((after - before) ** 2).sum() for after, before in zip(weights, first, strict=True)))
    assert 0 < moved <= 1e-3 * 1.01
