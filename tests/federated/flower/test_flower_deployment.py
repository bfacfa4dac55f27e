"""A real Flower deployment on this machine, with TLS and authentication, beside the same federation in one process."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

from cervix_tf.federated import simulation
from cervix_tf.federated.averaging import average
from cervix_tf.federated.flower import federation_config
from cervix_tf.federated.round_checkpointer import RoundCheckpointer
from cervix_tf.run_dir import RunDir

HERE = Path(__file__).parent
SITES = ("hospital-a", "hospital-b", "hospital-c", "liar")
LIES = {"nan": "not finite", "count": "registered with 12"}
"""One a round; test_flower_hostile_site.py has them all. Each message starts a Python with TensorFlow at its site."""
LIMIT = 1200  # seconds that all of it may take on a busy machine


@pytest.fixture(autouse=True)
def eagerly(monkeypatch):
    """What is computed here beside the deployment is computed as there."""
    monkeypatch.setenv("TINY_EAGERLY", "1")


@pytest.fixture(scope="module")
def deployment(start_deployment, tmp_path_factory):
    """One SuperLink, a SuperNode for each site, and one that nobody has registered."""
    with start_deployment(tmp_path_factory.mktemp("flower")) as made:
        for name in SITES:
            made.site(name)
        made.site("stranger", name="")
        yield made


@pytest.fixture(scope="module")
def runs(deployment):
    """Run directories of three federations at the same time: averaging with a liar, the ring, one that loses a site."""
    faults = ";".join(f"{kind}:liar:{at}" for at, kind in enumerate(LIES, start=1))
    settings = {
        "server": "sites='hospital-a,hospital-b,liar' sizes='12,12,12' weighting='by_size' rounds=2 "
        f"minimum=2 fault='{faults}'",
        "ring": "sites='hospital-a,hospital-b' topology='ring' start='hospital-b' validation='sites' rounds=2",
        "killed": "sites='hospital-a,hospital-c' minimum=1 fault='hang:hospital-c:2'",
    }
    outs = {name: RunDir(deployment.folder / "runs" / name) for name in settings}
    for name, out in outs.items():
        start(deployment, out, settings[name])
    end = time.monotonic() + LIMIT
    deployment.until((outs["killed"].root / "hanging").exists, end - time.monotonic())
    deployment.kill("hospital-c")
    for out in outs.values():
        deployment.until(out.federated_weights.exists, end - time.monotonic())
    return outs


def start(deployment, out, settings):
    """Give the command that starts a run."""
    out.root.mkdir(parents=True)
    deployment.flwr("run", str(HERE / "app"), "here", "--run-config", f"out='{out.root}' {settings}")


def weights_of(out):
    return RoundCheckpointer(out, (), 0).read(out.federated_weights)


def near(weights, others):
    return all(np.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(weights, others, strict=True))


def simulated(tiny, out, names, rounds, **arguments):
    """The weights of the same federation in the simulator."""
    trainer = tiny.trainer(federation_config.read({"sites": ",".join(names), "rounds": rounds, "seed": 5}))
    sites = [tiny.site(name) for name in names]

    def held_out(weights):
        return float(np.mean([trainer.loss(site, weights) for site in sites]))

    if arguments.pop("validated"):
        arguments["held_out"] = held_out
    return simulation.run([trainer], sites, trainer.weights, out, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sites", "rounds", "validated"),
    [
        ("server", ("hospital-a", "hospital-b"), 2, False),
        ("ring", ("hospital-b", "hospital-a"), 2, True),
    ],
)
def test_a_deployment_ends_with_the_weights_of_the_simulator(name, sites, rounds, validated, runs, tiny, tmp_path):
    out = RunDir(tmp_path)
    weights = simulated(tiny, out, sites, rounds, topology=name, validated=validated)
    columns = ["round", "client", "event", "examples", "loss", "bytes_sent", "bytes_received"]
    there, here = (pd.read_csv(each.federation) for each in (runs[name], out))
    there = there[there["client"] != "liar"].reset_index(drop=True)
    assert list(there["event"]) == ["trained"] * len(here), there.to_string()
    pd.testing.assert_frame_equal(there[columns], here[columns], rtol=0, atol=1e-5)
    np.testing.assert_allclose(there["change"], here["change"], rtol=1e-3)
    assert near(weights_of(runs[name]), weights)
    if validated:
        losses = [pd.read_csv(each.history)["val_loss"] for each in (runs[name], out)]
        np.testing.assert_allclose(*losses, atol=1e-5)


@pytest.mark.slow
def test_the_site_that_lied_is_named_in_every_round_with_its_reason(runs):
    record = pd.read_csv(runs["server"].federation, keep_default_na=False)
    told = record[record["client"] == "liar"]
    assert list(told["event"]) == ["refused"] * len(LIES)
    assert all(word in reason for word, reason in zip(LIES.values(), told["reason"], strict=True)), list(told["reason"])


@pytest.mark.slow
def test_a_federation_whose_site_is_killed_in_round_2_ends_with_the_others(runs, tiny):
    record = pd.read_csv(runs["killed"].federation, keep_default_na=False)
    assert list(record["client"]) == ["hospital-a", "hospital-c"] * 2 + ["hospital-c", "hospital-a"]
    assert list(record["event"]) == ["trained", "trained", "trained", "died", "away", "trained"], record.to_string()
    trainer = tiny.trainer(federation_config.read({"sites": "hospital-a,hospital-c", "rounds": 3, "seed": 5}))
    weights = trainer.weights
    for number, names in enumerate([("hospital-a", "hospital-c"), ("hospital-a",), ("hospital-a",)]):
        weights = average([trainer.train(tiny.site(name), weights, number) for name in names])
    assert near(weights_of(runs["killed"]), weights)


@pytest.mark.slow
def test_who_may_take_part_is_the_servers_list_of_keys_not_who_has_the_certificate(deployment, runs):
    """The stranger has the authority's certificate and a key of its own, as every site has."""
    assert deployment.processes["stranger"].wait(timeout=60) != 0
    assert "Failed to activate SuperNode" in deployment.said("stranger")
    assert "No SuperNode found with the given public key" in deployment.said("superlink")


@pytest.mark.slow
def test_a_supernode_that_does_not_know_the_authority_trusts_no_superlink(deployment, runs):
    deployment.certificates(deployment.folder / "other")
    node = deployment.start("distrustful", "flower-supernode", "--root-certificates", "other/ca.crt", "--superlink",
                            f"127.0.0.1:{deployment.port}", "--auth-supernode-private-key", "hospital-c.key",
                            "--max-retries", "1")  # fmt: skip
    assert node.wait(timeout=90) != 0
    assert "CERTIFICATE_VERIFY_FAILED" in deployment.said("distrustful")


@pytest.mark.slow
def test_two_supernodes_registered_under_one_name_are_refused_until_one_is_taken_off_the_list(deployment, runs):
    number = deployment.site("impostor", name="hospital-a")
    deployment.until(lambda: deployment.status(number) == "online", LIMIT)
    out = RunDir(deployment.folder / "runs" / "twice")
    start(deployment, out, "sites='hospital-a,hospital-b'")
    deployment.until(out.federation.exists, LIMIT)
    record = pd.read_csv(out.federation, keep_default_na=False)
    assert list(record["event"]) == ["round refused"]
    assert "hospital-a: two SuperNodes are registered under this name" in record["reason"][0]
    assert number in record["reason"][0]

    deployment.flwr("supernode", "unregister", number, "here")
    deployment.kill("impostor")
    again = deployment.supernode("impostor", "impostor.key")
    assert again.wait(timeout=120) != 0, "its key is no longer on the list"
    assert deployment.status(number) == "unregistered"
