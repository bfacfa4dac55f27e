"""What a random split adds to the result: two runs that differ in nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from cervix_tf import start
from cervix_tf.config import Images
from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import data as study_data
from cervix_tf.study import evaluation
from cervix_tf.study.data import DataDescription
from experiments.cvm_cervix import data, leak
from experiments.cvm_cervix.config import DATA_SOURCES, DEMO, Row
from tests.experiments.pap_cells import counts_of, images


def predicted(right, total, start=0, groups=None):
    """`total` images, the first `right` correctly classified; each its own group unless so many are given."""
    decisions = np.where(np.arange(total) < right, 0, 1)
    names = [f"g{start + at % (groups or total)}" for at in range(total)]
    ids = [f"i{start + at}" for at in range(total)]
    return predictions.from_arrays(ids, np.eye(2)[decisions], ("a", "b"), labels=["a"] * total, groups=names)


def test_a_random_split_that_is_easier_is_a_positive_leak_with_an_interval():
    found = leak.difference(predicted(190, 200), predicted(160, 200, start=200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    standard_error = 100 * np.sqrt(0.95 * 0.05 / 200 + 0.8 * 0.2 / 200)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert "200 and 200 groups" in found["method"] and found["n"] == 400


def test_of_the_same_images_the_leak_is_paired_and_groups_are_drawn_as_a_whole():
    found = leak.difference(predicted(190, 200), predicted(160, 200), seed=0)
    assert found["value"] == pytest.approx(15.0)
    share = 0.15  # of the images that only the random split's network classifies correctly
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 100 * np.sqrt(share * (1 - share) / 200), rel=0.1)
    assert "paired" in found["method"] and found["n"] == 200
    shuffled = predicted(190, 200)
    shuffled = predictions.Predictions(shuffled.table.iloc[::-1].reset_index(drop=True), shuffled.classes)
    assert leak.difference(shuffled, predicted(160, 200), seed=0) == found
    coarse = leak.difference(predicted(190, 200), predicted(160, 200, groups=20), seed=0)
    assert "20 groups" in coarse["method"] and coarse["value"] == found["value"]


@pytest.fixture
def compared(tmp_path):
    """A random split's run, and a leak-free reference run of the same configuration."""
    reference, run = RunDir(tmp_path / "free"), RunDir(tmp_path / "random")
    config = replace(DEMO, protocol="as_published", reference_run=reference.root)
    for each, out in ((DEMO, reference), (config, run)):
        start.begin(each, out, ["python"], 0)
    for out, found in ((reference, predicted(160, 200)), (run, predicted(190, 200, start=200))):
        evaluation.write(out, found, None, DataDescription("drawn", True), seed=0)
        manifest.write(images({"a": 30}, split="train"), out.manifest)
    return config, reference, run


def test_a_reference_run_gives_a_table_of_both_accuracies_and_their_difference(compared):
    config, reference, run = compared
    leak.check(config, run)
    table = leak.table(config, reference, Row("cvm"), run, "CVM-Cervix", "Ours.")
    assert [round(row["ours"][0]["value"], 6) for row in table["rows"]] == [95, 80, 15]
    assert table["note"] == "Ours. Reference run: free. Training images: 30 (as_published) and 30 (leak_free)."


def test_of_runs_with_unequal_training_sets_no_difference_is_given(compared):
    config, reference, run = compared
    manifest.write(images({"a": 31}, split="train"), run.manifest)
    table = leak.table(config, reference, Row("cvm"), run, "CVM-Cervix", "Ours.")
    assert len(table["rows"]) == 2 and "31 (as_published) and 30 (leak_free). They are not as many" in table["note"]
    assert len(leak.table(replace(config, folds=5), reference, Row("cvm"), run, "", "")["rows"]) == 2
    manifest.write(images({"a": 3000}, split="train"), run.manifest)
    manifest.write(images({"a": 3020}, split="train"), reference.manifest)
    assert len(leak.table(replace(config, folds=5), reference, Row("cvm"), run, "", "")["rows"]) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "blood"}, "its task is combined, not blood"),
        ({"validation_share": 0.1}, "its validation_share is 0.2, not 0.1"),
        ({"images": Images(height=64, width=80, batch_size=16)}, "its images is .*80.*, not .*64"),
        ({"optimizer": replace(DEMO.optimizer, epochs=7)}, "its optimizer is .*6.*, not .*7"),
        ({"protocol": "leak_free"}, "is leak_free too"),
    ],
)
def test_a_reference_run_that_differs_in_more_than_the_protocol_is_refused(compared, change, words, tmp_path):
    config, run = replace(compared[0], **change), RunDir(tmp_path / "other")
    start.begin(config, run, ["python"], 0)
    with pytest.raises(InputError, match=words):
        leak.check(config, run)


def test_a_reference_run_may_have_its_weights_in_the_home_folder_but_not_others_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    weights, reference = tmp_path / "w.weights.h5", RunDir(tmp_path / "free")
    weights.write_bytes(b"first")
    free = replace(DEMO, weights=str(weights))
    start.begin(free, reference, ["python"], 0)
    config = replace(free, protocol="as_published", reference_run=reference.root)
    start.begin(config, RunDir(tmp_path / "same"), ["python"], 0)
    leak.check(config, RunDir(tmp_path / "same"))
    weights.write_bytes(b"second")
    start.begin(config, RunDir(tmp_path / "replaced"), ["python"], 0)
    with pytest.raises(InputError, match=r"its ~/w.weights.h5 was another file \(SHA-256 a7937b64b8c.*, not 16367"):
        leak.check(config, RunDir(tmp_path / "replaced"))


def test_a_random_split_has_as_many_images_of_each_class_as_its_reference_run(tmp_path):
    everything = images(dict.fromkeys(DATA_SOURCES["combined"].classes, 60), groups=7)
    (free,) = data.split(everything, replace(DEMO, similar=False))
    reference = RunDir(tmp_path)
    reference.root.mkdir(exist_ok=True)
    study_data.keep_manifest(free, reference)
    config = replace(DEMO, protocol="as_published", reference_run=tmp_path)
    (published,) = data.split(everything, config)
    classes = DATA_SOURCES["combined"].classes
    assert counts_of(published, classes) == counts_of(free, classes)
    assert set(published["test"].rows["group"]) & set(published["train"].rows["group"])
    with pytest.raises(InputError, match="has 660 images, this run 600"):
        data.split(everything.where(everything.rows["label"] != "SCC"), config)
