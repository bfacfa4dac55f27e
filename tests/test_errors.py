"""How a command ends: on bad input, a full disk, a reader that has gone, a terminal of another code page."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cervix_tf import errors
from cervix_tf.errors import InputError, exit_cleanly

PROGRAM = """
import sys
from cervix_tf.errors import InputError, exit_cleanly
with exit_cleanly():
    for line in range(int(sys.argv[1])):
        print("probability of синий é", line)
    if sys.argv[2:]:
        raise InputError(sys.argv[2])
"""


def command(*arguments, unbuffered=False):
    return [sys.executable, *(["-u"] if unbuffered else []), "-c", PROGRAM, *map(str, arguments)]


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("lines", [1, 100_000])
def test_when_nobody_reads_on_the_command_ends_without_a_word(unbuffered, lines):
    process = subprocess.Popen(
        command(lines, unbuffered=unbuffered), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    if lines > 1:
        process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.parametrize("unbuffered", [False, True])
def test_an_error_is_told_although_nobody_reads_the_output(unbuffered):
    process = subprocess.Popen(
        command(0, "a.csv: wrong", unbuffered=unbuffered), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b"error: a.csv: wrong\n"
    assert process.wait() == 2


def test_when_nobody_reads_errors_either_the_code_tells():
    process = subprocess.Popen(command(0, "a.csv: wrong"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process.stderr.close()
    assert process.wait() == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_output_to_a_full_disk_ends_in_one_line(lines):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command(lines), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: writing: the disk is full")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", "\\u0441\\u0438\\u043d\\u0438\\u0439 é"),
        ("ascii", "\\u0441\\u0438\\u043d\\u0438\\u0439 \\xe9"),
        ("utf-8", "синий é"),
        ("ascii:replace", "????? ?"),  # what the user has chosen stays
    ],
)
def test_what_a_code_page_cannot_show_is_spelled_out(encoding, shown):
    done = subprocess.run(
        command(1, "синий: wrong"), capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 2
    assert done.stdout.decode(encoding.partition(":")[0]) == f"probability of {shown} 0\n"
    assert b"Traceback" not in done.stderr and done.stderr.count(b"\n") == 1


class OfALibrary(Exception):
    """As TensorFlow and HDF5 have them."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("a.csv: line 3: fix it"), "error: a.csv: line 3: fix it"),
        (OSError(errno.ENOSPC, "", "m.keras"), "error: m.keras: the disk is full"),
        (OSError(errno.EROFS, "", "m.keras"), "error: m.keras: the file system is read-only"),
        (OSError(errno.EMFILE, "", "a.jpg"), "error: a.jpg: Too many open files"),
        (OSError(errno.ENOSPC, ""), "error: writing: the disk is full"),
        (OfALibrary("x.tempstate1; No space left on device [Op:SaveV2]"), "error: writing: the disk is full"),
        (RuntimeError("unable to close (errno = 122, error message = 'Disk quota exceeded')"), "quota is used up"),
        (OSError("1000 requested and 262 written"), "error: writing: the disk is full"),
    ],
)
def test_every_refusal_of_the_system_is_one_line_with_a_remedy(error, said, capsys):
    with pytest.raises(SystemExit) as ended, exit_cleanly():
        raise error
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and said in printed and printed.count("\n") == 1


@pytest.mark.parametrize("bug", [ZeroDivisionError("x"), OSError("no number"), ValueError("not written")])
def test_bugs_keep_their_traceback(bug):
    assert errors.system_code(bug) is None
    with pytest.raises(type(bug)), exit_cleanly():
        raise bug
