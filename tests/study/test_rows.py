import pytest

from cervix_tf import progress
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import RunRequest, rows

AVAILABLE = {"a": 1, "b": 2, "c": 3}


def history(out, *seconds):
    out.root.mkdir(parents=True)
    out.history.write_text("epoch,seconds\n" + "".join(f"{at},{each}\n" for at, each in enumerate(seconds, 1)))


def test_a_command_runs_the_rows_that_it_names_in_the_order_of_the_tables_else_the_default():
    assert rows.selected(AVAILABLE, RunRequest(only=("c", "a")), ["b"]) == [1, 3]
    assert rows.selected(AVAILABLE, RunRequest(), ["b"]) == [2]
    assert rows.selected(AVAILABLE, RunRequest(), []) == []


def test_a_row_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="--only d: no such row; choose from a, b, c"):
        rows.selected(AVAILABLE, RunRequest(only=("a", "d")), [])


def test_the_state_of_a_row_counts_the_epochs_of_all_its_folds_and_extrapolates_their_time(tmp_path):
    out = RunDir(tmp_path)
    folders = rows.trainings("net", folds=2)
    assert folders == ["fold-0-net", "fold-1-net"]
    begun = rows.status(out, "net", "3", finished=False, trained_in=folders, epochs=10)
    assert begun == ("net", "3", "not begun", "20 epochs")
    history(out.row("fold-0-net"), 30, 60)
    assert rows.status(out, "net", "3", finished=False, trained_in=folders, epochs=10)[2:] == (
        "2 of 20 epochs",
        "15.0 min",
    )
    assert rows.status(out, "net", "3", finished=True, trained_in=folders, epochs=10).state == "finished"


def test_a_damaged_history_is_named_where_rows_are_listed(tmp_path):
    out = RunDir(tmp_path / "run")
    history(out.row("net"), 20)
    out.row("net").history.write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(InputError, match=r"history\.csv: has no column seconds; restore it"):
        rows.seconds(out.row("net"))


def test_a_row_without_training_costs_forward_passes_and_an_estimate_stands_until_the_first_epoch(tmp_path):
    out = RunDir(tmp_path)
    assert rows.status(out, "probe", "", finished=False, trained_in=[], epochs=0).cost == "forward passes only"
    assert (
        rows.status(out, "n", "", finished=False, trained_in=["n"], epochs=2, estimate="about 3 h").cost == "about 3 h"
    )


@pytest.mark.parametrize(("seconds", "text"), [(0.42, "0.4 s"), (45, "45 s"), (450, "7.5 min"), (7200, "2.0 h")])
def test_times_are_told_in_the_unit_that_suits_them(seconds, text):
    assert progress.duration(seconds) == text
