import hashlib

import cv2
import pandas as pd
import pytest

from cervix_tf.data.synthetic import two_sites
from cervix_tf.errors import InputError

SMALL = {"women": 40, "labeled": 12, "tested": 8, "height": 24, "width": 32}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "data"
    two_sites.write(root, seed=3, **SMALL)
    return root


def test_every_woman_has_two_images_at_one_site_and_in_one_part(written):
    table = pd.read_csv(written / "cervigrams.csv", keep_default_na=False)
    assert tuple(table.columns) == two_sites.COLUMNS
    assert table.groupby("site").size().to_dict() == {"alts": 80, "nhs": 80}
    women = table.groupby("woman")
    assert (women.size() == 2).all()
    assert (women[["site", "split", "label"]].nunique() == 1).all().all()
    assert all(cv2.imread(str(written / path)).shape == (24, 32, 3) for path in table["path"][:5])
    assert "SYNTHETIC" in (written / "README.txt").read_text()


def test_few_women_have_labels_and_every_part_has_both_classes(written):
    table = pd.read_csv(written / "cervigrams.csv", keep_default_na=False).drop_duplicates("woman")
    known = table[table["label"] != ""]
    assert known.groupby(["site", "split"]).size().to_dict() == {
        (site, split): count for site in ("alts", "nhs") for split, count in
        (("test", 8), ("train", 9), ("validation", 3))
    }  # fmt: skip
    assert (known.groupby(["site", "split"])["label"].nunique() == 2).all()
    assert table.groupby("split").size().to_dict() == {"test": 24, "train": 40, "validation": 16}


def test_the_same_seed_draws_the_same_files_and_another_seed_others(written, tmp_path):
    def digest(root):
        return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(root.rglob("*.jpg")))).hexdigest()

    two_sites.write(tmp_path / "again", seed=3, **SMALL)
    two_sites.write(tmp_path / "other", seed=4, **SMALL)
    assert digest(tmp_path / "again") == digest(written) != digest(tmp_path / "other")


def test_a_folder_that_is_there_and_impossible_numbers_are_refused(written, tmp_path):
    with pytest.raises(InputError, match="exists; remove it"):
        two_sites.write(written, women=40, seed=0)
    with pytest.raises(InputError, match="at least 10 and 4, and no more than the 28 and 12"):
        two_sites.write(tmp_path / "new", women=40, seed=0, labeled=29, tested=12)
    assert not (tmp_path / "new").exists()
