"""Importers on tiny generated copies of each layout, original extensions included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cervix_tf.data import importers
from cervix_tf.data.importers import Options, load
from cervix_tf.data.importers.iarc_colposcopy import label_of, views_of
from cervix_tf.data.importing import files, tables
from cervix_tf.data.importing.imported_records import ImportedRecords
from cervix_tf.errors import InputError
from tests.data.imported import picture, rows


def test_importing_the_package_loads_none_of_the_heavy_libraries() -> None:
    heavy = {"pandas", "cv2", "numpy", "tensorflow"}
    code = f"import sys, cervix_tf.data.importers; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", importers.NAMES)
def test_a_missing_root_an_empty_root_and_a_file_are_each_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    lone = tmp_path / "lone.txt"
    lone.write_text("x")
    for root in (tmp_path / "nowhere", tmp_path / "empty", lone):
        with pytest.raises(InputError, match=root.name):
            load(name, root)


@pytest.mark.parametrize("name", [name for name in importers.NAMES if name not in ("folder", "csv")])
def test_images_laid_out_otherwise_are_refused_with_what_was_looked_for(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "holiday" / "beach.jpg")
    with pytest.raises(InputError, match=r"looked for|no cases\.csv"):
        load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cric", Options(annotator="annotator_1"), "--annotator: is not read for the layout cric, only for riva"),
        ("folder", Options(label_column="class"), "--label-column: is not read for the layout folder, only for csv"),
        ("pbc", Options(crops=Path("cells")), "--crops: is not read for the layout pbc, only for apacc, cric, riva, "),
        ("csv", Options(group_pattern="(.)"), "--group-pattern: is not read for the layout csv, only for folder"),
    ],
)
def test_an_option_that_the_importer_does_not_read_is_refused(name, options, words, tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    with pytest.raises(InputError, match=words):
        load(name, tmp_path, options)


def test_all_options_that_the_importer_does_not_read_are_refused_at_once(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    with pytest.raises(InputError) as caught:
        load("folder", tmp_path, Options(age_column="years", level=2, labels={"a": "b"}))
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["--level", "--age-column"]


def test_every_option_names_the_importers_that_read_it() -> None:
    source = Path(importers.__file__).read_text()
    for option, layouts in importers.READ_BY.items():
        about = re.search(rf'    {option}: .*\n    r?"""([a-z_, ]+): ', source)
        assert about and set(about[1].split(", ")) == set(layouts) <= set(importers.NAMES), option
    assert set(Options.__dataclass_fields__) - set(importers.READ_BY) == {"hash"}


def test_an_unknown_importer_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sipakmed"):
        load("sipakmet", tmp_path)


def test_sipakmed_groups_by_class_and_cluster_and_leaves_cluster_pictures_out(tmp_path: Path) -> None:
    for label in ("Dyskeratotic", "Parabasal"):
        folder = tmp_path / f"im_{label}" / f"im_{label}"
        for name in ("001_01.bmp", "001_02.bmp", "002_01.bmp"):
            picture(folder / "CROPPED" / name)
            (folder / "CROPPED" / f"{name[:-4]}_cyt.dat").write_text("1,2\n")
            (folder / "CROPPED" / f"{name[:-4]}_nuc.dat").write_text("1,2\n")
        picture(folder / "001.bmp")
        (folder / "001_cyt01.dat").write_text("1,2\n")
    got = load("sipakmed", tmp_path)
    table = got.manifest.rows
    assert len(table) == 6
    assert sorted(set(table["group"])) == [
        "Dyskeratotic 001",
        "Dyskeratotic 002",
        "Parabasal 001",
        "Parabasal 002",
    ]
    assert set(table["label"]) == {"Dyskeratotic", "Parabasal"}
    assert [what for what, _ in got.left_out] == [f"im_{c}/im_{c}/001.bmp" for c in ("Dyskeratotic", "Parabasal")]
    assert "expected 4049 images, found 6: 4043 missing" in got.notes


def test_herlev_leaves_masks_out_by_suffix_whatever_its_case(tmp_path: Path) -> None:
    folder = tmp_path / "smear2005" / "New database pictures" / "light_dysplastic"
    for name in ("148494664-148494689-001", "148494664-148494700-002", "148498683-148498703-001"):
        picture(folder / f"{name}.bmp").rename(folder / f"{name}.BMP")
        picture(folder / f"{name}-d.bmp")
    picture(folder / "148498683-148498703-001-D.bmp")
    picture(folder / "light-1.bmp")
    got = load("herlev", tmp_path)
    assert list(got.manifest.rows["group"]) == [
        "148494664",
        "148494664",
        "148498683",
        "light_dysplastic/light-1",
    ]
    assert len(got.left_out) == 4
    assert all("mask" in reason for _, reason in got.left_out)
    assert any(note.startswith("1 files lost their original name") for note in got.notes)


def test_pbc_leaves_hidden_junk_out_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "PBC_dataset_normal_DIB" / "neutrophil"
    picture(folder / "SNE_1.jpg")
    (folder / ".DS_169665.jpg").write_bytes(b"junk")
    got = load("pbc", tmp_path)
    assert list(got.manifest.rows["path"]) == ["PBC_dataset_normal_DIB/neutrophil/SNE_1.jpg"]
    assert [(what, reason.split(":")[0]) for what, reason in got.left_out] == [
        ("PBC_dataset_normal_DIB/neutrophil/.DS_169665.jpg", "hidden file")
    ]


def test_mendeley_lbc_takes_its_classes_from_folders_named_in_words(tmp_path: Path) -> None:
    for name in (
        "High squamous intra-epithelial lesion/HSIL_1 (1).jpg",
        "low squamous intra-epithelial lesion/LSIL_3 (3).jpg",
        "Negative for Intraepithelial malignancy/NL_1_ (6).jpg",
        "Squamous cell carcinoma/scc_1 (1).jpg",
        "Squamous metaplasia/1.jpg",
        "High quality/2.jpg",
    ):
        picture(tmp_path / name)
    got = load("mendeley_lbc", tmp_path)
    assert list(got.manifest.rows["label"]) == ["HSIL", "NILM", "SCC", "LSIL"]
    assert got.manifest.rows["group"].is_unique
    assert [what for what, _ in got.left_out] == ["High quality/2.jpg", "Squamous metaplasia/1.jpg"]
    assert any("no name says which woman" in note for note in got.notes)


def test_cric_crops_are_grouped_by_field(tmp_path: Path) -> None:
    for name in ("NILM/182_1.jpg", "HSIL/182_2.png", "scc/7_3.png"):
        picture(tmp_path / name)
    got = rows("cric_crops", tmp_path)
    assert {(row["label"], row["group"]) for row in got.values()} == {
        ("NILM", "field 182"),
        ("HSIL", "field 182"),
        ("SCC", "field 7"),
    }


def test_crops_that_somebody_else_made_are_a_group_each_which_is_said(tmp_path: Path) -> None:
    for name in ("ASC-US/182_1.jpg", "ascus/cell (1).png", "ASC_H/augmented_0001.png", "Parabasal/1_1.png"):
        picture(tmp_path / name)
    got = load("cric_crops", tmp_path)
    assert {(row["label"], row["group"]) for _, row in got.manifest.rows.iterrows()} == {
        ("ASC-US", "field 182"),
        ("ASC-US", "ASC-US/cell (1)"),
        ("ASC-H", "ASC-H/augmented_0001"),
    }
    assert any(note.startswith("2 crops are not named <image_id>_<cell_id>") for note in got.notes)
    assert [what for what, _ in got.left_out] == ["Parabasal/1_1.png"]


def iarc(root: Path) -> Path:
    for name in ("AAA0", "AAA1", "AAA2", "AAA3", "AAA9"):
        picture(root / "Case 004" / f"{name}.JPG")
    picture(root / "Case 005" / "BBB1.jpg")
    (root / "Cases Meta data.csv").write_text(
        "Case Number;Provisional diagnosis;Histopathology\n4;normal;Not done\n5;normal;HSIL-CIN3\n6;normal;Not done\n"
    )
    (root / "Cases - Images.csv").write_text(
        "Case Number;File;Sort;Type\n"
        "4;AAA2.jpg;3;After acetic acid with green filter\n4;AAA1.jpg;2;After acetic acid\n"
        "4;AAA0.jpg;1;After normal saline\n4;AAA3.jpg;4;After Lugol’s iodine\n"
        "5;BBB1.jpg;1;After acetic acid\n5;BBB2.jpg;2;After Lugol’s iodine\n",
        encoding="utf-8-sig",
    )
    return root


def test_iarc_colposcopy_joins_two_tables_and_says_what_does_not_meet(tmp_path: Path) -> None:
    root = iarc(tmp_path)
    imported = load("iarc_colposcopy", root)
    got = {row["path"]: row for row in imported.manifest.rows.to_dict("records")}
    assert {path: row["view"] for path, row in got.items()} == {
        "Case 004/AAA0.JPG": "saline",
        "Case 004/AAA1.JPG": "acetic_1",
        "Case 004/AAA2.JPG": "green",
        "Case 004/AAA3.JPG": "iodine",
        "Case 004/AAA9.JPG": "other_1",
        "Case 005/BBB1.jpg": "acetic_1",
    }
    assert got["Case 005/BBB1.jpg"]["label"] == "cin2_3"
    assert got["Case 004/AAA1.JPG"]["label"] == "normal"
    assert got["Case 004/AAA1.JPG"]["group"] == got["Case 004/AAA1.JPG"]["case"] == "Case 004"
    assert dict(imported.left_out) == {
        "Case 005/BBB2.jpg": "Cases - Images.csv line 7 lists it, no such file",
        "Case 006": "no image of it in this copy",
    }
    assert any(note.startswith("Case 004/AAA9.JPG: not in Cases - Images.csv") for note in imported.notes)


def test_old_spreadsheets_are_refused_with_how_to_save_them(tmp_path: Path) -> None:
    root = iarc(tmp_path)
    (root / "Cases Meta data.csv").rename(root / "Cases Meta data.xls")
    with pytest.raises(InputError, match=r"Cases Meta data\.xls: .*save it as \.xlsx or as CSV"):
        load("iarc_colposcopy", root)


@pytest.mark.parametrize(
    ("histology", "diagnosis", "label"),
    [
        ("Invasive squamous cell carcinoma", "HSIL", "cancer"),
        ("Adenocarcinoma in situ", "normal", "cin2_3"),
        ("HSIL-CIN2", "normal", "cin2_3"),
        ("LSIL-CIN1", "HSIL", "cin1"),
        ("LSIL-HPV changes", "normal", "cin1"),
        ("Normal", "Type 1 transformation zone; low-grade squamous intraepithelial lesion (LSIL)", "normal"),
        ("HSIL-VAIN 3", "normal", ""),
        ("HSIL-VIN 3; cervix: LSIL-CIN1", "normal", "cin1"),
        ("Tuberculosis of cervix", "normal", ""),
        ("Mucous polyp", "Type 1 transformation zone; normal with endocervical polyp", "normal"),
        ("Not done", "Type 3 transformation zone; suspicion of early invasion", "cancer"),
        ("Not done", "Type 3 transformation zone; condyloma", "cin1"),
        ("Not done", "Inadequate colposcopy", ""),
        ("Not done", "Abnormal", ""),
        ("Not done", "Type 3 transformation zone; leukoplakia", ""),
    ],
)
def test_iarc_colposcopy_labels_follow_the_ordered_rules(histology: str, diagnosis: str, label: str) -> None:
    assert label_of(histology, diagnosis)[0] == label


def test_iarc_colposcopy_views_put_magnified_images_last_and_number_repeats() -> None:
    assert views_of(
        [
            "Speculum examination",
            "After normal saline with green filter",
            "After acetic acid with higher magnification",
            "After acetic acid",
            "After acetic acid with green filter",
            "After acetic acid with green filter",
            "After acetic acid",
            "After Lugol’s iodine",
            "After Lugol's iodine",
            "",
        ]
    ) == [
        "other_1",
        "green_saline",
        "acetic_3",
        "acetic_1",
        "green",
        "green_2",
        "acetic_2",
        "iodine",
        "iodine_2",
        "other_2",
    ]
    assert views_of(["After normal saline with green filter", *["After acetic acid"] * 6]) == [
        "green",
        *(f"acetic_{number}" for number in range(1, 7)),
    ]


def test_iarc_via_reads_result_and_views(tmp_path: Path) -> None:
    for name in ("A0.jpg", "A1.jpg", "A2.jpg"):
        picture(tmp_path / "Case 001" / name)
    picture(tmp_path / "Case 002" / "B0.jpg")
    (tmp_path / "cases.csv").write_text("CaseNumber,VIA\n1,Suspicious of cancer\n2,\n")
    (tmp_path / "images.csv").write_text(
        "CaseNumber,File,Type\n"
        "1,A0.jpg,Before application of acetic acid\n1,A1.jpg,After application of acetic acid\n"
        "1,A2.jpg,After application of Lugol’s iodine\n2,B0.jpg,Before application of acetic acid\n",
        encoding="utf-8",
    )
    imported = load("iarc_via", tmp_path)
    table = imported.manifest.rows
    assert list(table["view"]) == ["before_1", "acetic_1", "iodine", "before_1"]
    assert list(table["label"]) == ["suspicious"] * 3 + [""]
    assert "Case 002: unlabeled, VIA is ''" in imported.notes


def test_folder_takes_class_and_split_from_folders_and_renames_labels(tmp_path: Path) -> None:
    for name in ("train/0/a.png", "val/1/deep/b.png", "cin1/c.tif", "d.jpeg"):
        picture(tmp_path / name)
    got = rows("folder", tmp_path, Options(labels={"0": "normal", "1": "cin1"}))
    assert {path: (row["label"], row["split"]) for path, row in got.items()} == {
        "train/0/a.png": ("normal", "train"),
        "val/1/deep/b.png": ("cin1", "validation"),
        "cin1/c.tif": ("cin1", ""),
        "d.jpeg": ("", ""),
    }
    assert len({row["group"] for row in got.values()}) == 4


def test_folder_knows_testing_for_a_split_and_says_which_split_folders_it_does_not_read(tmp_path: Path) -> None:
    for name in ("Training/x/a.png", "Testing/x/b.png"):
        picture(tmp_path / "above" / name)
    got = rows("folder", tmp_path / "above")
    assert [(row["label"], row["split"]) for row in got.values()] == [("x", "test"), ("x", "train")]
    assert not any("not read as a split" in note for note in load("folder", tmp_path / "above").notes)
    for name in ("x/train/a.png", "x/test/b.png", "y/c.png"):
        picture(tmp_path / "below" / name)
    (said,) = [note for note in load("folder", tmp_path / "below").notes if "not read as a split" in note]
    assert said.startswith("2 images are in folders called train, test or the like below their class folder (first: x/")


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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
def test_sizes_are_read_as_width_and_height(suffix: str, tmp_path: Path) -> None:
    with picture(tmp_path / f"x{suffix}", width=37, height=19).open("rb") as file:
        assert files.size(file) == (37, 19)


def test_sizes_skip_large_application_segments_of_a_jpeg(tmp_path: Path) -> None:
    data = picture(tmp_path / "x.jpg", width=37, height=19).read_bytes()
    segment = b"\xff\xe1\xff\xff" + b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01" + bytes(65533 - 9)
    (tmp_path / "y.jpg").write_bytes(data[:2] + segment * 3 + data[2:])
    with (tmp_path / "y.jpg").open("rb") as file:
        assert files.size(file) == (37, 19)


def test_unreadable_files_keep_their_row_without_a_size(tmp_path: Path) -> None:
    good = picture(tmp_path / "c" / "good.jpg").read_bytes()
    broken = {
        "empty.jpg": b"",
        "text.png": b"not a picture",
        "short.bmp": b"BM\0\0",
        "cut.jpg": good[:20],
        "tail.jpg": b"\xff\xd8\xff\xd9",
    }
    for name, data in broken.items():
        (tmp_path / "c" / name).write_bytes(data)
    imported = load("folder", tmp_path)
    table = imported.manifest.rows.set_index("path")
    assert len(table) == 6
    assert table["width"].notna().sum() == 1
    assert (table["sha256"].str.len() == 64).all()
    assert any(note.startswith("5 files have no readable image header") for note in imported.notes)


def test_without_the_hash_option_the_hashes_stay_empty(tmp_path: Path) -> None:
    picture(tmp_path / "c" / "a.jpg")
    assert list(load("folder", tmp_path, Options(hash=False)).manifest.rows["sha256"]) == [""]


def test_names_that_no_manifest_can_hold_are_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "c" / "a.jpg")
    data = (tmp_path / "c" / "a.jpg").read_bytes()
    for name in (b"line\nbreak.jpg", b"back\\slash.jpg", b"latin\xe9.jpg"):
        with open(os.fsencode(tmp_path / "c") + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(data)
    found = ImportedRecords()
    assert files.images(tmp_path, found) == ["c/a.jpg"]
    assert len(found.left_out) == 3
    "".join(what for what, _ in found.left_out).encode("utf-8")


def test_joined_data_sets_keep_files_groups_and_cases_apart(tmp_path: Path) -> None:
    for name in ("a/NILM/1_1.png", "b/NILM/1_1.png", "b/Parabasal/1_1.png"):
        picture(tmp_path / name)
    both = importers.joined(tmp_path, {name: load("cric_crops", tmp_path / name) for name in ("a", "b")})
    assert list(both.manifest.rows["path"]) == ["a/NILM/1_1.png", "b/NILM/1_1.png"]
    assert list(both.manifest.rows["group"]) == ["a/field 1", "b/field 1"]
    assert set(both.manifest.rows["case"]) == {""} and [file for file, _ in both.left_out] == ["b/Parabasal/1_1.png"]
    assert all(Path(path).is_file() for path in both.manifest.paths())
