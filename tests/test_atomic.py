import contextlib
import os
from pathlib import Path

import pytest

from cervix_tf import atomic, durable
from cervix_tf.errors import InputError


def write_folder(target, *names):
    with atomic.replacing(target) as part:
        part.mkdir()
        for name in names:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(name)


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    with pytest.raises(RuntimeError), atomic.replacing(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    atomic.write_text(target, "whole\n")
    assert target.read_text() == "whole\n"


def test_a_failed_rewrite_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    atomic.write_text(target, "old")
    with pytest.raises(RuntimeError), atomic.replacing(target) as part:
        part.write_text("new")
        raise RuntimeError
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_replaces_an_older_one_of_ours(tmp_path):
    target = tmp_path / "model"
    for content in ("old", "new"):
        write_folder(target, content)
    assert sorted(path.name for path in target.iterdir()) == [atomic.MARKER, "new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_system_that_cannot_swap_two_folders_in_one_step_ends_with_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "exchange", lambda one, other: False)
    test_a_folder_replaces_an_older_one_of_ours(tmp_path)


@pytest.mark.parametrize("start", [atomic.clear_leftovers, lambda folder: atomic.write_text(folder / "model", "x")])
@pytest.mark.parametrize("killed_at", range(1, 4))
def test_a_kill_within_such_a_swap_loses_neither_folder(tmp_path, monkeypatch, killed_at, start):
    class Killed(BaseException):
        pass

    real, left = Path.rename, [killed_at]

    def renamed(path, target):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return real(path, target)

    write_folder(tmp_path / "model", "old")
    monkeypatch.setattr(durable, "exchange", lambda one, other: False)
    monkeypatch.setattr(atomic, "_remove", lambda part: None)  # what is dead tidies nothing up
    monkeypatch.setattr(Path, "rename", renamed)
    with contextlib.suppress(Killed):
        write_folder(tmp_path / "model", "new")
    monkeypatch.undo()
    with contextlib.suppress(InputError):  # a file is not written over a folder, also not over one that came back
        start(tmp_path)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        atomic.MARKER, "old" if killed_at == 1 else "new"
    ]  # fmt: skip
    atomic.clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folders_of_others_that_are_named_like_ours_are_let_be(tmp_path):
    (tmp_path / ".old-model").mkdir()
    (tmp_path / ".old-model" / "thesis.txt").write_text("mine")
    atomic.clear_leftovers(tmp_path)
    write_folder(tmp_path / "model", "new")
    assert (tmp_path / ".old-model" / "thesis.txt").exists()


def test_an_empty_folder_may_become_a_folder_of_ours_but_not_a_file(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        atomic.check_target(target)
    write_folder(target, "new")
    assert (target / "new").exists()


def folder_of_somebody_else(target):
    (target / "deep").mkdir(parents=True)
    (target / "deep" / "precious.txt").write_text("years of work")


def our_folder_with_something_added(target):
    write_folder(target, "ours.txt")
    (target / "precious.txt").write_text("years of work")


def our_folder_with_a_link_added(target):
    write_folder(target, "ours.txt")
    (target / "precious").symlink_to(target.parent)


@pytest.mark.parametrize(
    "there", [folder_of_somebody_else, our_folder_with_something_added, our_folder_with_a_link_added]
)
def test_a_folder_that_holds_anything_of_somebody_else_is_never_replaced(tmp_path, there):
    target = tmp_path / "precious"
    there(target)
    before = everything(tmp_path)
    for write in (lambda: atomic.write_text(target, "x"), lambda: write_folder(target, "new")):
        with pytest.raises(InputError, match="precious"):
            write()
    with pytest.raises(InputError, match=r"which this program did not write.*choose another name"):
        atomic.check_target(target, folder=True)
    assert everything(tmp_path) == before


def test_a_file_replaces_no_folder_of_ours_and_a_folder_no_file(tmp_path):
    write_folder(tmp_path / "model", "inside")
    (tmp_path / "notes.txt").write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(InputError, match="is a folder"):
        atomic.write_text(tmp_path / "model", "x")
    with pytest.raises(InputError, match="is a file, but a folder is to be written"):
        write_folder(tmp_path / "notes.txt", "inside")
    assert everything(tmp_path) == before


def test_a_device_or_pipe_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(InputError, match="is a device or a pipe"):
            atomic.write_text(target, "x")
    assert not Path("/dev/null").is_file()


def test_what_a_link_names_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "disk" / "real.csv")
    atomic.write_text(tmp_path / "link.csv", "x")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "disk" / "real.csv").read_text() == "x"


def test_a_target_that_is_read_or_lies_below_a_file_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "in.csv").write_text("x")
    with pytest.raises(InputError, match="is an input of this command"):
        atomic.check_target(tmp_path / "." / "in.csv", inputs=[tmp_path / "in.csv"])
    with pytest.raises(InputError, match=r"in\.csv is a file, not a folder"):
        atomic.check_target(tmp_path / "in.csv" / "deep" / "out.csv")
    atomic.check_target(tmp_path / "new" / "deep" / "out.csv")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))  # root may write anywhere
    for check in (atomic.check_target, lambda path: atomic.check_results(path, ["a"])):
        with pytest.raises(InputError, match="is read-only or not yours"):
            check(tmp_path / "new" / "out")


def test_results_replace_only_results_of_this_program(tmp_path):
    (tmp_path / "manifest.csv").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"manifest\.csv: already exists, and this program did not write it"):
        atomic.claim(tmp_path, ["metrics.json", "manifest.csv"])
    assert not (tmp_path / atomic.MARKER).exists()
    for _ in range(2):
        atomic.claim(tmp_path, ["metrics.json"])
        atomic.write_text(tmp_path / "metrics.json", "{}")
    with pytest.raises(InputError, match="is a file, but results need a folder"):
        atomic.check_results(tmp_path / "notes.txt", ["a"])


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "я" * 125 + ".txt"])
def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path, name):
    for text in ("old", "new"):
        atomic.write_text(tmp_path / name, text)
    assert (tmp_path / name).read_text() == "new"


def test_the_temporary_name_keeps_the_suffix_that_writers_look_at(tmp_path):
    with atomic.replacing(tmp_path / "best.weights.h5") as part:
        assert part.name.endswith(".weights.h5") and part.parent == tmp_path
        part.write_text("")


def test_what_a_killed_writer_left_is_cleared_and_nothing_else(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "whole.csv").write_text("x")
    (tmp_path / "rows" / ".part-12345678-half.csv").write_text("x")
    (tmp_path / ".part-12345678-model").mkdir()
    (tmp_path / ".part-12345678-model" / "inside").write_text("x")
    atomic.clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["rows", "whole.csv"]


def test_only_this_program_s_files_are_discarded(tmp_path):
    atomic.claim(tmp_path, ["metrics.json", "row.json"])
    for name in ("metrics.json", "row.json", "mine.json"):
        (tmp_path / name).write_text("{}")
    atomic.discard(tmp_path, ["metrics.json", "mine.json", "none.json"])
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["mine.json", "row.json"]
