import shlex
from pathlib import Path

import pytest

from cervix_tf import shown_paths


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/anna/images", "~/images"),
        ("/home/anna", "~"),
        ("--data.root=/home/anna/a b", "--data.root=~/a b"),
        ("/home/annabel/images", "/home/annabel/images"),
        ("/srv/home/anna/images", "/srv/home/anna/images"),
        ("images/home/anna", "images/home/anna"),
        ("", ""),
    ],
)
def test_a_run_keeps_the_home_folder_as_a_tilde_and_finds_it_again(text, kept):
    assert shown_paths.kept(text) == kept
    if text.startswith("/"):
        assert shown_paths.found(kept) == Path(text)


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/data/iarc", "DATA"),
        ("/data/iarc/Case 1/a.jpg", "DATA/Case 1/a.jpg"),
        ("/data/iarc2/a.jpg", "a.jpg"),
        ("/home/anna/w.h5", "~/w.h5"),
        ("/mnt/Anna Smith/w.h5", "w.h5"),
        ("--by=/secret/c", "--by=c"),
        ("out='/srv/anna/run' sites='a,b'", "out='run' sites='a,b'"),
        ("C:\\Users\\anna\\w.h5", "w.h5"),
        ("saved_models/demo", "saved_models/demo"),
        ("and/or 1/2, https://a.b/c/d", "and/or 1/2, https://a.b/c/d"),
        ("float32: no bfloat16 here", "float32: no bfloat16 here"),
    ],
)
def test_what_is_published_names_no_folder_but_those_of_the_images_and_below_home(text, published):
    assert shown_paths.published(text, "/data/iarc") == published


@pytest.mark.parametrize("root", ["/home/anna/iarc", "~/iarc"])
def test_images_below_home_are_the_images_folder_however_it_is_written(root):
    for text in ("/home/anna/iarc/a.jpg", "~/iarc/a.jpg"):
        assert shown_paths.published(text, root) == "DATA/a.jpg"


def test_a_command_is_kept_and_published_as_a_shell_understands_it():
    words = [
        "python",
        "-m",
        "study",
        "--data.root",
        "/home/anna/iarc",
        "--weights",
        "/home/anna/my w/f.h5",
        "--list",
        "",
    ]
    line = shown_paths.command([*words, "--out=/mnt/anna/runs"])
    assert line == "python -m study --data.root ~/iarc --weights ~/'my w/f.h5' --list '' --out=/mnt/anna/runs"
    assert shown_paths.published_command(line, "/home/anna/iarc") == (
        "python -m study --data.root DATA --weights ~/'my w/f.h5' --list '' --out=runs"
    )
    assert shlex.split(shown_paths.published_command("it's /mnt/anna/x", "")) == ["it's", "x"]


def test_a_tilde_that_is_no_home_folder_stays_a_part_of_the_path():
    assert shown_paths.found("~nobody/images") == Path("~nobody/images")


def test_a_user_whom_the_system_does_not_know_has_paths_as_they_are(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(shown_paths.Path, "home", unknown)
    assert shown_paths.kept("/data/a") == "/data/a" and shown_paths.found("~/a") == Path("~/a")
