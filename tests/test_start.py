"""What a run notes about the code that made it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from cervix_tf import start

HERE = Path(start.__file__)


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """The checkout of some project, with one commit of one file, and a package that is installed in it."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    git(tmp_path, "init", "--quiet")
    (tmp_path / "own.py").touch()
    git(tmp_path, "add", "own.py")
    named = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    git(tmp_path, *named, "commit", "--quiet", "--message=first")
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / HERE.name).touch()
    return tmp_path


def test_without_git_a_run_starts_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert start._commit(HERE) == "not known: git cannot be run"


def test_the_commit_is_the_one_that_holds_the_code_not_that_of_a_project_it_is_installed_in(checkout):
    assert start._commit(checkout / "own.py") == git(checkout, "rev-parse", "--short=12", "HEAD")
    assert start._commit(checkout / "site-packages" / HERE.name) == "not a git checkout"
    (checkout / "own.py").write_text("changed")
    assert start._commit(checkout / "own.py").endswith("-dirty")


def test_code_that_is_in_no_commit_makes_the_commit_dirty_and_other_files_do_not(checkout):
    study = checkout / "experiments" / "mystudy"
    study.mkdir(parents=True)
    (checkout / "notes.txt").touch()
    (study / "ignored.pyc").touch()
    (checkout / ".git" / "info" / "exclude").write_text("*.pyc")
    clean = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert start._commit(checkout / "own.py") == clean
    (study / "config.py").touch()
    git(checkout, "config", "status.showUntrackedFiles", "no")
    assert start._commit(checkout / "own.py") == f"{clean}-dirty"
    assert start._commit(checkout / "site-packages" / HERE.name) == "not a git checkout"
