"""What the commands of `cervix_tf.data` may write over, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data import manifest as manifests
from cervix_tf.data.__main__ import main
from tests.data.conftest import refusal

Picture = Callable[..., np.ndarray]


def test_split_does_not_write_csv_over_a_spreadsheet(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in manifests.read(manifest).rows[["path", "label", "group"]].values.tolist():
        book.active.append(row)
    book.active.insert_rows(1)
    for column, name in enumerate(("path", "label", "group"), start=1):
        book.active.cell(1, column, name)
    book.save(manifest.parent / "m.xlsx")
    before = (manifest.parent / "m.xlsx").read_bytes()
    assert "give a name that ends in .csv" in refusal(capsys, "split", str(manifest.parent / "m.xlsx"))
    assert (manifest.parent / "m.xlsx").read_bytes() == before
    assert main(["split", str(manifest.parent / "m.xlsx"), "-o", str(manifest)]) == 0
    assert len(manifests.read(manifest)) == 20


@pytest.mark.parametrize(
    "command",
    [
        ["import", "folder", "FOLDER", "-o", "FILE"],
        ["audit", "MANIFEST", "-o", "FILE"],
        ["audit", "MANIFEST", "--exclusions", "FILE"],
        ["split", "MANIFEST", "-o", "FILE"],
        ["show", "MANIFEST", "-o", "FILE"],
    ],
    ids=lambda words: f"{words[0]} {words[-2]}",
)
@pytest.mark.parametrize("name", ["abnormal/01.png", "notes.csv", "table.csv"])
def test_a_file_that_the_command_did_not_write_is_never_replaced(
    command: list[str], name: str, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = manifest.parent / name
    if name == "notes.csv":
        precious.write_text("my own notes of patients")
    elif name == "table.csv":
        precious.write_text("path,label,age\nabnormal/01.png,abnormal,40\n")
    before = precious.read_bytes()
    meant = {"FOLDER": str(manifest.parent), "MANIFEST": str(manifest), "FILE": str(precious)}
    assert f"{precious}: already exists" in refusal(capsys, *(meant.get(word, word) for word in command))
    assert precious.read_bytes() == before
    precious.write_bytes(b"")  # as `mktemp` leaves it
    if name != "abnormal/01.png":
        main([meant.get(word, word) for word in command])
        assert precious.read_bytes()


def test_what_a_command_wrote_it_replaces(manifest: Path, tmp_path: Path) -> None:
    findings, exclusions = tmp_path / "findings.csv", tmp_path / "exclude.csv"
    for _ in range(2):
        assert main(["audit", str(manifest), "-o", str(findings), "--exclusions", str(exclusions)]) == 0
        assert main(["split", str(manifest), "-o", str(tmp_path / "split.csv"), "--root", str(manifest.parent)]) == 0


def test_importing_again_does_not_lose_what_was_filled_in(
    root: Path, tmp_path: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import", "folder", str(root), "-o", str(tmp_path / "m.csv")]
    assert main(command) == 0
    cv2.imwrite(str(root / "normal" / "more.png"), picture(99, 48, 64))
    assert main(command) == 0, "an image is new, and nothing was filled in"
    assert main([*command, "--group-pattern", "(..).*"]) == 0, "an image by itself was no group"
    table = manifests.read(tmp_path / "m.csv", root)
    assert len(table) == 21
    manifests.write(manifests.Manifest(table.rows.assign(group="woman 1"), root), tmp_path / "m.csv")
    before = (tmp_path / "m.csv").read_bytes()
    said = refusal(capsys, *command)
    assert "has another group for 21 images (abnormal/01.png: 'woman 1', imported again 'abnormal/01.png')" in said
    assert (tmp_path / "m.csv").read_bytes() == before


@pytest.mark.parametrize("command", ["import", "audit", "audit --exclusions", "split", "show"])
def test_a_folder_named_as_output_is_refused_before_anything_is_read_and_keeps_what_it_holds(
    command: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    name, _, option = command.partition(" ")
    what = ["folder", "no such folder"] if name == "import" else ["no such manifest.csv"]  # is not looked at
    assert "precious: is a folder; give the name of a file" in refusal(
        capsys, name, *what, option or "-o", str(precious)
    )
    assert (precious / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("command", ["audit", "show"])
def test_findings_and_sheets_never_replace_the_manifest_that_they_are_of(
    command: str, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = manifest.read_bytes()
    assert "is an input of this command" in refusal(capsys, command, str(manifest), "-o", str(manifest))
    assert manifest.read_bytes() == before


def test_findings_and_exclusions_cannot_be_one_file(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "audit", str(manifest), "-o", "f.csv", "--exclusions", "./f.csv")
    assert "f.csv: findings and exclusions are two files" in said
