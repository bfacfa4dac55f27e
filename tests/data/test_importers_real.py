"""Importers on real images, where they lie beside the checkout: the published counts come out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data.importers import Options, load

pytestmark = pytest.mark.real_data


def test_sipakmed_has_4049_crops_in_966_groups_and_nothing_to_remark(real_data: Path) -> None:
    imported = load("sipakmed", real_data / "sipakmed")
    assert len(imported.manifest) == 4049
    assert imported.manifest.rows["group"].nunique() == 966
    assert imported.notes == []


def test_sipakmed_as_bmp_imports_with_the_same_code(real_data: Path) -> None:
    rows = load("sipakmed", real_data / "sipakmed_native_sample").manifest.rows
    assert dict(rows["label"].value_counts()) == dict.fromkeys(set(rows["label"]), 5)
    assert rows["label"].nunique() == 5
    assert rows["path"].str.endswith(".bmp").all()
    assert rows["width"].notna().all()


def test_herlev_has_917_cells_with_the_published_count_a_class(real_data: Path) -> None:
    imported = load("herlev", real_data / "herlev")
    assert len(imported.manifest) == 917
    assert not any(note.startswith("expected") for note in imported.notes)


def test_iarc_colposcopy_has_150_cases_of_which_two_cannot_be_labeled(real_data: Path) -> None:
    imported = load("iarc_colposcopy", real_data / "iarc_colposcopy")
    rows = imported.manifest.rows
    assert len(rows) == 686
    cases = rows.drop_duplicates("case")
    assert dict(cases["label"].value_counts()) == {
        "normal": 68,
        "cin2_3": 37,
        "cin1": 24,
        "cancer": 19,
        "": 2,
    }
    views = rows.groupby("case")["view"].agg(set)
    assert int(views.map({"acetic_1", "green", "iodine"}.issubset).sum()) == 77
    assert [what for what, _ in imported.left_out] == ["Case 042/AAFN5.jpg"]


def test_iarc_via_has_146_cases_of_which_one_has_no_image(real_data: Path) -> None:
    imported = load("iarc_via", real_data / "iarc_via")
    assert len(imported.manifest) == 322
    without = {what for what, _ in imported.left_out if "/" not in what}
    assert without == {"Case 166"}
    assert imported.manifest.rows["case"].nunique() + len(without) == 146
    assert set(imported.manifest.rows["label"]) == {"negative", "positive", "suspicious"}


def test_mobileodt_has_1481_training_images_and_500_without_label(real_data: Path) -> None:
    rows = load("mobileodt", real_data / "mobileodt").manifest.rows
    assert dict(rows["label"].value_counts()) == {"Type_2": 781, "": 500, "Type_3": 450, "Type_1": 250}
    assert (rows["split"] == "train").sum() == 1481


def test_cric_crops_are_2757_of_229_fields(real_data: Path) -> None:
    rows = load("cric_crops", real_data / "cric_crops").manifest.rows
    assert (len(rows), rows["group"].nunique()) == (2757, 229)


def test_pbc_keeps_both_images_of_the_conflicting_pair_for_the_audit(real_data: Path) -> None:
    imported = load("pbc", real_data / "pbc")
    rows = imported.manifest.rows
    assert len(rows) == 882
    pair = rows[rows["path"].str.contains("EO_225902|BNE_191112")]
    assert pair["sha256"].nunique() == 1
    assert set(pair["label"]) == {"eosinophil", "neutrophil"}
    assert sum("known to be bad" in note for note in imported.notes) == 2


def test_cric_fields_are_cut_where_the_nuclei_are(real_data: Path, tmp_path: Path) -> None:
    """Each center is darker than its crop; scaled 1 % too far, the points give a mean of 67, not 101."""
    manifest = load("cric", real_data / "cric_native_sample", Options(crops=tmp_path)).manifest
    darker = []
    for path in manifest.paths():
        gray = cv2.imread(path, cv2.IMREAD_GRAYSCALE).astype(float)
        assert gray.shape == (100, 100)
        darker.append(gray.mean() - gray[44:57, 44:57].mean())
    assert len(darker) == 52
    assert min(darker) > 0
    assert np.mean(darker) > 90
