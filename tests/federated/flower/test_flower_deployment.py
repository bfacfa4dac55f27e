"""A real Flower deployment on this machine, with TLS and authentication, beside the same federation in one process."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: make venv")

from cervix_tf.federated import simulation
from cervix_tf.federated.averaging import average
from cervix_tf.federated.flower import terms
from cervix_tf.federated.keeper import Keeper
from cervix_tf.run_dir import RunDir

HERE = Path(__file__).parent
SITES = ("hospital-a", "hospital-b", "hospital-c")
LIMIT = 900  # seconds that all of it may take on a busy machine


@pytest.fixture(scope="module")
def deployment(start_deployment, tmp_path_factory):
    """One SuperLink, a SuperNode for each site, and one that nobody has registered."""
    with start_deployment(tmp_path_factory.mktemp("flower")) as made:
        for name in SITES:
            made.site(name)
        made.site("stranger", registered=False)
        yield made


@pytest.fixture(scope="module")
def runs(deployment):
    """Run directories of three federations at the same time: averaging, the ring, and one that loses a site."""
    settings = {
        "server": "sites='hospital-a,hospital-b'",
        "ring": "sites='hospital-a,hospital-b' topology='ring' start='hospital-b'",
        "killed": "sites='hospital-a,hospital-c' minimum=1 fault='hang:hospital-c:2'",
    }
    outs = {name: RunDir(deployment.folder / "runs" / name) for name in settings}
    for name, out in outs.items():
        out.root.mkdir(parents=True)
        deployment.flwr("run", str(HERE / "app"), "here", "--run-config", f"out='{out.root}' {settings[name]}")
    end = time.monotonic() + LIMIT
    deployment.until((outs["killed"].root / "hanging").exists, end - time.monotonic())
    deployment.kill("hospital-c")
    for out in outs.values():
        deployment.until(out.federated_weights.exists, end - time.monotonic())
    return outs


def weights_of(out):
    return Keeper(out, (), 0).read(out.federated_weights)


def same(weights, others):
    return all(np.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(weights, others, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("topology", "names"), [("server", SITES[:2]), ("ring", ("hospital-b", "hospital-a"))])
def test_a_deployment_ends_with_the_weights_of_the_simulator(topology, names, runs, tiny, tmp_path):
    trainer = tiny.trainer(terms.read({"sites": ",".join(names), "rounds": 3, "seed": 5}))
    clients = [tiny.site(name) for name in names]
    simulated = RunDir(tmp_path)
    weights = simulation.run([trainer], clients, trainer.weights, simulated, topology=topology)
    assert same(weights_of(runs[topology]), weights)
    columns = ["round", "client", "event", "examples", "loss", "bytes_sent", "bytes_received"]
    there, here = (pd.read_csv(out.federation)[columns] for out in (runs[topology], simulated))
    pd.testing.assert_frame_equal(there, here, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_federation_whose_site_is_killed_in_round_2_ends_with_the_others(runs, tiny):
    record = pd.read_csv(runs["killed"].federation, keep_default_na=False)
    assert list(record["client"]) == ["hospital-a", "hospital-c"] * 2 + ["hospital-c", "hospital-a"]
    assert list(record["event"]) == ["trained", "trained", "trained", "died", "away", "trained"], record.to_string()
    trainer = tiny.trainer(terms.read({"sites": "hospital-a,hospital-c", "rounds": 3, "seed": 5}))
    weights = trainer.weights
    for number, names in enumerate([("hospital-a", "hospital-c"), ("hospital-a",), ("hospital-a",)]):
        weights = average([trainer.train(tiny.site(name), weights, number) for name in names])
    assert same(weights_of(runs["killed"]), weights)


@pytest.mark.slow
def test_a_supernode_that_nobody_registered_is_refused(deployment, runs):
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
