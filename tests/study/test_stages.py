"""The stages of a run: rows, deployment, report, whichever of them fails."""

import pytest

from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.study import rows, stages


def run(*failing):
    """The stages that were done of a run of two rows, and the error that it ended with."""
    done = []

    def stage(name):
        def do():
            if name in failing:
                raise InputError(f"{name} is refused")
            done.append(name)

        return do

    try:
        stages.run({"one": stage("one"), "two": stage("two")}, stage("deploy"), stage("report"))
    except InputError as error:
        return done, str(error)
    return done, ""


def test_rows_come_first_then_the_deployed_model_then_the_report():
    assert run() == (["one", "two", "deploy", "report"], "")


def test_a_row_that_fails_is_told_at_the_end_and_keeps_nothing_else_from_being_done():
    assert run("one") == (["two", "deploy", "report"], "row one: one is refused")


def test_a_refused_export_leaves_the_report():
    assert run("deploy") == (["one", "two", "report"], "deploy is refused")


@pytest.mark.parametrize("finished", [(), ("one",), ("one", "two")])
def test_a_row_is_unfinished_until_its_metrics_are_there(finished, tmp_path):
    out = RunDir(tmp_path)
    for name in ("one", "two"):
        out.row(name).root.mkdir(parents=True)
        out.row(name).predictions.write_text("written before the metrics")
    for name in finished:
        out.row(name).metrics.write_text("{}")
    assert rows.unfinished(("one", "two"), out.row) == [name for name in ("one", "two") if name not in finished]
