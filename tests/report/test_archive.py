import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
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
        for section in ("metrics", "binary"):
            was_, now_ = was[section], now[section]
            was_, now_ = (each["metrics"] if section == "binary" else each for each in (was_, now_))
            for name, measured in was_.items():
                assert now_[name]["value"] == pytest.approx(measured["value"], abs=1e-8), name
                assert now_[name]["low"] == pytest.approx(measured["low"], abs=0.05), name  # other resamples
        assert now["data"] == "drawn" and now["confusion"] == was["confusion"]
        assert after.history.read_text() == before.history.read_text()
        first, again = predictions.read(before.predictions), predictions.read(after.predictions)
        again = again.of(first.table["id"])
        np.testing.assert_allclose(again.probabilities, first.probabilities, atol=1e-8)
        for column in ("label", "age"):
            assert again.table[column].tolist() == first.table[column].tolist()
        pairs = pd.crosstab(again.groups, first.groups)  # other names, the same groups
        assert ((pairs > 0).sum(0) == 1).all() and ((pairs > 0).sum(1) == 1).all()


def test_neither_names_nor_labels_nor_ages_are_kept(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"rows.json", "history.csv", "predictions.csv", ".cervix_tf"}
    for path in files:
        text = path.read_text()
        assert not re.search(r"secret|woman|png", text)
        if path.name == "predictions.csv":
            lines = text.splitlines()
            assert lines[0] == "image,group,p_normal,p_abnormal" and len(lines) == 25
            assert re.fullmatch(r"[0-9a-f]{16},00,0\.\d+,0\.\d+", lines[1])


def test_the_order_of_rows_says_nothing_of_their_labels(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    lines = (tmp_path / "kept" / "predictions.csv").read_text().splitlines()[1:]
    assert lines == sorted(lines)
    groups = [line.split(",")[1] for line in lines]
    assert list(dict.fromkeys(groups)) == [f"{number:02}" for number in range(12)]  # numbered as they come


def test_a_second_archive_replaces_the_first_as_a_whole(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    shutil.rmtree(run.row("other").root)
    archive.write(run, tmp_path / "kept")
    assert not (tmp_path / "kept" / "rows").exists()


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
        {
            "path": f"{at}.png",
            "sha256": digest(at),
            "label": CLASSES[at // 2 % 2] if at % 2 else "",  # one of a visit's images is enough to know its label
            "case": f"visit {at // 2}",
        }
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
    again = again.of(names)
    assert again.table["label"].tolist() == labels


def test_an_image_that_nobody_has_is_refused_and_nothing_is_written(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    listed = manifest.read(run.manifest)
    manifest.write(listed.where(listed.rows.index != 20), tmp_path / "less.csv")
    with pytest.raises(InputError, match=r"predictions.csv: 1 of 24 images are in no manifest \(4100000000000000\)"):
        archive.restore(tmp_path / "kept", [tmp_path / "less.csv"], RunDir(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_labels_that_the_study_reads_otherwise_are_refused(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    other = run.manifest.read_text().replace(",abnormal,", ",cin3,")
    (tmp_path / "other.csv").write_text(other)
    with pytest.raises(InputError, match="classes are normal, abnormal, and the manifest calls an image 'cin3': give"):
        archive.restore(tmp_path / "kept", [tmp_path / "other.csv"], RunDir(tmp_path / "back"))


def test_labels_that_are_not_the_runs_are_refused_and_nothing_is_written(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    listed = manifest.read(run.manifest)
    for name, change in {
        "corrected": listed.rows["label"].where(listed.rows.index != 20, "abnormal"),
        "unlabeled": listed.rows["label"].where(listed.rows.index != 20, ""),
    }.items():
        manifest.write(replace(listed, rows=listed.rows.assign(label=change)), tmp_path / f"{name}.csv")
        with pytest.raises(InputError, match="they are not the run's labels; give the manifest"):
            archive.restore(tmp_path / "kept", [tmp_path / f"{name}.csv"], RunDir(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_files_of_the_same_bytes_and_other_labels_are_refused_by_name(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    rows = manifest.read(run.manifest).rows.to_dict("records")
    twin = {**rows[20], "path": "twin.png", "label": "abnormal"}
    manifest.write(manifest.from_records([twin, *rows], tmp_path), tmp_path / "twins.csv")
    with pytest.raises(InputError, match=r"'twin.png' and 'secret .*' have the same bytes and different labels"):
        archive.restore(tmp_path / "kept", [tmp_path / "twins.csv"], RunDir(tmp_path / "back"))


def test_manifests_may_overlap_but_not_name_two_images_alike(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    archive.restore(tmp_path / "kept", [run.manifest, run.manifest], RunDir(tmp_path / "back"))
    other = manifest.from_records(
        [{"path": manifest.read(run.manifest).rows["path"][20], "sha256": digest(99)}], tmp_path
    )
    manifest.write(other, tmp_path / "other.csv")
    with pytest.raises(InputError, match=r"is one image in .*manifest.csv and another in .*other.csv"):
        archive.restore(tmp_path / "kept", [run.manifest, tmp_path / "other.csv"], RunDir(tmp_path / "b"))


def test_a_run_of_ones_own_and_the_archive_itself_are_never_written_over(tmp_path, run):
    archive.write(run, tmp_path / "kept")
    before = run.predictions.read_text()
    with pytest.raises(InputError, match="which this program did not write"):
        archive.restore(tmp_path / "kept", [run.manifest], run)
    for inside in (tmp_path / "kept", tmp_path / "kept" / "back"):
        with pytest.raises(InputError, match="is in the archive itself"):
            archive.restore(tmp_path / "kept", [run.manifest], RunDir(inside))
    assert run.predictions.read_text() == before
    assert "secret" not in (tmp_path / "kept" / "predictions.csv").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "contains no test predictions"),
        ('{"": {"n": 24}}', r"rows.json: '': needs accuracy, data, n, positive"),
        ('{"other": 3}', "rows.json: 'other': needs"),
    ],
)
def test_an_archive_without_predictions_or_with_half_its_facts_is_refused(tmp_path, run, text, said):
    archive.write(run, tmp_path / "kept")
    (tmp_path / "kept" / "rows.json").write_text(text)
    with pytest.raises(InputError, match=said):
        archive.restore(tmp_path / "kept", [run.manifest], RunDir(tmp_path / "back"))
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
    assert re.fullmatch(r"run: accuracy \d+\.\d % \[\d+\.\d, \d+\.\d\], n = 24 \(drawn\)", said[0])
    assert said[1].startswith("other: accuracy") and said[2] == f"written to {tmp_path / 'b'}"
    shutil.rmtree(tmp_path / "kept")
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert broken.returncode == 2 and "rows.json" in broken.stderr and "Traceback" not in broken.stderr
