"""Rounds of the Flower federation with sites in this process, some of which fail."""

import functools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: make venv")

from flwr.app import Context, Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity
from scipy.stats import norm

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import average
from cervix_tf.federated.flower import privacy, terms
from cervix_tf.federated.flower.server import federate
from cervix_tf.run_dir import RunDir

SITES = "a,b,c"


class Here(Grid):
    """A grid whose sites answer in this process; those in `away` are not connected."""

    def __init__(self, tiny, config, away=()):
        names = [name for name in config["sites"].split(",") if name not in away]
        self.tiny, self.nodes = tiny, {100 + at: name for at, name in enumerate(names)}
        self.contexts = {node: Context(1, node, {}, RecordDict(), config) for node in self.nodes}
        self.asked = []
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1  # what a ServerApp's process knows

    def get_nodes(self):
        return [NodeInfo(node_id=node, name=name) for node, name in self.nodes.items()]

    def get_node_ids(self):
        return list(self.nodes)

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for at, message in enumerate(messages):
            message.metadata.__dict__["_message_id"] = f"{len(self.asked)}-{at}"
            node = message.metadata.dst_node_id
            name, now = self.nodes[node], message.content["config"]["round"] + 1
            self.asked.append((now, name))
            if self.contexts[node].run_config["fault"] == f"late:{name}:{now}":
                continue
            try:
                replies.append(self.tiny.client(message, self.contexts[node]))
            except Exception as error:  # as the SuperNode does
                replies.append(Message(Error(0, f"{type(error)}:<'{error}'>"), reply_to=message))
        return replies

    run = property()
    set_run = create_message = push_messages = pull_messages = None


@pytest.fixture(scope="module", autouse=True)
def first(tiny):
    """The first weights; networks are built once a policy while these tests run."""
    build = tiny.trainer
    tiny.trainer = functools.cache(build)
    yield build(agreed()).weights
    tiny.trainer = build


def agreed(**settings):
    config = {"sites": SITES, "rounds": 2, "seed": 5, "wait": 0.0, **settings}
    return terms.read({key.replace("_", "-"): value for key, value in config.items()})


@pytest.fixture
def federation(tiny, first, tmp_path):
    """federation(away=(), name="run", **config): the trained weights, the record, and who was asked, in order."""

    def run(away=(), name="run", fault="", **settings):
        trainer = tiny.trainer(agreed(**settings))
        trainer.network.set_weights(first)
        config = {"sites": SITES, "rounds": 2, "seed": 5, "fault": fault}
        config |= {key.replace("_", "-"): value for key, value in settings.items()}
        grid, out = Here(tiny, config, away), RunDir(tmp_path / name)
        weights = federate(grid, trainer, agreed(**settings), out)
        return weights, pd.read_csv(out.federation, keep_default_na=False), grid.asked

    return run


@pytest.fixture
def by_hand(tiny, first):
    """by_hand({round: sites}): the same averaging, without Flower."""

    def run(rounds):
        trainer, weights = tiny.trainer(agreed()), first
        for number, names in rounds.items():
            weights = average([trainer.train(tiny.site(name), weights, number - 1) for name in names])
        return weights

    return run


def close(weights, others, atol=1e-6):
    return all(np.allclose(a, b, rtol=0, atol=atol) for a, b in zip(weights, others, strict=True))


def test_flowers_average_is_ours(federation, by_hand):
    weights, record, _ = federation()
    assert close(weights, by_hand({1: "abc", 2: "abc"}))
    assert list(record["client"]) == list("abcabc") and set(record["examples"]) == {12}
    assert set(record["event"]) == {"trained"}
    assert set(record["bytes_sent"]) == set(record["bytes_received"]) == {sum(array.nbytes for array in weights)}


@pytest.mark.parametrize(
    ("fault", "event", "reason"),
    [
        ("nan:b:1", "refused", "not finite"),
        ("shape:b:1", "refused", "shape"),
        ("garbage:b:1", "refused", "cannot be read"),
        ("raise:b:1", "died", "the disk is gone"),
        ("late:b:1", "late", "no answer in time"),
    ],
)
def test_a_round_ends_without_the_site_that_fails_and_says_so(federation, by_hand, fault, event, reason):
    weights, record, _ = federation(fault=fault, minimum=2)
    assert close(weights, by_hand({1: "ac", 2: "abc"}))
    assert list(record["event"]) == ["trained", event, *["trained"] * 4]
    assert reason in record["reason"][1]


def test_a_site_that_is_not_connected_is_reported_and_left_out(federation, by_hand):
    weights, record, _ = federation(away="b", minimum=2)
    assert close(weights, by_hand({1: "ac", 2: "ac"}))
    assert list(record["event"][record["client"] == "b"]) == ["away", "away"]


def test_a_federation_that_falls_below_its_minimum_goes_on_where_it_stopped(federation, by_hand):
    with pytest.raises(InputError, match=r"round 2: 2 of 3 clients .* 3 are needed .*b refused: .* not finite"):
        federation(fault="nan:b:2")
    weights, record, asked = federation()
    assert close(weights, by_hand({1: "abc", 2: "abc"}))
    assert asked == [(2, "a"), (2, "b"), (2, "c")], "round 1 is not trained again"
    assert list(record["round"]) == [1, 1, 1, 2, 2, 2]


def test_the_ring_hands_the_weights_on_and_skips_who_fails(tiny, first, federation):
    weights, record, asked = federation(topology="ring", start="b", fault="nan:c:2", minimum=2)
    assert [name for _, name in asked] == list("bcabca") and [now for now, _ in asked] == [1, 1, 1, 2, 2, 2]
    trainer = tiny.trainer(agreed())
    expected = first
    for number, name in [(0, "b"), (0, "c"), (0, "a"), (1, "b"), (1, "a")]:
        expected = trainer.train(tiny.site(name), expected, number).weights
    assert all(np.array_equal(a, b) for a, b in zip(weights, expected, strict=True))
    assert record["event"][4] == "refused"


@pytest.mark.parametrize(
    "robust",
    [
        {"aggregation": "median"},
        {"aggregation": "trimmed_mean", "trim": 0.2},
        {"aggregation": "krum", "malicious": 1},
    ],
)
def test_a_robust_strategy_withstands_a_site_with_wrong_weights(tiny, first, federation, robust):
    sites = "a,b,c,d,e"
    weights, _, _ = federation(sites=sites, rounds=1, fault="far:b:1", **robust)
    trainer = tiny.trainer(agreed())
    honest = [trainer.train(tiny.site(name), first, 0).weights for name in "acde"]
    for array, those in zip(weights, zip(*honest, strict=True), strict=True):
        assert (np.min(those, axis=0) - 1e-6 <= array).all() and (array <= np.max(those, axis=0) + 1e-6).all()
    if robust["aggregation"] == "krum":
        assert any(close(weights, each) for each in honest), "Krum chooses one of them"
    mean, _, _ = federation(sites=sites, rounds=1, fault="far:b:1", name="mean")
    assert np.abs(mean[0] - first[0]).max() > 10


def test_a_private_round_without_any_site_ends(federation):
    with pytest.raises(InputError, match="round 1: 0 of 3"):
        federation(away=SITES, privacy="server", batch_norm="local")


@pytest.mark.parametrize("side", ["server", "client"])
def test_privacy_clips_the_update_and_adds_the_noise_it_says(tiny, first, federation, side):
    settings = {"privacy": side, "batch_norm": "local", "clipping_norm": 1e-3, "rounds": 1}
    quiet, _, _ = federation(noise_multiplier=1e-9, name="quiet", **settings)
    moved = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(quiet, first, strict=True)))
    assert 1e-5 < moved <= 1e-3 * 1.01
    np.random.seed(3)
    noisy, _, _ = federation(noise_multiplier=3000.0, name="noisy", **settings)
    statistics = tiny.trainer(agreed()).statistics
    noise = [(a - b).ravel() for at, (a, b) in enumerate(zip(noisy, quiet, strict=True)) if at not in statistics]
    deviation = np.concatenate(noise).std()  # of 130 values: 6 % of itself
    assert deviation == pytest.approx(3000 * 1e-3 / 3, rel=0.2)
    assert all(np.array_equal(noisy[at], first[at]) for at in statistics), "their noise would make variances < 0"


def test_epsilon_is_that_of_the_gaussian_mechanism():
    for noise, releases, delta in [(1.0, 1, 1e-5), (2.0, 50, 1e-5), (0.7, 3, 1e-3)]:
        eps, mu = privacy.epsilon(noise, releases, delta), math.sqrt(releases) / noise
        spent = norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * norm.cdf(-mu / 2 - eps / mu)
        assert spent == pytest.approx(delta, rel=1e-6)
    assert privacy.epsilon(1.0, 1, 1e-5) == pytest.approx(4.377, abs=1e-3)
    assert privacy.epsilon(0.05, 100, 1e-5) > 1000, "large figures do not overflow"


def test_statistics_that_sites_keep_for_themselves_never_leave_them(tiny, first, federation):
    trainer = tiny.trainer(agreed(batch_norm="local"))
    weights, _, _ = federation(batch_norm="local")
    assert trainer.statistics and all(np.array_equal(weights[at], first[at]) for at in trainer.statistics)
    assert not np.array_equal(weights[0], first[0])


def test_recalibration_measures_statistics_with_the_final_weights(tiny, federation):
    averaged, _, _ = federation(name="averaged")
    weights, _, asked = federation(batch_norm="recalibrate", name="recalibrated")
    trainer = tiny.trainer(agreed())
    expected = average([trainer.recalibrate(tiny.site(name), averaged) for name in "abc"])
    assert close(weights, expected) and not close(weights, averaged)
    assert asked[-3:] == [(3, "a"), (3, "b"), (3, "c")]


def test_a_site_with_another_network_is_told_so(tiny, federation, monkeypatch):
    real = tiny.answer

    def other(message, context, trainer, client):
        return real(message, context, SimpleNamespace(weights=trainer.weights[1:]), client)

    monkeypatch.setattr(tiny, "answer", other)
    with pytest.raises(InputError, match=r"0 of 3 clients .*do not fit this site's network"):
        federation()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"sites": ""}, "name the sites"),
        ({"sites": "a,a"}, "occurs twice"),
        ({"start": "z", "topology": "ring"}, "cannot start at 'z'"),
        ({"minimum": 4}, "there are 3 sites"),
        ({"rounds": 0}, "at least 1"),
        ({"rounds": "many"}, "rounds 'many'"),
        ({"topology": "star"}, "topology 'star'"),
        ({"topology": "ring", "privacy": "server"}, "the ring averages nothing"),
        ({"aggregation": "median", "minimum": 2}, "median"),
        ({"aggregation": "trimmed_mean"}, "leaves out none"),
        ({"aggregation": "trimmed_mean", "trim": 0.5}, "trim"),
        ({"aggregation": "krum"}, "krum"),
        ({"privacy": "server", "weighting": "by_size"}, "plain mean"),
        ({"privacy": "server", "noise-multiplier": 0.0}, "above 0"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(config, words):
    with pytest.raises(InputError, match=words):
        terms.read({"sites": SITES, **config})


def test_privacy_with_averaged_statistics_is_refused(federation):
    with pytest.raises(InputError, match="batch-norm"):
        federation(privacy="server")
