import csv
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from cervix_tf.data import audit, fingerprints, importers, splits
from cervix_tf.data.importers import Options
from cervix_tf.data.synthetic import cervix_types
from cervix_tf.errors import InputError

WOMEN = 60


def digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "types"
    cervix_types.write(folder, women=WOMEN, seed=3, side=96)
    return folder


def table(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_importer_of_the_original_layout_reads_them(root):
    rows = importers.load("mobileodt", root).manifest.rows
    assert set(rows["label"]) == set(cervix_types.CLASSES)
    assert set(rows["split"]) == {"train", "additional"}
    assert rows["path"].map(lambda path: Path(path).name).is_unique  # so that the tables of corrections fit one file


def test_near_duplicates_of_a_woman_are_found_and_different_women_are_kept_apart(root):
    found = importers.load("mobileodt", root).manifest
    grouped = audit.group_by_similarity(found).rows["group"]
    assert len(found) > 1.2 * WOMEN
    assert 0.92 * WOMEN <= grouped.nunique() <= 1.03 * WOMEN


def test_the_corrections_that_lie_beside_the_images_mend_labels_and_leave_useless_images_out(root):
    as_they_lie = importers.load("mobileodt", root, Options(corrections=False)).manifest.rows.set_index("path")
    mended = importers.load("mobileodt", root).manifest.rows.set_index("path")
    wrong, useless = table(root / "fixed_labels_v2.csv"), table(root / "removed_files.csv")
    assert wrong and useless
    assert len(mended) == len(as_they_lie) - len(useless)
    moved = mended["label"] != as_they_lie["label"].reindex(mended.index)
    assert moved.sum() == len(wrong)


def test_the_type_changes_the_zone_and_nothing_else():
    one, two, three = (cervix_types.draw(0, 4, label, 1, (96, 96))[0].astype(int) for label in cervix_types.CLASSES)
    changed = [(np.abs(a - b).max(-1) > 8) for a, b in itertools.combinations((one, two, three), 2)]
    assert all(0.01 < each.mean() < 0.3 for each in changed)
    assert all(not each[:5].any() and not each[-5:].any() for each in changed)  # the image's edge
    red = [(each[..., 0] - each[..., 1]).mean() for each in (one, two, three)]
    assert red[0] > red[1] > red[2]


def test_photographs_of_a_moment_later_differ_yet_resemble_the_first(tmp_path):
    import cv2

    shots = cervix_types.draw(0, 5, "Type_2", 3, (96, 96))
    files = []
    for at, shot in enumerate(shots):
        files.append(tmp_path / f"{at}.png")
        cv2.imwrite(str(files[-1]), shot[..., ::-1])
    assert len({shot.tobytes() for shot in shots}) == 3
    prints = fingerprints.inspect_all(files, 1, 50)
    assert {(one, two) for one, two, _ in fingerprints.near_pairs(prints)} == {(0, 1), (0, 2), (1, 2)}


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(root, tmp_path):
    cervix_types.write(tmp_path / "again", women=WOMEN, seed=3, side=96)
    assert digest(tmp_path / "again") == digest(root)
    cervix_types.write(tmp_path / "other", women=WOMEN, seed=4, side=96)
    assert digest(tmp_path / "other") != digest(root)


def test_the_folder_says_that_it_is_synthetic(root):
    assert "SYNTHETIC" in (root / "README.txt").read_text()


def test_too_few_women_and_a_folder_that_exists_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="at least twelve"):
        cervix_types.write(tmp_path / "new", women=11, seed=0)
    with pytest.raises(InputError, match="exists; remove it"):
        cervix_types.write(tmp_path, women=40, seed=0)


def test_near_duplicates_give_away_a_womans_type_to_a_classifier_that_knows_nothing_else(tmp_path):
    """The nearest training image by raw pixels: right where one is a near-duplicate, hardly better than chance else."""
    import cv2
    from sklearn.neighbors import KNeighborsClassifier

    cervix_types.write(tmp_path / "types", women=200, seed=1, side=48)
    found = audit.group_by_similarity(importers.load("mobileodt", tmp_path / "types").manifest)
    parts = splits.random_by_class(found, {"train": 0.7, "test": 0.3}, 0)
    pixels = {
        name: [cv2.resize(cv2.imread(path), (16, 16), interpolation=cv2.INTER_AREA).ravel() for path in part.paths()]
        for name, part in parts.items()
    }
    train, test = parts["train"].rows, parts["test"].rows
    right = KNeighborsClassifier(1).fit(pixels["train"], train["label"]).predict(pixels["test"]) == test["label"]
    like = test["group"].isin(train["group"])
    assert like.sum() > 25 and (~like).sum() > 25
    assert right[like].mean() > 0.9 and right[~like].mean() < 0.7
