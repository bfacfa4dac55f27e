"""Validation at the sites: the federation between institutions ends where the simulator with `held_out` ends."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

from cervix_tf.errors import InputError
from cervix_tf.federated import simulation
from cervix_tf.run_dir import RunDir


@pytest.fixture
def simulated(tiny, first, agreed, tmp_path):
    """simulated(rounds, patience, topology): weights, history and network of the same federation in the simulator."""

    def run(rounds, patience, topology="server"):
        trainer, sites = tiny.trainer(agreed(rounds=rounds)), [tiny.site(name) for name in "abc"]

        def held_out(weights):
            return float(np.mean([trainer.loss(site, weights) for site in sites]))

        out = RunDir(tmp_path / "simulated")
        weights = simulation.run(
            [trainer], sites, first, out, topology=topology, held_out=held_out, patience=patience
        )  # fmt: skip
        return weights, pd.read_csv(out.history)

    return run


@pytest.mark.parametrize("topology", ["server", "ring"])
@pytest.mark.parametrize("patience", [0, 2])
def test_best_round_and_early_end_are_the_simulators(topology, patience, federation, simulated, same):
    weights, history = simulated(9, patience, topology)
    done = federation(validation="sites", rounds=9, patience=patience, topology=topology)
    assert same(done.weights, weights)
    assert list(done.history["val_loss"]) == list(history["val_loss"])
    assert (len(history) < 9) == (patience > 0), "it is to be seen that patience ends a federation"
    assert history["val_loss"].argmin() + 1 < len(history), "and that the best round is not the last"
    of_sites = done.history[["val_loss a", "val_loss b", "val_loss c"]]
    np.testing.assert_allclose(of_sites.mean(axis=1), done.history["val_loss"])


def test_a_federation_that_was_stopped_knows_its_best_round_still(federation, same):
    settings = {"validation": "sites", "patience": 2, "rounds": 9}
    whole = federation(name="whole", **settings)
    for fault in ("nan:b:2", "nan:b:4"):
        with pytest.raises(InputError, match="3 are needed"):
            federation(fault=fault, **settings)
    again = federation(**settings)
    assert same(again.weights, whole.weights)
    pd.testing.assert_frame_equal(again.history.drop(columns="seconds"), whole.history.drop(columns="seconds"))


def test_a_round_that_a_site_does_not_measure_is_compared_by_the_others(federation):
    done = federation(validation="sites", rounds=3, fault="blind:b:2")
    assert list(done.history["val_loss b"].isna()) == [False, True, False]
    assert list(done.record["reason"][3:6]) == ["", "validation: answered: <class 'OSError'>:<'the disk is gone'>", ""]
    assert done.history["val_loss"][1] == pytest.approx(done.history.loc[1, ["val_loss a", "val_loss c"]].mean())


def test_a_site_whose_update_was_refused_has_no_say_in_which_round_is_best(federation):
    done = federation(validation="sites", rounds=2, minimum=2, fault="times1e6:b:1")
    assert list(done.history["val_loss b"].isna()) == [True, False]
    assert [name for now, name, kind in done.grid.asked if kind == "evaluate" and now == 1] == ["a", "c"]


def test_a_round_that_no_site_measures_is_refused(federation, same):
    with pytest.raises(InputError, match=r"round 2: no site measured .* \(a: validation: answered: .*the disk is gone"):
        federation(validation="sites", fault="blind:a:2;blind:b:2;blind:c:2")
    assert list(federation.record()["event"][3:]) == ["unused", "unused", "unused", "round refused"]
    assert same(federation(validation="sites").weights, federation(validation="sites", name="whole").weights)


def test_a_site_without_validation_images_says_so(federation, tiny, monkeypatch):
    real = tiny.site

    def blind(name):
        site = real(name)
        site.held_out = None
        return site

    monkeypatch.setattr(tiny, "site", blind)
    with pytest.raises(InputError, match="site a: has no validation images"):
        federation(validation="sites")
