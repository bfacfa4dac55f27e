"""Stages as a log and as a terminal show them, each in a process of its own."""

import json
import os
import pty
import subprocess
import sys
import textwrap

import pytest

from cervix_tf import progress


def command(code, **quick):
    """The words of a command that runs `code`; `quick` are seconds to set."""
    settings = "".join(f"progress.{name} = {value}\n" for name, value in quick.items())
    program = (
        "import time\nfrom cervix_tf import errors, progress, quiet\n"
        + settings
        + "with errors.exit_cleanly():\n"
        + textwrap.indent(code, "    ")
    )
    return [sys.executable, "-c", program]


def said(code, **quick):
    """Its standard output and error."""
    return subprocess.run(command(code, **quick), capture_output=True, text=True, check=True)


def test_a_stage_that_lasts_is_a_line_of_the_log_and_a_short_one_is_none():
    found = said(
        "with progress.stage('short'): pass\nwith progress.stage('long', 9, 'images'): time.sleep(1.5)\n",
        FIRST_LINE=0.2,
    )
    assert found.stderr.splitlines() == ["long ... (9 images)"]


def test_a_long_stage_says_now_and_then_how_far_it_is_and_how_long_it_will_take():
    code = (
        "with progress.stage('reading', 100, 'images') as stage:\n"
        "    for _ in range(6): time.sleep(0.5); stage.advance(10)\n"
    )
    lines = said(code, FIRST_LINE=0.2, LONGEST_SILENCE=0.8).stderr.splitlines()
    assert lines[0] == "reading ... (100 images)"
    assert len(lines) >= 2 and all("of 100 images, about" in line and line.endswith("s left") for line in lines[1:])


def test_estimates_leave_out_what_comes_before_the_first_step(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stage = progress.Stage("training", 100, "steps", started=0.0)
    stage.advance()
    assert stage.how_far() == "1 of 100 steps"
    now[0] += 9.0
    stage.advance(9)
    assert stage.how_far() == "10 of 100 steps, about 1.5 min left"


def test_where_nothing_can_be_counted_the_log_says_for_how_long_it_has_been_going_on():
    found = said("with progress.stage('tracing'): time.sleep(3)\n", FIRST_LINE=0.2, LONGEST_SILENCE=0.8)
    assert found.stderr.splitlines()[1].startswith("tracing: for ")


def test_the_first_line_of_a_log_comes_sooner_than_the_others():
    code = "with progress.stage('loading'): time.sleep(1.2)\nwith progress.stage('reading'): time.sleep(1.2)\n"
    assert said(code, FIRST_OUTPUT=0.2).stderr == "loading ...\n"


def test_a_stage_within_another_takes_nothing_from_the_others_line():
    code = "with progress.stage('row, 1 of 2'):\n with progress.stage('training', 9, 'steps'): time.sleep(1.5)\n"
    assert said(code, FIRST_LINE=0.2).stderr.splitlines() == ["row, 1 of 2 ...", "training ... (9 steps)"]


HOLDING = "import ctypes\nwith progress.stage('converting'):\n time.sleep(1.2); ctypes.PyDLL(None).usleep(3_000_000)\n"
"""A library that holds Python's lock for three seconds."""


@pytest.mark.skipif(not hasattr(pty, "openpty"), reason="this system's C library is another one")
def test_a_library_that_stops_every_thread_does_not_stop_the_log():
    lines = said(HOLDING, FIRST_LINE=0.2, LONGEST_SILENCE=0.1).stderr.splitlines()
    assert lines[0] == "converting ..." and len(lines) >= 3
    assert all(line.startswith("converting: for ") for line in lines[1:])


@pytest.mark.skipif(not hasattr(pty, "openpty"), reason="this system's C library is another one")
def test_a_library_that_stops_every_thread_right_after_another_stage_does_not_stop_the_log_either():
    held = "with progress.stage('converting'):\n  time.sleep(0.6); ctypes.PyDLL(None).usleep(3_000_000)\n"
    code = f"import ctypes\nwith progress.stage('row a'):\n time.sleep(1.2)\n {held}"
    lines = said(code, FIRST_LINE=0.8, LONGEST_SILENCE=0.1).stderr.splitlines()
    assert lines[0] == "row a ..." and sum(line.startswith("converting: for ") for line in lines) >= 2


@pytest.mark.skipif(not hasattr(pty, "openpty"), reason="this system's C library is another one")
def test_odd_file_names_do_not_stop_the_log():
    code = HOLDING.replace("'converting'", r"'evaluating on a\nb \udce9.csv'")
    lines = said(code, FIRST_LINE=0.2, LONGEST_SILENCE=0.1).stderr.splitlines()
    assert sum(line.startswith(r"evaluating on a b \udce9.csv: for ") for line in lines) >= 2


def test_results_are_not_mixed_with_progress():
    found = said("with progress.stage('predicting'): time.sleep(1)\nprint('{}')\n", FIRST_LINE=0.2)
    assert json.loads(found.stdout) == {}


def test_what_is_worth_a_line_of_its_own_gets_one_at_once():
    found = said("with progress.stage('net: training', 4, 'steps') as stage: stage.say('epoch 1 of 2, loss 0.5')\n")
    assert found.stderr == "net: training: epoch 1 of 2, loss 0.5\n"


def test_code_that_is_imported_says_nothing(capfd):
    with progress.stage("reading", 3, "images") as stage:
        stage.advance()
        stage.say("half")
    assert capfd.readouterr() == ("", "")
    assert stage.how_far() == "1 of 3 images"


def test_an_error_ends_the_stages_and_is_the_last_that_is_said():
    program = (
        "from cervix_tf import errors, progress\n"
        "with errors.exit_cleanly():\n with progress.stage('reading'):\n  raise errors.InputError('a.png: is empty')\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, "error: a.png: is empty\n")


def test_an_error_is_the_last_that_is_said_while_a_loop_has_not_ended():
    program = (
        "import time\nfrom cervix_tf import errors, progress\nprogress.FIRST_LINE = 0.2\n"
        "with errors.exit_cleanly():\n"
        " cases = progress.counted([1, 2], 'drawing', 2, 'cases')\n next(cases); time.sleep(1.5)\n"
        " raise errors.InputError('a.png: is empty')\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, "drawing ... (2 cases)\nerror: a.png: is empty\n")


def in_a_terminal(code, *, both=False, **quick):
    """What a command shows on a terminal, and what it prints on its standard output: no terminal, unless `both` are."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(code, **quick), stderr=theirs, stdout=theirs if both else subprocess.PIPE, text=True
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 1024):
            shown += part
    except OSError:  # how the end of a pseudo-terminal reads
        pass
    assert process.wait() == 0
    return shown, "" if both else process.stdout.read()


@pytest.mark.skipif(not hasattr(pty, "openpty"), reason="this system has no pseudo-terminals")
def test_a_terminal_shows_a_bar_while_a_stage_runs_and_keeps_only_what_is_printed():
    shown, printed = in_a_terminal(
        "with progress.stage('reading', 2, 'images') as stage, quiet.libraries():\n"
        "    stage.advance(); time.sleep(0.5)\n"
        "    print('found')\n"
    )
    assert printed == "found\n"
    assert b"reading" in shown and b"1 of 2 images" in shown
    assert b"\x1b[2K" in shown.split(b"1 of 2 images")[-1]  # the bar is wiped away


@pytest.mark.skipif(not hasattr(pty, "openpty"), reason="this system has no pseudo-terminals")
def test_a_table_is_printed_above_the_bars_and_not_behind_one():
    shown, _ = in_a_terminal(
        "with progress.stage('writing tables'):\n"
        "    time.sleep(0.5); progress.console().print('Table one'); time.sleep(0.5)\n"
        "progress.console().print('Table two')\n",
        both=True,
    )
    for table in (b"Table one", b"Table two"):
        assert b"writing tables" not in shown[: shown.index(table)].rpartition(b"\x1b[2K")[2]


@pytest.mark.skipif(not hasattr(pty, "openpty"), reason="this system has no pseudo-terminals")
def test_a_terminal_goes_on_while_a_library_stops_every_thread():
    shown, _ = in_a_terminal(HOLDING, LONGEST_STANDSTILL=0.3)
    assert shown.count(b"converting: for ") >= 2
    assert b"\x1b[2K" in shown.split(b"converting: for ")[-1]
