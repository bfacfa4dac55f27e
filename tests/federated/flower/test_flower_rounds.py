"""Rounds of the Flower federation with sites in this process, some of which fail."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

from scipy.stats import norm

from cervix_tf.errors import InputError
from cervix_tf.federated.averaging import average
from cervix_tf.federated.flower import client as site_side
from cervix_tf.federated.flower import federation_config, privacy
from cervix_tf.federated.flower.server import lost_at_sites
from cervix_tf.federated.policy import Policy

SITES = "a,b,c"


@pytest.fixture
def by_hand(tiny, first, agreed):
    """by_hand({round: sites}): the same averaging, without Flower."""

    def run(rounds):
        trainer, weights = tiny.trainer(agreed()), first
        for number, names in rounds.items():
            weights = average([trainer.train(tiny.site(name), weights, number - 1) for name in names])
        return weights

    return run


def test_flowers_average_is_ours(federation, by_hand, same):
    done = federation()
    assert same(done.weights, by_hand({1: "abc", 2: "abc"}))
    assert list(done.record["client"]) == list("abcabc") and set(done.record["examples"]) == {12}
    assert set(done.record["event"]) == {"trained"}
    size = sum(array.nbytes for array in done.weights)
    assert set(done.record["bytes_sent"]) == set(done.record["bytes_received"]) == {size}


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
def test_a_round_ends_without_the_site_that_fails_and_says_so(federation, by_hand, same, fault, event, reason):
    done = federation(fault=fault, minimum=2)
    assert same(done.weights, by_hand({1: "ac", 2: "abc"}))
    assert list(done.record["event"]) == ["trained", event, *["trained"] * 4]
    assert reason in done.record["reason"][1]


def test_what_a_site_says_of_itself_fits_a_line_and_a_cell(federation, tiny, monkeypatch):
    def angry(name):
        raise OSError("=cmd|' /C calc'!A0\n\x1b[2J" + "x" * 10_000)

    monkeypatch.setattr(tiny, "site", angry)
    with pytest.raises(InputError, match="0 of 3 clients"):
        federation()
    assert all(reason.startswith("answered: ") and reason.isprintable() for reason in federation.record()["reason"][:3])
    assert federation.record()["reason"].str.len().max() < 400


def test_a_site_that_is_not_connected_is_reported_and_left_out(federation, by_hand, same):
    done = federation(away="b", minimum=2)
    assert same(done.weights, by_hand({1: "ac", 2: "ac"}))
    assert list(done.record["event"][done.record["client"] == "b"]) == ["away", "away"]


def test_a_federation_that_falls_below_its_minimum_goes_on_where_it_stopped(federation, by_hand, same):
    with pytest.raises(InputError, match=r"round 2: 2 of 3 clients .* 3 are needed .*b refused: .* not finite"):
        federation(fault="nan:b:2")
    done = federation()
    assert same(done.weights, by_hand({1: "abc", 2: "abc"}))
    assert [asked[:2] for asked in done.grid.asked] == [(2, "a"), (2, "b"), (2, "c")], "round 1 is not trained again"
    tried = [("a", "unused"), ("b", "refused"), ("c", "unused"), ("", "round refused")]
    record = done.record[["client", "event"]].itertuples(index=False, name=None)
    assert list(record) == [*[(name, "trained") for name in "abc"], *tried, *[(name, "trained") for name in "abc"]]
    assert list(done.record["round"]) == [1, 1, 1, 2, 2, 2, 2, 2, 2, 2]


def test_the_ring_hands_the_weights_on_and_skips_who_fails(tiny, first, agreed, federation, same):
    done = federation(topology="ring", start="b", fault="nan:c:2", minimum=2)
    assert [asked[:2] for asked in done.grid.asked] == [(1, "b"), (1, "c"), (1, "a"), (2, "b"), (2, "c"), (2, "a")]
    trainer = tiny.trainer(agreed())
    expected = first
    for number, name in [(0, "b"), (0, "c"), (0, "a"), (1, "b"), (1, "a")]:
        expected = trainer.train(tiny.site(name), expected, number).weights
    assert same(done.weights, expected)
    assert done.record["event"][4] == "refused"


@pytest.mark.parametrize(
    "robust",
    [
        {"aggregation": "median"},
        {"aggregation": "trimmed_mean", "trim": 0.2},
        {"aggregation": "krum", "malicious": 1},
    ],
)
def test_a_robust_strategy_withstands_a_site_with_wrong_weights(tiny, first, agreed, federation, close, robust):
    lying = {"sites": "a,b,c,d,e", "rounds": 1, "fault": "far:b:1", "norm_bound": 0.0}
    weights = federation(**lying, **robust).weights
    trainer = tiny.trainer(agreed())
    honest = [trainer.train(tiny.site(name), first, 0).weights for name in "acde"]
    for array, those in zip(weights, zip(*honest, strict=True), strict=True):
        assert (np.min(those, axis=0) - 1e-6 <= array).all() and (array <= np.max(those, axis=0) + 1e-6).all()
    if robust["aggregation"] == "krum":
        assert any(close(weights, each) for each in honest), "Krum chooses one of them"
    mean = federation(name="mean", **lying).weights
    assert np.abs(mean[0] - first[0]).max() > 10


def test_a_private_round_without_any_site_ends(federation):
    with pytest.raises(InputError, match="round 1: 0 of 3"):
        federation(away=SITES, privacy="server", batch_norm="local")


@pytest.mark.parametrize("side", ["server", "client"])
def test_privacy_clips_the_update_and_adds_the_noise_it_says(tiny, first, agreed, federation, side, monkeypatch):
    settings = {"privacy": side, "batch_norm": "local", "clipping_norm": 1e-3, "rounds": 1}
    quiet = federation(noise_multiplier=1e-9, name="quiet", **settings).weights
    moved = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(quiet, first, strict=True)))
    assert 1e-5 < moved <= 1e-3 * 1.01
    np.random.seed(3)
    monkeypatch.setattr(np.random, "seed", lambda *_: None)
    noisy = federation(noise_multiplier=3000.0, name="noisy", **settings).weights
    statistics = tiny.trainer(agreed()).statistics
    noise = [(a - b).ravel() for at, (a, b) in enumerate(zip(noisy, quiet, strict=True)) if at not in statistics]
    deviation = np.concatenate(noise).std()  # of 130 values: 6 % of itself
    assert deviation == pytest.approx(3000 * 1e-3 / 3, rel=0.2)
    assert all(np.array_equal(noisy[at], first[at]) for at in statistics), "their noise would make variances < 0"


def test_with_privacy_one_site_more_or_less_moves_the_mean_by_no_more_than_the_noise_is_measured_by(first, federation):
    """What epsilon rests on. A mean over those that came would move by up to twice as much, and have another noise."""
    settings = {"privacy": "server", "batch_norm": "local", "noise_multiplier": 1e-9, "minimum": 2, "rounds": 1}
    settings |= {"clipping_norm": 1e-3, "fault": "far:b:1"}
    everyone = federation(name="everyone", **settings).weights
    for left in SITES.split(","):
        without = federation(name=f"without {left}", away=(left,), **settings).weights
        moved = math.sqrt(sum(((a - b).astype("f8") ** 2).sum() for a, b in zip(everyone, without, strict=True)))
        assert moved <= 1e-3 / 3 * 1.001, left
    assert moved > 1e-3 / 3 / 10, "a clipped site moves it at all"


def test_with_privacy_the_noise_is_the_same_whoever_takes_part(federation, monkeypatch):
    settings = {"privacy": "server", "batch_norm": "local", "clipping_norm": 1e-3, "minimum": 2, "rounds": 1}
    np.random.seed(3)
    drawn, noises = np.random.get_state(), []
    monkeypatch.setattr(np.random, "seed", lambda *_: None)
    for name, away in (("all", ()), ("two", ("c",))):
        quiet = federation(noise_multiplier=1e-9, name=f"quiet {name}", away=away, **settings).weights
        np.random.set_state(drawn)
        noisy = federation(noise_multiplier=3000.0, name=f"noisy {name}", away=away, **settings).weights
        noises.append(np.concatenate([(a - b).ravel() for a, b in zip(noisy, quiet, strict=True)]))
    np.testing.assert_allclose(noises[1], noises[0], rtol=1e-3, atol=1e-6)


def test_nobody_can_draw_the_noise_again_from_the_seed_that_all_sites_know(federation, same):
    settings = {"privacy": "server", "batch_norm": "local", "rounds": 1}
    found = []
    for name in ("one", "other"):
        np.random.seed(5)
        found.append(federation(name=name, **settings).weights)
    assert not same(*found)


def test_a_site_that_does_not_clip_what_it_sends_is_refused(federation, monkeypatch):
    real = site_side.fixedclipping_mod

    def clipping_elsewhere(message, context, call_next):
        if site_side.site_name(message) == "b":
            return call_next(message, context)
        return real(message, context, call_next)

    monkeypatch.setattr(site_side, "fixedclipping_mod", clipping_elsewhere)
    settings = {"privacy": "client", "batch_norm": "local", "clipping_norm": 1e-3, "rounds": 1, "minimum": 2}
    record = federation(fault="far:b:1", **settings).record
    assert list(record["event"]) == ["trained", "refused", "trained"]
    assert "although it is to clip to 0.001" in record["reason"][1]


def test_epsilon_is_that_of_the_gaussian_mechanism():
    for noise, releases, delta in [(1.0, 1, 1e-5), (2.0, 50, 1e-5), (0.7, 3, 1e-3)]:
        eps, mu = privacy.epsilon(noise, releases, delta), math.sqrt(releases) / noise
        spent = norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * norm.cdf(-mu / 2 - eps / mu)
        assert spent == pytest.approx(delta, rel=1e-6)
    assert privacy.epsilon(1.0, 1, 1e-5) == pytest.approx(4.377, abs=1e-3)
    assert privacy.epsilon(0.05, 100, 1e-5) > 1000, "large figures do not overflow"


def test_statistics_that_sites_keep_for_themselves_never_leave_them(tiny, first, agreed, federation):
    trainer = tiny.trainer(agreed(batch_norm="local"))
    weights = federation(batch_norm="local").weights
    assert trainer.statistics and all(np.array_equal(weights[at], first[at]) for at in trainer.statistics)
    assert not np.array_equal(weights[0], first[0])


def test_recalibration_measures_statistics_with_the_final_weights(tiny, agreed, federation, same):
    averaged = federation(name="averaged").weights
    done = federation(batch_norm="recalibrate", name="recalibrated")
    trainer = tiny.trainer(agreed())
    expected = average([trainer.recalibrate(tiny.site(name), averaged) for name in "abc"])
    assert same(done.weights, expected) and not same(done.weights, averaged)
    assert [asked[:2] for asked in done.grid.asked[-3:]] == [(3, "a"), (3, "b"), (3, "c")]


def test_recalibrated_statistics_are_combined_as_weights_are(tiny, agreed, federation):
    weights = federation(aggregation="median", name="median").weights
    done = federation(aggregation="median", batch_norm="recalibrate", name="recalibrated")
    trainer = tiny.trainer(agreed())
    measured = [trainer.recalibrate(tiny.site(name), weights).weights for name in "abc"]
    for at in trainer.statistics:
        np.testing.assert_allclose(done.weights[at], np.median([each[at] for each in measured], axis=0), rtol=1e-6)


def test_what_sites_lose_when_a_run_is_given_again_is_said():
    assert lost_at_sites(Policy(batch_norm="local", optimizer="persist"), 0) == ""
    assert lost_at_sites(Policy(), 3) == ""
    assert lost_at_sites(Policy(batch_norm="local", optimizer="persist"), 3).startswith(
        "the statistics and optimizer state that sites kept for themselves are lost"
    )


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
        ({"rounds": 0, "local-epochs": -1}, "config: rounds 0: must be at least 1\nrun config: local-epochs -1: must"),
        ({"rounds": "many"}, "rounds 'many'"),
        ({"topology": "star"}, "topology 'star'"),
        ({"topology": "ring", "privacy": "server"}, "the ring averages nothing"),
        ({"aggregation": "median", "minimum": 2}, "median"),
        ({"aggregation": "trimmed_mean"}, "leaves out none"),
        ({"trim": 0.5}, "trim 0.5: must be at least 0 and below 0.5"),
        ({"aggregation": "krum"}, "krum"),
        ({"privacy": "server", "weighting": "by_size", "sizes": "1,2,3"}, "plain mean"),
        ({"noise-multiplier": 0.0, "delta": 1.0}, "noise-multiplier 0.0: must be above 0\nrun config: delta 1.0: must"),
        ({"privacy": "server"}, "set validation none"),
        ({"weighting": "by_size"}, "could give itself any weight"),
        ({"sizes": "12,13"}, "2 numbers for 3 sites"),
        ({"sizes": "12,13,0"}, "sizes 12 13 0: must be at least 1"),
        ({"sizes": "12,many,3"}, "sizes '12,many,3'"),
        ({"norm-bound": 0.5}, "config: norm-bound 0.5: must be at least 1, or 0"),
        ({"norm-bound": math.inf}, "norm-bound inf: must be at least 1"),
        ({"patience": -1, "wait": -1.0}, "patience -1: must be at least 0\nrun config: wait -1.0: must"),
        ({"secure-aggregation": "secagg+", "topology": "ring"}, "set topology server"),
        ({"secure-aggregation": "secagg+", "aggregation": "median"}, "aggregation mean"),
        (
            {"secure-aggregation": "secagg+", "privacy": "client", "validation": "none"},
            "cannot be combined with privacy",
        ),
        ({"secure-aggregation": "secagg+", "batch-norm": "recalibrate"}, "sent unmasked"),
        ({"secure-aggregation": "secagg+", "sites": "a,b"}, "three sites"),
        ({"secure-aggregation": "secagg+", "sites": "a,b,c,d", "minimum": 2}, "more than half"),
        ({"secure-range": 0.0}, "secure-range 0.0: must be above 0"),
    ],
)
def test_settings_that_cannot_be_kept_are_refused(config, words):
    with pytest.raises(InputError, match=words):
        federation_config.read({"sites": SITES, **config})


def test_privacy_with_averaged_statistics_is_refused(federation):
    with pytest.raises(InputError, match="batch-norm"):
        federation(privacy="server")
