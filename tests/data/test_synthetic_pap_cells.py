import hashlib

import numpy as np
import pytest

from cervix_tf.data import importers, splits
from cervix_tf.data.images import decode_file
from cervix_tf.data.synthetic import pap_cells
from cervix_tf.errors import InputError


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "cells"
    pap_cells.write(folder, cells=12, seed=3, size=48)
    return folder


@pytest.mark.parametrize(
    ("layout", "classes", "groups"),
    [("sipakmed", pap_cells.SIPAKMED, 5 * 3), ("cric_crops", pap_cells.CRIC, 6 * 3)],
)
def test_the_importer_of_the_original_layout_reads_them(root, layout, classes, groups):
    found = importers.load(layout, root / layout)
    assert not found.left_out
    rows = found.manifest.rows
    assert rows["label"].value_counts().to_dict() == dict.fromkeys(classes, 12)
    assert rows["group"].nunique() == groups
    splits.check_disjoint(splits.grouped(found.manifest, {"train": 0.5, "test": 0.5}, 0))


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(root, tmp_path):
    pap_cells.write(tmp_path / "again", cells=12, seed=3, size=48)
    assert digest(tmp_path / "again") == digest(root)
    pap_cells.write(tmp_path / "other", cells=12, seed=4, size=48)
    assert digest(tmp_path / "other") != digest(root)


def test_the_class_shows_in_the_nucleus_and_the_cell_but_not_in_the_light():
    """Dark pixels in the middle tell HSIL from NILM in most cells; the background's brightness does not."""
    found = {}
    for at, name in enumerate(("NILM", "HSIL")):
        images = [pap_cells.draw(0, 100 * at + n, name, 100 * at + n, 64).astype(float).mean(axis=2) for n in range(40)]
        found[name] = np.array([((image[20:44, 20:44] < 110).mean(), np.percentile(image, 95)) for image in images])
    dark = found["HSIL"][:, 0] > np.median(found["NILM"][:, 0])
    assert dark.mean() > 0.9
    light, other = found["HSIL"][:, 1], found["NILM"][:, 1]
    assert abs(np.median(light) - np.median(other)) < 0.5 * (light.std() + other.std())


def test_cells_of_one_field_share_the_light():
    def light(place):
        return np.median([np.percentile(pap_cells.draw(5, place, "ASC-H", n, 48), 90) for n in range(6)])

    within = [np.percentile(pap_cells.draw(5, 1, "ASC-H", n, 48), 90) for n in range(10)]
    assert np.std(within) < np.std([light(place) for place in range(10)])


def test_pictures_are_rgb_squares_and_the_folder_says_that_it_is_synthetic(root):
    image = decode_file(next((root / "cric_crops" / "SCC").iterdir()))
    assert image.shape == (48, 48, 3) and image.std() > 5
    assert "SYNTHETIC" in (root / "README.txt").read_text()


def test_no_cells_and_a_folder_that_exists_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="at least one"):
        pap_cells.write(tmp_path / "new", cells=0, seed=0)
    with pytest.raises(InputError, match="exists; remove it"):
        pap_cells.write(tmp_path, cells=4, seed=0)
