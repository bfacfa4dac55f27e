import base64

import cv2
import numpy as np
import pytest

from cervix_tf.data import manifest
from cervix_tf.metrics import predictions
from cervix_tf.report import cases
from cervix_tf.run_dir import RunDir

RIGHT, WRONG, UNCERTAIN = 0, 1, 2


def made_up(rows):
    """Predictions from {id: (label, probability of class a)}, of the classes a and b."""
    values = [[p, 1 - p] for _, p in rows.values()]
    return predictions.from_arrays(list(rows), values, ["a", "b"], labels=[label for label, _ in rows.values()])


def ids(found, section):
    return [str(found[1].table["id"][row]) for row in list(found[0].values())[section]]


@pytest.fixture
def found():
    whole = made_up(
        {
            "sure a": ("a", 0.99),
            "less sure a": ("a", 0.9),
            "sure b": ("b", 0.05),
            "surely wrong": ("b", 0.97),
            "wrong": ("a", 0.3),
            "torn": ("a", 0.52),
            "torn, unlabeled": ("", 0.49),
        }
    )
    return cases.chosen(whole, most=2), whole


def test_the_most_confident_right_case_of_each_class_is_shown(found):
    assert ids(found, RIGHT) == ["sure a", "sure b"]


def test_the_most_confident_wrong_cases_come_first(found):
    assert ids(found, WRONG) == ["surely wrong", "wrong"]


def test_the_least_certain_cases_may_be_unlabeled(found):
    assert ids(found, UNCERTAIN) == ["torn, unlabeled", "torn"]


def test_no_case_is_shown_twice():
    rows = [row for each in cases.chosen(made_up({"x": ("a", 0.6), "y": ("b", 0.7)})).values() for row in each]
    assert sorted(rows) == [0, 1]


def pixels(source):
    return cv2.imdecode(np.frombuffer(base64.b64decode(source.split(",", 1)[1]), np.uint8), cv2.IMREAD_COLOR)


def test_thumbnails_are_small_and_keep_their_shape(tmp_path):
    cv2.imwrite(str(tmp_path / "big.png"), np.full((600, 800, 3), 128, np.uint8))
    assert pixels(cases.thumbnail(tmp_path / "big.png", 200)).shape == (150, 200, 3)


def test_small_images_are_not_enlarged(tmp_path):
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((3, 5), np.uint8))
    assert pixels(cases.thumbnail(tmp_path / "small.png", 200)).shape == (3, 5, 3)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_is_no_image_has_no_thumbnail(tmp_path, content):
    if content is not None:
        (tmp_path / "x.jpg").write_bytes(content)
    assert cases.thumbnail(tmp_path / "x.jpg", 200) == ""


def listed(tmp_path, views):
    records = [{"path": f"{view}.jpg", "case": "c", "view": view, "label": "a"} for view in views]
    return manifest.from_records(records, tmp_path)


def test_images_follow_the_order_of_the_models_views(tmp_path):
    whole = made_up({"c": ("a", 0.9)})
    images = listed(tmp_path, ["iodine", "saline", "acetic_1", "green", "acetic_2"])
    case = cases.described(whole, 0, images, ["acetic_1", "acetic_2", "green", "iodine"], RunDir(tmp_path))
    assert [image.view for image in case.images] == ["acetic_1", "acetic_2", "green", "iodine"]
    assert (case.label, case.prediction, case.probabilities[0]) == ("a", "a", ("a", 0.9))


def test_an_image_level_prediction_shows_that_image_alone(tmp_path):
    images = listed(tmp_path, ["acetic_1", "green"])
    case = cases.described(made_up({"green.jpg": ("a", 0.9)}), 0, images, (), RunDir(tmp_path))
    assert [image.view for image in case.images] == ["green"]


def test_images_beyond_the_limit_are_counted(tmp_path):
    images = listed(tmp_path, [f"other_{at}" for at in range(cases.MOST_IMAGES + 3)])
    case = cases.described(made_up({"c": ("a", 0.9)}), 0, images, (), RunDir(tmp_path))
    assert (len(case.images), case.left_out) == (cases.MOST_IMAGES, 3)


def test_a_case_name_cannot_reach_outside_the_heat_maps(tmp_path):
    run = RunDir(tmp_path)
    (run.figures / "heatmaps").mkdir(parents=True)
    picture = np.zeros((4, 4, 3), np.uint8)
    cv2.imwrite(str(run.figures / "secret.png"), picture)
    cv2.imwrite(str(run.figures / "heatmaps" / "c.png"), picture)
    whole = made_up({"c": ("a", 0.9), "../secret": ("a", 0.9)})
    assert cases.described(whole, 0, None, (), run).heat_map
    assert not cases.described(whole, 1, None, (), run).heat_map
    cv2.imwrite(str(run.heat_map("../secret")), picture)
    assert cases.described(whole, 1, None, (), run).heat_map
    assert len(list((run.figures / "heatmaps").iterdir())) == 2
