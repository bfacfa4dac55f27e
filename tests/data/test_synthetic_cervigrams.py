import csv
import hashlib

import pytest

from cervix_tf.data import importers, splits
from cervix_tf.data.synthetic import cervigrams
from cervix_tf.errors import InputError


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "cervigrams"
    cervigrams.write(folder, women=40, seed=3, height=48, width=64)
    return folder


def test_the_csv_importer_reads_them_woman_by_woman(root):
    found = importers.load("csv", root).manifest
    rows = found.rows
    women = rows.groupby("group")
    assert women.ngroups == 40
    assert set(women.size()) == {2, 3}
    assert (women["label"].nunique() == 1).all()
    assert (rows.drop_duplicates("group")["label"] == "case").sum() == 14
    assert rows["age"].between(18, 74).sum() > 0.8 * len(rows)
    parts = splits.grouped(found, {"train": 0.5, "test": 0.5}, 0)
    splits.check_disjoint(parts)


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(root, tmp_path):
    cervigrams.write(tmp_path / "again", women=40, seed=3, height=48, width=64)
    assert digest(tmp_path / "again") == digest(root)
    cervigrams.write(tmp_path / "other", women=40, seed=4, height=48, width=64)
    assert digest(tmp_path / "other") != digest(root)


def test_names_and_ages_do_not_tell_the_class(root):
    with (root / "cervigrams.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = [row["label"] for row in rows]
    assert labels != sorted(labels) and labels != sorted(labels, reverse=True)
    assert not any(word in row["path"] + row["woman"] for row in rows for word in ("case", "control"))


def test_the_folder_says_that_it_is_synthetic(root):
    assert "SYNTHETIC" in (root / "README.txt").read_text()


def test_too_few_women_and_a_folder_that_exists_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="at least four"):
        cervigrams.write(tmp_path / "new", women=3, seed=0)
    with pytest.raises(InputError, match="exists; remove it"):
        cervigrams.write(tmp_path, women=40, seed=0)
