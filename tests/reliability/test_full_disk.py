"""No writer leaves a half file on a full disk, or anything but one line on the terminal."""

import subprocess

import pytest


def check(found, folder, said):
    assert len(found) == 14
    for writer, result in found.items():
        assert result["code"] == 2 and result["said"].count("\n") == 1, (writer, result)
        assert result["said"].startswith(f"error: {folder / writer}/") and said in result["said"], (writer, result)
        assert result["left"] == [], (writer, result)


def test_every_writer_ends_in_one_line_and_leaves_nothing_where_there_is_no_room(tmp_path, script):
    check(script("full_disk.py", tmp_path), tmp_path, "larger than a file may be here")


@pytest.mark.reliability
def test_so_it_is_on_a_disk_that_is_really_full(tmp_path, script):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs rights")
    try:
        (tmp_path / "fill").write_bytes(bytes(60_000))
        check(script("full_disk.py", tmp_path, "full"), tmp_path, "the disk is full")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
