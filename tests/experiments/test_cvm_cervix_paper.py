"""`--preset paper` on tiny copies of the four data sets, laid out as they are downloaded."""

import csv
import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from cervix_tf.data import importers, manifest
from cervix_tf.data.importers import herlev, pbc
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.cvm_cervix.__main__ import STUDY
from experiments.cvm_cervix.config import COMPARED

CELLS = 5  # of each class: three to train on, one to choose the epoch by, one to test
BETHESDA = {"NILM": "Negative for intraepithelial lesion"}
SMALL = [
    *("--images.size", "80", "--images.batch-size", "8", "--optimizer.epochs", "1", "--timed-passes", "1"),
    *("--head-width", "8", "--hidden", "16", "--eager"),
]


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), pixels[..., ::-1])[1].tobytes())


def drawn(label, number):
    return pap_cells.draw(0, number // 4, label, number)


def cric_fields(root):
    """Fields of six cells and their table, as CSV; returns how many cells there are."""
    rows = []
    for field, labels in enumerate([list(pap_cells.CRIC)] * CELLS, start=1):
        pixels = np.full((1020, 1376, 3), 225, np.uint8)
        for at, label in enumerate(labels):
            x, y = 150 + 200 * at, 300
            pixels[y - 48 : y + 48, x - 48 : x + 48] = drawn(label, 6 * field + at)
            number = 10 * field + at
            rows.append([field, f"{field:032x}.png", "doi", number, BETHESDA.get(label, label), x, y])
        write(root / "images" / f"{field:032x}.png", pixels)
    header = ("image_id", "image_filename", "image_doi", "cell_id", "bethesda_system", "nucleus_x", "nucleus_y")
    with (root / "classifications.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return rows


def as_json(rows, root):
    """The same table as CRIC also offers it, nested by field."""
    fields = [
        {
            "image_id": field,
            "image_name": name,
            "classifications": [
                {"cell_id": cell, "bethesda_system": label, "nucleus_x": x, "nucleus_y": y}
                for of, _, _, cell, label, x, y in rows
                if of == field
            ],
        }
        for field, name in dict.fromkeys((row[0], row[1]) for row in rows)
    ]
    root.mkdir()
    (root / "classifications.json").write_text(json.dumps(fields))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("downloads")
    for label in pap_cells.SIPAKMED:
        folder = root / "sipakmed" / f"im_{label}" / f"im_{label}"
        write(folder / "001.bmp", np.full((96, 128, 3), 200, np.uint8))  # the picture of the whole cluster
        for at in range(CELLS):
            write(folder / "CROPPED" / f"{at // 2 + 1:03d}_{at % 2 + 1:02d}.bmp", drawn(label, at))
            for outline in ("cyt", "nuc"):
                (folder / "CROPPED" / f"{at // 2 + 1:03d}_{at % 2 + 1:02d}_{outline}.dat").write_text("1.0,2.0\n")
    cric_fields(root / "cric")
    importers.load("cric", root / "cric", importers.Options(crops=root / "cric_crops"))
    for number, label in enumerate(herlev.CLASSES):
        for at in range(CELLS):
            name = f"1492{number:02d}{at:03d}-1492{number:02d}{at:03d}-001"
            folder = root / "herlev" / "smear2005" / "New database pictures" / label
            write(folder / f"{name}.BMP", drawn("NILM" if "normal" in label else "HSIL", at))
            write(folder / f"{name}-d.bmp", np.full((96, 96, 3), 128, np.uint8))
    for number, label in enumerate(pbc.CLASSES):
        folder = root / "pbc" / "PBC_dataset_normal_DIB" / label
        for at in range(CELLS):
            write(folder / f"{label[:2].upper()}_{at + 1}.jpg", drawn([*pap_cells.CRIC][number % 6], at))
    (root / "pbc" / "PBC_dataset_normal_DIB" / "neutrophil" / ".DS_169665.jpg").write_bytes(b"junk")
    return root


def run(out, root, *arguments):
    main(STUDY, ["--preset", "paper", "--data.root", str(root), "--out", str(out), *SMALL, *arguments])


def tables_of(out, name):
    found = json.loads(RunDir(out / "cvm_cervix" / name).tables.read_text())
    return {table["number"]: table for table in found}


def test_cells_of_cric_are_the_same_from_its_csv_and_its_json(root, tmp_path):
    as_json(cric_fields(tmp_path / "csv"), tmp_path / "json")
    (tmp_path / "csv" / "images").rename(tmp_path / "json" / "images")
    again = importers.load("cric", tmp_path / "json", importers.Options(crops=tmp_path / "crops"))
    first = importers.load("cric_crops", root / "cric_crops")
    assert list(again.manifest.rows["path"]) == list(first.manifest.rows["path"])
    assert list(again.manifest.rows["label"]) == list(first.manifest.rows["label"])


@pytest.mark.whole_paper
def test_the_paper_preset_runs_through_every_table_on_the_original_layouts(root, tmp_path):
    rows = ("--main", "shufflenet_v2_x0_5", "--only", "shufflenet_v2_x0_5", "alexnet")
    run(tmp_path, root, "--tables", "1", "3", "4", "5", *rows)
    combined = tables_of(tmp_path, "paper")
    assert {1, "Fig. 5", 3, "Fig. 6", "Sec. 4.5", "Sec. 4.6"} <= set(combined)
    trained = [row for row in combined[3]["rows"] if row["ours"]]
    assert [row["row"] for row in trained] == ["alexnet", "shufflenet_v2_x0_5"]
    assert combined[3]["rows"][-1]["paper"][-1] == 91.72 and len(combined[3]["rows"]) == 23
    assert combined[1]["rows"][-1]["ours"][-1] == {"value": 11 * CELLS}
    for name, classes, number, figure in (("herlev", 2, 4, "Fig. 9"), ("blood", 8, 5, "Fig. 11")):
        found = tables_of(tmp_path, f"paper-{name}")
        assert {number, figure, "Sec. 4.5"} <= set(found)
        assert len(found[number]["rows"]) == classes + 1
    kept = manifest.read(RunDir(tmp_path / "cvm_cervix" / "paper-herlev").manifest)
    assert len(kept.rows) == 7 * CELLS and not kept.rows["path"].str.contains("-d").any()


@pytest.mark.whole_paper
def test_cvm_itself_trains_on_herlev_with_its_training_set_four_times(root, tmp_path):
    run(tmp_path, root, "--tables", "4")
    assert not RunDir(tmp_path / "cvm_cervix" / "paper").rows  # Table 4 needs no other images
    out = RunDir(tmp_path / "cvm_cervix" / "paper-herlev")
    assert set(out.rows) == {"cvm-x4", "cvm-x4-float16"}
    found = tables_of(tmp_path, "paper-herlev")
    assert [row["ours"][0]["value"] for row in found[4]["rows"]] == [4 * 12, 4 * 9, 4 * 21]
    assert found["Fig. 9"]["rows"][1]["paper"][-1] == 92.35
    assert len(pd.read_csv(out.row("cvm-x4").history)) == 1


MASKED = (
    "--task",
    "herlev_seven",
    "--main",
    "resnet18",
    "--masks",
    "--test-time-augmentation",
    "--augmentation.vertical-flip",
    "0.5",
)


@pytest.mark.whole_paper
def test_masks_beside_herlevs_pictures_are_shown_to_the_network(root, tmp_path):
    run(tmp_path, root / "herlev", *MASKED)
    out = RunDir(tmp_path / "cvm_cervix" / "paper")
    assert out.metrics.exists() and out.report.exists() and not out.contract.exists()
    assert set(out.rows) == {"resnet18", "resnet18-float16", "resnet18-flips"}
    found = tables_of(tmp_path, "paper")["Lin 2019"]
    assert [row["paper"] for row in found["rows"]] == [[64.5], [94.5], None, None]


def test_a_picture_without_its_mask_is_named_before_anything_is_trained(root, tmp_path, capsys):
    shutil.copytree(root / "herlev", tmp_path / "herlev")
    masks = sorted((tmp_path / "herlev").rglob("*-d.bmp"))
    masks[0].unlink()
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / "herlev", *MASKED)
    error = capsys.readouterr().err
    assert "1 of 35 pictures have no mask" in error and f"whose mask is {masks[0].name}" in error
    with pytest.raises(SystemExit):
        run(tmp_path, root, "--masks")
    assert "there are masks of Herlev alone" in capsys.readouterr().err
    assert not list(tmp_path.rglob("history.csv"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tables", "3", "--weights-folder", "."), tuple(f"{name}.weights.h5: no such" for name in COMPARED)),
        (("--tables", "1", "4", "5", "--herlev", "smear", "--blood", "pbc"), ("has no folder 'smear'", "--herlev")),
        (("--tables", "1", "5", "--cric", "crops"), ("has no folder 'crops'", "--cric")),
        (("--tables", "3", "--reference-run", "."), ("config.json: no such file",)),
    ],
)
def test_what_is_missing_is_known_before_anything_is_trained(root, tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, root, *arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words)
    assert not list(tmp_path.rglob("history.csv"))


def test_the_list_names_the_rows_of_every_task(root, tmp_path, capsys):
    run(tmp_path, root, "--tables", "4", "5", "--list")
    lines = capsys.readouterr().out
    assert "cvm-x4 (herlev)" in lines and "cvm (blood)" in lines and "vgg11" not in lines
