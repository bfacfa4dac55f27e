"""Importers that were never tried on the original files say so wherever somebody may look."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from cervix_tf.data import __main__ as command
from cervix_tf.data import datasheet, importers
from cervix_tf.data.importers import load
from tests.data.imported import picture


@pytest.mark.parametrize("name", importers.UNTRIED)
def test_an_importer_never_tried_on_the_original_says_so_in_its_docstring_and_its_sheet(name: str) -> None:
    module = importlib.import_module(f"cervix_tf.data.importers.{name}")
    assert re.search(r"Never tried\s+on the original\s+download", str(module.__doc__))
    assert re.search("never been tried on (the original|the|it)", datasheet.read(name).layout)


def test_an_import_says_whether_its_importer_was_ever_tried_on_the_original(tmp_path: Path) -> None:
    for name in ("Negative for Intraepithelial malignancy/1.jpg", "NILM/1_1.jpg"):
        picture(tmp_path / name)
    said = {name: " ".join(load(name, tmp_path).notes) for name in ("mendeley_lbc", "cric_crops")}
    assert "was never tried on the original files" in said["mendeley_lbc"]
    assert "never tried" not in said["cric_crops"]


def test_the_help_of_an_import_names_those_never_tried(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["import", "--help"])
    shown = " ".join(re.sub(r"[│╭╰─╮╯]", " ", capsys.readouterr().out).split())
    assert f"never tried on the original files: {', '.join(importers.UNTRIED)}" in shown


def test_the_guide_names_those_never_tried_with_their_sheets_and_only_them() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "own_data.md").read_text("utf-8")
    listed = re.findall(r"^\| \[`(\w+)`\]\(../../data_manifests/(\w+)/datasheet.yaml\) \|", guide, re.M)
    assert sorted(listed) == [(name, name) for name in importers.UNTRIED]
    assert "These five are" in guide and len(listed) == 5
