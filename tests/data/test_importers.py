"""Importers on tiny generated copies of each layout, original extensions included."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cervix_tf.data import importers
from cervix_tf.data.importers import Options, load
from cervix_tf.errors import InputError
from tests.data.imported import picture


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


def test_joined_data_sets_keep_files_groups_and_cases_apart(tmp_path: Path) -> None:
    for name in ("a/NILM/1_1.png", "b/NILM/1_1.png", "b/Parabasal/1_1.png"):
        picture(tmp_path / name)
    both = importers.joined(tmp_path, {name: load("cric_crops", tmp_path / name) for name in ("a", "b")})
    assert list(both.manifest.rows["path"]) == ["a/NILM/1_1.png", "b/NILM/1_1.png"]
    assert list(both.manifest.rows["group"]) == ["a/field 1", "b/field 1"]
    assert set(both.manifest.rows["case"]) == {""} and [file for file, _ in both.left_out] == ["b/Parabasal/1_1.png"]
    assert all(Path(path).is_file() for path in both.manifest.paths())
