import json
import os
import socket
import subprocess
import sys
import time

import pytest

from cervix_tf import run_lock
from cervix_tf.errors import InputError

HOLD = """
import sys, time
from pathlib import Path
from cervix_tf import run_lock
with run_lock.held(Path(sys.argv[1])):
    (Path(sys.argv[1]) / ".part-01234567-half.csv").write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the lock and is writing."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_told_which_one_has_the_run_and_touches_nothing(holder, tmp_path):
    with pytest.raises(InputError, match=rf"process {holder.pid} on .+, since 2.+, is working there; wait"), \
            run_lock.held(tmp_path):  # fmt: skip
        raise AssertionError("both are in")
    assert (tmp_path / ".part-01234567-half.csv").read_text() == "half"
    assert json.loads((tmp_path / run_lock.NAME).read_text())["process"] == holder.pid


def test_a_killed_process_keeps_no_lock_and_what_it_left_is_cleared(holder, tmp_path):
    holder.kill()
    holder.wait()
    with run_lock.held(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [run_lock.NAME]
        assert json.loads((tmp_path / run_lock.NAME).read_text())["process"] == os.getpid()


def test_the_lock_ends_with_its_block_also_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), run_lock.held(tmp_path):
            raise KeyError


def test_commands_that_a_process_starts_do_not_inherit_its_lock(tmp_path):
    with run_lock.held(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with run_lock.held(tmp_path):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def dead():
    """What a process has written that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return json.dumps({"process": process.pid, "host": socket.gethostname(), "since": "yesterday"}).encode()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff" * 9000, dead()], ids=["empty", "cut", "list", "noise", "dead"]
)
def test_whatever_stands_in_the_file_the_second_is_refused(content, tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "_PATIENCE", 0.1)
    with run_lock.held(tmp_path):
        (tmp_path / run_lock.NAME).write_bytes(content)
        with pytest.raises(InputError, match="another process is working there"), run_lock.held(tmp_path):
            pass


def test_where_there_are_no_locks_a_warning_says_so_and_nothing_is_cleared(tmp_path, monkeypatch, capsys):
    def unsupported(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(run_lock, "_lock", unsupported)
    (tmp_path / ".part-01234567-half.csv").write_text("perhaps another's")
    with run_lock.held(tmp_path):
        assert (tmp_path / ".part-01234567-half.csv").exists()
    assert "has no locks (Operation not supported); make sure that no other process" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match="no such folder"), run_lock.held(tmp_path / "none"):
        pass
    assert not list(tmp_path.iterdir())


def test_of_many_processes_at_once_exactly_one_has_the_run(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    many = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        deadline = time.monotonic() + 60
        while sum(process.poll() is not None for process in many) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        (alive,) = [process for process in many if process.poll() is None]
        assert alive.stdout.readline() == "held\n"
        assert all("is working there" in process.communicate()[1] for process in many if process is not alive)
    finally:
        for process in many:
            process.kill()
            process.wait()
