"""A real Flower deployment on this machine, with TLS and authentication, beside the same federation in one process."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install 'cervix_tf[federated]'")

from cervix_tf.federated.averaging import average
from cervix_tf.federated.flower import terms
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
        "averaging": "sites='hospital-a,hospital-b'",
        "ring": "sites='hospital-a,hospital-b' scheme='ring' start='hospital-b'",
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
        deployment.until(out.best_weights.exists, end - time.monotonic())
    return outs


def weights_of(out):
    with np.load(out.checkpoints / "round-3.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def same(weights, others):
    return all(np.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(weights, others, strict=True))


@pytest.mark.slow
def test_averaging_over_tls_ends_with_the_weights_of_one_process(runs, tiny):
    trainer = tiny.trainer(terms.read({"sites": "hospital-a,hospital-b", "rounds": 3, "seed": 5}))
    weights = trainer.weights
    for number in range(3):
        weights = average([trainer.train(tiny.site(name), weights, number) for name in SITES[:2]])
    assert same(weights_of(runs["averaging"]), weights)
    assert len(pd.read_csv(runs["averaging"].history)) == 6


@pytest.mark.slow
def test_the_ring_over_tls_ends_with_the_weights_of_one_process(runs, tiny):
    trainer = tiny.trainer(terms.read({"sites": "hospital-a,hospital-b", "rounds": 3, "seed": 5}))
    weights = trainer.weights
    for number in range(3):
        for name in ("hospital-b", "hospital-a"):
            weights = trainer.train(tiny.site(name), weights, number).weights
    assert same(weights_of(runs["ring"]), weights)


@pytest.mark.slow
def test_a_federation_whose_site_is_killed_in_round_2_ends_with_the_others(runs, tiny):
    record = pd.read_csv(runs["killed"].history, keep_default_na=False)
    assert list(record["client"]) == ["hospital-a", "hospital-c"] * 3 or set(record["round"]) == {1, 2, 3}
    lost = record[(record["client"] == "hospital-c") & (record["round"] > 1)]
    assert list(lost["event"].str.len() > 0) == [True, True], record.to_string()
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
