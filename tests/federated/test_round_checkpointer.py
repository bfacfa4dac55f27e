"""What a federation has on disk when it was cut off, refused a round, or was damaged."""

from pathlib import Path

import pandas as pd
import pytest

from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir


@pytest.fixture
def in_the_middle(federate, client, failing):
    """The run, named "cut", of a federation of three rounds that ended in its third."""
    sites = [client("a", 1), client("b", 2)]
    sites[1].batches = failing(sites[1].batches, "dies", 2)
    losses = iter([0.5, 0.4])
    with pytest.raises(InputError, match="round 3: 1 of 2 clients came back"):
        federate(sites, "cut", held_out=lambda weights: next(losses))
    return RunDir(federate.root / "cut")


def test_a_state_that_was_removed_is_asked_for(federate, client):
    out = RunDir(federate.root / "run")
    out.root.mkdir()
    out.history.write_text("epoch,loss,seconds\n1,0.7,2.0\n")
    out.federation.write_text("round\n1\n")
    with pytest.raises(InputError, match=r"round-1.npz: is missing although history.csv counts 1 rounds"):
        federate([client("a")])


def test_a_damaged_state_costs_one_round_and_a_line(federate, client, same, capsys, in_the_middle):
    losses = {0: 0.5, 1: 0.4, 2: 0.3}
    whole = federate([client("a", 1), client("b", 2)], "whole", held_out=lambda weights: losses.pop(min(losses)))
    state = in_the_middle.checkpoints / "round-2.npz"
    state.write_bytes(state.read_bytes()[:500])
    left = iter([0.4, 0.3])
    again = federate([client("a", 1), client("b", 2)], "cut", held_out=lambda weights: next(left))
    assert "round-2.npz: is damaged or cut short" in capsys.readouterr().err
    assert same(again, whole)


@pytest.mark.parametrize("name", ["history.csv", "checkpoints/best.npz"])
def test_a_federation_copied_by_halves_is_refused_with_the_files_name(name, federate, client, in_the_middle):
    run = in_the_middle
    (run.root / name).write_bytes((run.root / name).read_bytes()[:20])
    with pytest.raises(InputError, match=rf"{Path(name).name}: is missing.*or remove"):
        federate([client("a", 1), client("b", 2)], "cut")


def test_events_of_whole_rounds_that_were_cut_come_back_from_the_state(federate, client, in_the_middle):
    run = in_the_middle
    lines = run.federation.read_text().splitlines(keepends=True)
    before = "".join(line for line in lines if not line.startswith("3,"))
    assert before.count("\n") == 5, "the header, and two sites in each of two rounds"
    run.federation.write_bytes(run.federation.read_bytes()[:20])
    (run.checkpoints / "refused.npz").unlink()
    left = iter([0.3])
    federate([client("a", 1), client("b", 2)], "cut", held_out=lambda weights: next(left))
    assert run.federation.read_text().startswith(before)


def test_a_round_that_was_refused_stays_in_the_record_whatever_becomes_of_federation_csv(
    federate, client, failing, in_the_middle
):
    run = in_the_middle
    record = run.federation.read_text()
    assert record.splitlines()[-1].startswith('3,,round refused,"1 of 2 clients came back')
    for cut in (20, len(record) - 10):
        run.federation.write_text(record[:cut])
        with pytest.raises(InputError, match="round 3"):
            broken = client("b", 2)
            broken.batches = failing(broken.batches, "dies", 2)
            federate([client("a", 1), broken], "cut", held_out=lambda weights: 0.3)
        assert run.federation.read_text().startswith(record)
        record = run.federation.read_text()
    run.federation.unlink()
    federate([client("a", 1), client("b", 2)], "cut", held_out=lambda weights: 0.3)
    assert run.federation.read_text().startswith(record)
    assert list(pd.read_csv(run.federation, keep_default_na=False)["event"][4:]) == [
        *["unused", "died", "round refused"] * 3, "trained", "trained"]  # fmt: skip
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["federated.npz"]


def test_the_first_round_stays_in_the_record_when_it_is_refused(federate, client, failing):
    run, names = RunDir(federate.root / "run"), ("007", "7")
    sites = [client(name, at) for at, name in enumerate(names)]
    sites[0].batches = failing(sites[0].batches, "dies", 0)
    with pytest.raises(InputError, match="round 1: 1 of 2 clients"):
        federate(sites)
    record = run.federation.read_text()
    federate([client(name, at) for at, name in enumerate(names)])
    assert run.federation.read_text().startswith(record)
    told = pd.read_csv(run.federation, keep_default_na=False, dtype={"client": str})
    assert list(told["client"][:5]) == [*names, "", *names]
    assert list(told["event"]) == ["died", "unused", "round refused", *["trained"] * 6]


def test_what_a_damaged_state_and_a_refused_round_leave_is_one_line_a_client_and_whole_round(
    federate, client, in_the_middle
):
    run = in_the_middle
    state = run.checkpoints / "round-2.npz"
    state.write_bytes(state.read_bytes()[:500])
    left = iter([0.4, 0.3])
    federate([client("a", 1), client("b", 2)], "cut", held_out=lambda weights: next(left))
    told = pd.read_csv(run.federation, keep_default_na=False)
    trained = told[told["event"] == "trained"]
    assert list(zip(trained["round"], trained["client"], strict=True)) == [
        (1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "a"), (3, "b")]  # fmt: skip
    assert list(told["event"] == "round refused").count(True) == 1


def test_a_damaged_record_of_refused_rounds_is_named_with_its_remedy(federate, client, in_the_middle):
    refused = in_the_middle.checkpoints / "refused.npz"
    refused.write_bytes(refused.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"refused\.npz: is damaged or cut short .*remove it to continue"):
        federate([client("a", 1), client("b", 2)], "cut")
    refused.unlink()
    federate([client("a", 1), client("b", 2)], "cut", held_out=lambda weights: 0.3)


def test_damaged_weights_of_a_finished_federation_are_named(federate, client):
    federate([client("a", 1)])
    weights = RunDir(federate.root / "run").federated_weights
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"federated\.npz: is damaged or cut short .*or remove"):
        federate([client("a", 1)])
