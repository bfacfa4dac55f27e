"""What the import of a user's own table says of columns, labels and tables that are not what the options name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cervix_tf.data.__main__ import main
from cervix_tf.data.importers import Options, load
from cervix_tf.data.importers.csv import USUAL
from cervix_tf.errors import InputError
from tests.data.imported import picture


def own_table(root: Path, header: str = "file,Diag,subject", values: str = "HSIL,w1 LSIL,w2") -> Path:
    lines = [header]
    for at, value in enumerate(values.split()):
        lines.append(f"{picture(root / f'{at}.jpg', gray=at).name},{value}")
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("column", USUAL)
def test_a_column_that_an_option_names_must_be_there(column: str, tmp_path: Path) -> None:
    own_table(tmp_path)
    with pytest.raises(InputError) as caught:
        load("csv", tmp_path, Options(path_column="file", **{f"{column}_column": "Diagg"}))
    assert str(caught.value) == (
        f"--{column}-column Diagg: {tmp_path / 'table.csv'} has no such column; there are file, Diag, subject"
    )


def test_every_column_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    own_table(tmp_path)
    with pytest.raises(InputError, match=r"(?s)--label-column label: .*\n--group-column woman: "):
        load("csv", tmp_path, Options(path_column="file", label_column="label", group_column="woman"))


def test_a_table_without_the_column_of_paths_is_refused_with_the_option_that_names_it(tmp_path: Path) -> None:
    own_table(tmp_path)
    for options, column in ((None, "path"), (Options(path_column="Bild"), "Bild")):
        with pytest.raises(InputError, match=rf"table\.csv: .*no column '{column}'; there are file, .*--path-column"):
            load("csv", tmp_path, options)


@pytest.mark.parametrize(
    ("layout", "there"),
    [("csv", "table.csv; there are HSIL, LSIL"), ("folder", "; there are HSIL"), ("cervigram_visits", "; there are 3")],
)
def test_a_label_to_rename_must_be_in_the_source(layout: str, there: str, tmp_path: Path) -> None:
    if layout == "csv":
        own_table(tmp_path)
    else:
        for at in range(7):
            picture(tmp_path / ("HSIL" if layout == "folder" else "3/visit") / f"{at}.jpg", gray=at)
    options = {"path_column": "file", "label_column": "Diag"} if layout == "csv" else {}
    with pytest.raises(InputError) as caught:
        load(layout, tmp_path, Options(labels={"HSYL": "cancer"}, **options))
    assert str(caught.value).startswith(f"--labels HSYL: no such label in {tmp_path}")
    assert str(caught.value).endswith(there)


def test_a_table_without_labels_and_groups_says_which_options_name_them_and_is_not_said_to_be_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_table(tmp_path, "path,Diag,subject")
    command = ["import", "csv", str(tmp_path), "-o", str(tmp_path / "m.csv"), "--table", str(tmp_path / "table.csv")]
    assert main(command) == 0
    said = capsys.readouterr().out
    there = "there are path, Diag, subject\n"
    assert (
        f"note: table.csv has no column 'label', so nothing is labeled; name one with --label-column; {there}"
        "note: table.csv has no column 'woman' or 'group', so every image is its own group; name one with "
        f"--group-column; {there}"
    ) in said
    assert "cervix_tf.train" not in said
    assert said.endswith("labels of at least two classes; this manifest has none\n")
    assert main([*command, "--label-column", "Diag", "--group-column", "subject"]) == 0
    said = capsys.readouterr().out
    assert "has no column" not in said and "cervix_tf.train" in said.splitlines()[-1]


def test_an_import_into_the_folder_of_its_table_can_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_table(tmp_path, "path,label,woman", "HSIL,w1 LSIL,w2 HSIL,w3 LSIL,w4 HSIL,w5 LSIL,w6")
    command = ["import", "csv", str(tmp_path), "-o", str(tmp_path / "manifest.csv")]
    assert main(command) == 0
    assert main(["split", str(tmp_path / "manifest.csv"), "-o", str(tmp_path / "split.csv"), "--test", "0.5"]) == 0
    first = (tmp_path / "manifest.csv").read_bytes()
    assert main(command) == 0
    assert (tmp_path / "manifest.csv").read_bytes() == first
    (tmp_path / "other.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"expected, found other\.csv, table\.csv; name the table with --table$"):
        load("csv", tmp_path)


def test_a_manifest_that_is_the_only_table_is_imported(tmp_path: Path) -> None:
    own_table(tmp_path, "path,label,woman")
    assert main(["import", "csv", str(tmp_path), "-o", str(tmp_path / "manifest.csv")]) == 0
    (tmp_path / "table.csv").unlink()
    assert len(load("csv", tmp_path).manifest) == 2


@pytest.mark.parametrize("named", [True, False])
def test_an_import_never_replaces_its_table(named: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(own_table(tmp_path, "path,label,woman") / "table.csv")
    before = (tmp_path / "table.csv").read_bytes()
    with pytest.raises(SystemExit):
        main(["import", "csv", str(tmp_path), "-o", table, *(["--table", table] if named else [])])
    assert "table.csv: is an input of this command" in capsys.readouterr().err
    assert (tmp_path / "table.csv").read_bytes() == before


def test_a_table_named_from_another_folder_is_said_to_be_looked_for_in_the_current_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_table(tmp_path, "path,label,woman")
    with pytest.raises(InputError, match=r"^table\.csv: no such file; --table is relative to the current folder"):
        load("csv", tmp_path, Options(table=Path("table.csv")))
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    assert "relative to the current folder" in " ".join(capsys.readouterr().out.replace("\u2502", "").split())
