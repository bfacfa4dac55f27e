"""No writer leaves a half file on a full disk, or anything but one line on the terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("full_disk.py")


def check(folder, said, *arguments):
    command = [sys.executable, str(SCRIPT), str(folder), *arguments]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": root})
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) == 14
    for writer, result in found.items():
        assert result["code"] == 2 and result["said"].count("\n") == 1, (writer, result)
        assert result["said"].startswith(f"error: {folder / writer}/") and said in result["said"], (writer, result)
        assert result["left"] == [], (writer, result)
    assert "Traceback" not in done.stderr and "libpng" not in done.stderr


def test_every_writer_ends_in_one_line_and_leaves_nothing_where_there_is_no_room(tmp_path):
    check(tmp_path, "larger than a file may be here")


@pytest.mark.reliability
def test_so_it_is_on_a_disk_that_is_really_full(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs rights")
    try:
        (tmp_path / "fill").write_bytes(bytes(60_000))
        check(tmp_path, "the disk is full", "full")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
