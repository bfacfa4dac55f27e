"""What the import of a user's own table says of columns, labels and tables that are not what the options name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cervix_tf.data.__main__ import main
from cervix_tf.data.importers import Options, load
from cervix_tf.data.importers.csv import USUAL
from cervix_tf.data.importing import tables
from cervix_tf.errors import InputError
from tests.data.imported import picture, rows


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
    assert "table.csv: already exists and would be lost" in capsys.readouterr().err
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


def test_csv_maps_the_users_columns_and_labels(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "img" / name)
    table = tmp_path / "mine.csv"
    table.write_text("File Name;Diagnosis;woman;site;age\nimg\\a.jpg;HSIL;w1;NHS;31\nimg/b.jpg;;w1;;\n")
    options = Options(path_column="file name", label_column="diagnosis", labels={"HSIL": "case"})
    got = rows("csv", tmp_path, options)
    assert [(row["label"], row["group"], row["site"]) for row in got.values()] == [
        ("case", "w1", "NHS"),
        ("", "w1", ""),
    ]
    assert got["img/a.jpg"]["age"] == 31


@pytest.mark.parametrize("column", ["woman", "case"])
def test_csv_says_how_many_rows_name_no_woman_where_some_do(tmp_path: Path, column: str) -> None:
    for name in "abcde":
        picture(tmp_path / f"{name}.png")
    table = tmp_path / "mine.csv"

    def notes(*women: str) -> list[str]:
        named = zip("abcde", women, strict=True)
        table.write_text("\n".join([f"path,label,{column}", *(f"{name}.png,x,{woman}" for name, woman in named)]))
        return [note for note in load("csv", tmp_path).notes if "rows name no" in note]

    assert notes("w1", "w1", "w1", "w2", "w2") == []
    (said,) = notes("w1", "", "", "w2", "")
    assert said.startswith(f"3 of 5 rows name no {column}: each counts as a different woman")


@pytest.mark.parametrize("column", ["device", "scanner", "camera", "Microscope"])
def test_csv_takes_the_device_from_its_column_and_refuses_to_guess_between_two(tmp_path: Path, column: str) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / name)
    (tmp_path / "mine.csv").write_text(f"path,label,{column}\na.jpg,x,Zeiss\nb.jpg,y,\n")
    options = Options(device_column=column if column == "Microscope" else "")
    found = rows("csv", tmp_path, options)
    assert [found[name]["device"] for name in ("a.jpg", "b.jpg")] == ["Zeiss", ""]
    (tmp_path / "mine.csv").write_text("path,label,scanner,camera\na.jpg,x,1,2\nb.jpg,y,1,2\n")
    with pytest.raises(InputError, match="has a column scanner and a column camera; say which by --device-column"):
        rows("csv", tmp_path)
    assert rows("csv", tmp_path, Options(device_column="camera"))["a.jpg"]["device"] == "2"


def test_csv_takes_a_manifest_s_own_column_for_the_group_and_refuses_to_guess_between_two(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / name)
    (tmp_path / "mine.csv").write_text("path,label,group\na.jpg,x,w1\nb.jpg,x,w1\n")
    assert {row["group"] for row in rows("csv", tmp_path).values()} == {"w1"}
    (tmp_path / "mine.csv").write_text("path,label,group,woman\na.jpg,x,1,w1\nb.jpg,x,2,w1\n")
    with pytest.raises(InputError, match=r"mine\.csv: has a column woman and a column group; say which by --group-col"):
        rows("csv", tmp_path)
    assert {row["group"] for row in rows("csv", tmp_path, Options(group_column="woman")).values()} == {"w1"}


def test_splits_in_peoples_own_words_become_train_validation_and_test_and_others_are_said(tmp_path: Path) -> None:
    own_table(tmp_path, "path,label,split", "HSIL,Train LSIL,val HSIL,Testing LSIL,fold1 HSIL,")
    imported = load("csv", tmp_path)
    assert imported.manifest.rows["split"].tolist() == ["train", "validation", "test", "fold1", ""]
    (note,) = [note for note in imported.notes if "fold1" in note]
    assert note.startswith("the column split names fold1: training takes train, validation and test")


def test_csv_reports_every_wrong_row_with_its_line(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text(
        "path,case,view,age\na.jpg,c,green,old\na.jpg,c,green,3\n\n/etc/x.jpg,,,\n../x.jpg,,,\nb.jpg,,,\n,,,4\n"
    )
    with pytest.raises(InputError) as error:
        load("csv", tmp_path)
    said = str(error.value).splitlines()
    assert [line.split(": ")[1] for line in said] == [f"line {n}" for n in (2, 3, 3, 5, 6, 7, 8)]
    for word, line in zip(("age", "already", "already", "absolute", "..", "no such file", "empty"), said, strict=True):
        assert word in line


def test_a_table_that_is_not_utf8_or_ragged_is_refused_with_its_line(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes("path,label\na.jpg,normal\nb.jpg,é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"t\.csv: line 3: byte 0xe9 is not UTF-8"):
        tables.read(table, ["path"])
    table.write_text("path,label\na.jpg\nb.jpg,x,y\n")
    with pytest.raises(InputError, match=r"line 2: 1 cells under 2 columns.*\n.*line 3: 3 cells"):
        tables.read(table, ["path"])
    table.write_text("file,label\n")
    with pytest.raises(InputError, match="no column 'path'; there are file, label"):
        tables.read(table, ["path"])
