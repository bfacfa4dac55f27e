"""The preset paper, small, on a generated copy of cervigrams with a spreadsheet: through every table."""

import csv
import json

import openpyxl
import pytest

from cervix_tf.data.synthetic import cervigrams
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.metric_learning import __main__ as study
from experiments.metric_learning.config import METHODS, TABLES
from tests import options

SMALL = [
    *("--preset", "paper", "--networks", "nasnet_mobile", "--images.size", "32", "--batches.images", "4"),
    *("--val1-share", "0.3", "--weights", "random"),
    *(word for row in ("fine-tuning", "contrastive", "n-pair", "batch-hard") for word in (f"--{row}.epochs", "1")),
]
SPLIT = ("train", "train", "train", "validation", "test")


def write_table(root, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(root / "Cervigrams (NHS).xlsx")


@pytest.fixture(scope="module")
def rows():
    """The spreadsheet's lines, header first."""
    return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rows):
    """Images in a folder with an odd name beside a spreadsheet, in the paper's own three splits."""
    root = tmp_path_factory.mktemp("nhs") / "Cervigrams"
    cervigrams.write(root, women=60, seed=1, height=48, width=64)
    with (root / "cervigrams.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    (root / "cervigrams.csv").unlink()
    (root / "Bilder (neu)").mkdir()
    seen = {"case": [], "control": []}
    rows.append(["Path", "Label", "Woman", "Age", "Split"])
    for line in lines:
        (root / line["path"]).rename(root / "Bilder (neu)" / line["path"])
        women = seen[line["label"]]
        if line["woman"] not in women:
            women.append(line["woman"])
        split = SPLIT[women.index(line["woman"]) % len(SPLIT)]
        rows.append([f"Bilder (neu)\\{line['path']}", line["label"], line["woman"], line["age"] or None, split])
    write_table(root, rows)
    return root


def run(folder, out, *more):
    main(study.STUDY, options.replacing([*SMALL, "--data.root", folder, "--out", out], more))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("saved_models")


def test_table_1_alone_trains_nothing(folder, tmp_path):
    run(folder, tmp_path, "--tables", "1")
    done = RunDir(tmp_path / "metric_learning" / "paper")
    (table,) = json.loads(done.tables.read_text())
    assert table["number"] == 1 and not done.rows
    assert "hold-out: women (groups)" in [row["name"] for row in table["rows"]]


def test_splits_too_small_for_a_batch_are_refused_before_the_first_row_trains(folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run(folder, tmp_path, "--tables", "2", "--batches.images", "30")
    assert ended.value.code == 2 and not RunDir(tmp_path / "metric_learning" / "paper").rows
    assert "batch_hard, split train: class 'control' has" in capsys.readouterr().err


def test_a_table_of_a_second_reader_is_read_before_the_first_row_trains(folder, tmp_path, capsys):
    (tmp_path / "reader.csv").write_text("id,decision\nnobody,case\n")
    with pytest.raises(SystemExit) as ended:
        run(folder, tmp_path, "--tables", "8", "--second-reader", str(tmp_path / "reader.csv"))
    assert ended.value.code == 2 and not RunDir(tmp_path / "metric_learning" / "paper").rows
    assert "none of its 1 ids is in the hold-out split" in capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(folder, plain_backbone, out):
    run(folder, out, "--tables", *map(str, TABLES))
    return RunDir(out / "metric_learning" / "paper")


@pytest.mark.whole_paper
def test_the_papers_preset_runs_through_every_table(finished):
    found = [table["number"] for table in json.loads(finished.tables.read_text())]
    assert found == [*TABLES[:-1], "Table 7, counts", TABLES[-1], "Hold-out"]
    assert set(finished.rows) == {*(f"nasnet_mobile-{method}" for method in METHODS), "nasnet_mobile-classifier"}
    assert finished.tflite().exists() and finished.report.exists()


@pytest.mark.whole_paper
def test_the_caption_of_figure_4_says_how_its_images_were_chosen(finished):
    assert "at most 250 of each, drawn at random" in finished.report.read_text()


@pytest.mark.whole_paper
def test_embeddings_of_other_labels_are_not_reused(finished, folder, rows, out, capsys):
    changed = [list(row) for row in rows]
    woman = changed[1][2]
    for row in changed:
        if row[2] == woman:
            row[1] = "control" if row[1] == "case" else "case"
    write_table(folder, changed)
    with pytest.raises(SystemExit) as ended:
        run(folder, out, "--tables", "2")
    write_table(folder, rows)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "the run was made with other data" in said and "label was" in said
