import pytest

from cervix_tf import atomic


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


def test_a_folder_replaces_an_older_folder(tmp_path):
    target = tmp_path / "model"
    for content in ("old", "new"):
        with atomic.replacing(target) as part:
            part.mkdir()
            (part / content).write_text(content)
    assert [path.name for path in target.iterdir()] == ["new"] and len(list(tmp_path.iterdir())) == 1


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
