"""A row, data set or seed that fails leaves the others, and a row the tables."""

import pytest
import tensorflow as tf

from cervix_tf.errors import InputError
from cervix_tf.study import failures
from cervix_tf.training import devices


def run(*failing, error=None):
    """Three rows, of which some fail; what was finished before the end raised."""
    finished = []

    def go():
        with failures.collected() as attempt:
            for row in ("one", "two", "three"):
                with attempt(row):
                    if row in failing:
                        raise error or InputError(f"{row} diverged")
                    finished.append(row)
            finished.append("tables")

    return go, finished


def test_the_rows_after_one_that_fails_and_the_tables_are_made_before_it_is_raised(capsys):
    go, finished = run("one", "two")
    with pytest.raises(InputError) as raised:
        go()
    assert str(raised.value) == "row one: one diverged\nrow two: two diverged"
    assert finished == ["three", "tables"]
    assert "note: row one failed, the others continue: one diverged" in capsys.readouterr().out


def test_without_failures_nothing_is_raised():
    go, finished = run()
    go()
    assert finished == ["one", "two", "three", "tables"]


def test_a_network_too_large_for_the_device_fails_alone():
    go, finished = run("two", error=tf.errors.ResourceExhaustedError(None, None, "OOM"))
    with pytest.raises(InputError, match=r"row two: does not fit into memory; lower --images\.batch-size"):
        go()
    assert finished == ["one", "three", "tables"]


def test_a_bug_ends_the_command_at_once():
    go, finished = run("one", error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        go()
    assert finished == []


def test_with_several_workers_a_failure_ends_the_command_at_once(monkeypatch):
    monkeypatch.setattr(devices, "worker", lambda: 0)
    go, finished = run("one")
    with pytest.raises(InputError, match=r"^one diverged$"):
        go()
    assert finished == []


def test_of_several_each_is_done_and_every_line_of_what_was_wrong_names_its_one(capsys):
    done = []

    def fail():
        raise InputError("row a: diverged\nrow b: diverged")

    with pytest.raises(InputError) as raised:
        failures.each("seed", {"0": fail, "1": lambda: done.append(1)})
    assert str(raised.value) == "seed 0: row a: diverged\nseed 0: row b: diverged" and done == [1]
    assert "note: seed 0 failed, the others continue: row a" in capsys.readouterr().out


def test_one_alone_fails_as_it_would_without(capsys):
    def fail():
        raise InputError("diverged")

    with pytest.raises(InputError, match=r"^diverged$"):
        failures.each("seed", {"0": fail})
    assert not capsys.readouterr().out
