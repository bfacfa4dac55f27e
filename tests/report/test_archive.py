import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cervix_tf.compare.__main__ import main as compare
from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, predictions
from cervix_tf.report import archive
from cervix_tf.run_dir import RunDir, read_json, write_json

CLASSES = ("normal", "abnormal")


def digest(at):
    return f"{at:064x}"[::-1]


@pytest.fixture
def run(tmp_path):
    """A run of two rows over 40 images of 20 women, of which the last 24 were tested."""
    out = RunDir(tmp_path / "run")
    rng = np.random.default_rng(0)
    records = [
        {
            "path": f"secret {CLASSES[at % 2]}/woman {at // 2}.{at}.png",
            "sha256": digest(at),
            "label": CLASSES[at % 2],
            "group": f"woman {at // 2}",
            "age": 30 + at,
        }
        for at in range(40)
    ]
    out.root.mkdir()
    listed = manifest.from_records(records, out.root)
    manifest.write(listed, out.manifest)
    write_json(out.config, {"seed": 7})
    tested = listed.rows[16:].reset_index(drop=True)
    for name in ("", "other"):
        row = out.row(name) if name else out
        row.root.mkdir(parents=True, exist_ok=True)
        found = predictions.from_rows(tested.assign(id=tested["path"]), rng.dirichlet((1, 1), len(tested)), CLASSES)
        predictions.write(found, row.predictions)
        write_json(row.metrics, classification.summary(found, positive=("abnormal",), seed=7, data="drawn"))
        row.history.write_text("epoch,loss,seconds\n1,0.123456789,30.5\n")
    return out


def test_metrics_are_computed_again_from_what_is_kept_and_the_readers_own_images(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    back = RunDir(tmp_path / "back")
    found = archive.restore(tmp_path / "kept", [run.manifest], back)
    assert set(found) == {"", "other"}
    for before, after in ((run, back), (run.row("other"), back.row("other"))):
        was, now = read_json(before.metrics), read_json(after.metrics)
        assert now["metrics"]["accuracy"] == was["metrics"]["accuracy"]
        assert now["binary"]["metrics"]["auc"] == was["binary"]["metrics"]["auc"]
        assert now["data"] == "drawn" and now["confusion"] == was["confusion"]
        assert after.history.read_text() == before.history.read_text()
        assert np.allclose(
            predictions.read(after.predictions).probabilities,
            predictions.read(before.predictions).probabilities,
            atol=1e-6,
        )
    assert predictions.read(back.predictions).table["age"].tolist() == list(range(46, 70))


def test_neither_names_nor_labels_nor_ages_are_kept(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"rows.json", "history.csv", "predictions.csv"}
    for path in files:
        text = path.read_text()
        assert not re.search(r"secret|woman|png", text)
        if path.name == "predictions.csv":
            lines = text.splitlines()
            assert lines[0] == "image,group,p_normal,p_abnormal" and len(lines) == 25
            assert re.fullmatch(r"[0-9a-f]{16},10,0\.\d{6},0\.\d{6}", lines[1])


def test_what_is_kept_can_be_compared_with_a_model_of_ones_own(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    archive.restore(tmp_path / "kept", [run.manifest], RunDir(tmp_path / "back"))
    runs = [str(tmp_path / "back"), str(tmp_path / "back" / "rows" / "other")]
    compare([*runs, "-o", str(tmp_path / "compared")])
    assert read_json(tmp_path / "compared" / "comparison.json")["n"] == 24


def test_a_visit_of_several_images_is_found_by_all_of_them(tmp_path):
    out = RunDir(tmp_path / "run")
    out.root.mkdir()
    records = [
        {"path": f"{at}.png", "sha256": digest(at), "label": CLASSES[at // 2 % 2], "case": f"visit {at // 2}"}
        for at in range(8)
    ]
    manifest.write(manifest.from_records(records, out.root), out.manifest)
    write_json(out.config, {})
    labels = [CLASSES[at % 2] for at in range(4)]
    names = [f"visit {at}" for at in range(4)]
    found = predictions.from_arrays(names, [[0.25, 0.75]] * 4, CLASSES, labels=labels, cases=names)
    predictions.write(found, out.predictions)
    write_json(out.metrics, classification.summary(found))
    archive.write(out, tmp_path / "kept")
    archive.restore(tmp_path / "kept", [out.manifest], RunDir(tmp_path / "back"))
    again = predictions.read(tmp_path / "back" / "predictions.csv")
    assert again.table["id"].tolist() == names and again.table["label"].tolist() == labels


def test_an_image_that_nobody_has_is_refused_and_nothing_is_written(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    listed = manifest.read(run.manifest)
    manifest.write(listed.where(listed.rows.index != 20), tmp_path / "less.csv")
    with pytest.raises(InputError, match=r"predictions.csv: 1 of 24 images are in no manifest \(4100000000000000\)"):
        archive.restore(tmp_path / "kept", [tmp_path / "less.csv"], RunDir(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_a_prediction_of_nothing_in_the_manifest_is_not_kept(tmp_path, run):
    listed = manifest.read(run.manifest)
    manifest.write(listed.where(listed.rows.index != 20), run.manifest)
    with pytest.raises(InputError, match=r"woman 10.20.png'.* was predicted"):
        archive.write(run, tmp_path / "kept")


def test_the_command_says_what_it_found(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    command = [sys.executable, "-m", "cervix_tf.report.archive", tmp_path / "kept", run.manifest, "-o", tmp_path / "b"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert re.fullmatch(r"run: accuracy \d+\.\d % \[\d+\.\d, \d+\.\d\]", said[0])
    assert said[1].startswith("other: accuracy") and said[2] == f"written to {tmp_path / 'b'}"
    shutil.rmtree(tmp_path / "kept")
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert broken.returncode == 2 and "rows.json" in broken.stderr and "Traceback" not in broken.stderr
