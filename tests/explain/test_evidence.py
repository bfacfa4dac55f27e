import numpy as np
import pytest

from cervix_tf.data.synthetic import colposcopy, visits
from cervix_tf.explain import evidence


def test_heat_in_one_corner_lies_wholly_inside_its_box_and_not_at_all_in_another():
    heat = np.zeros((4, 4))
    heat[0, 0] = 1.0
    assert evidence.share_inside(heat, (0, 0, 40, 40), (80, 80)) == pytest.approx(1.0)
    assert evidence.share_inside(heat, (40, 40, 80, 80), (80, 80)) == 0.0


def test_an_even_map_has_the_boxs_share_of_the_image():
    assert evidence.share_inside(np.ones((3, 5)), (10, 20, 60, 50), (100, 200)) == pytest.approx(50 * 30 / 20_000)


def test_a_map_without_heat_has_no_share():
    assert evidence.share_inside(np.zeros((3, 3)), (0, 0, 10, 10), (10, 10)) == 0.0


def test_a_mask_counts_its_own_pixels_only():
    mask = np.zeros((80, 80), bool)
    mask[:40, :20] = True
    assert evidence.share_inside(np.ones((4, 4)), mask, (80, 80)) == pytest.approx(1 / 8)


def test_the_pointing_game_asks_for_the_warmest_point_alone():
    heat = np.zeros((4, 4))
    heat[0, 0], heat[3] = 1.0, 0.9
    assert evidence.points_inside(heat, (0, 0, 20, 20), (80, 80))
    assert not evidence.points_inside(heat, (0, 60, 80, 80), (80, 80))  # where most of the heat lies
    assert not evidence.points_inside(np.zeros((4, 4)), (0, 0, 80, 80), (80, 80))


def test_the_generators_masks_fill_their_boxes():
    drawn = colposcopy.draw(0, 1, "cin2_3", (96, 128))
    assert drawn.masks.keys() == drawn.evidence.keys() != set()
    for view, (x0, y0, x1, y1) in drawn.evidence.items():
        inside = drawn.masks[view][y0:y1, x0:x1]
        assert inside.sum() == drawn.masks[view].sum() > 0
        assert inside.any(axis=0)[[0, -1]].all() and inside.any(axis=1)[[0, -1]].all()


def test_the_generators_boxes_lie_where_a_visits_class_makes_a_difference(tmp_path):
    visits.write(tmp_path / "visits", visits={"cin2_3": 2, "normal": 2}, seed=3, height=96, width=128)
    found = visits.evidence(tmp_path / "visits")
    assert found and all("/2/" in visit for visit in found)  # normal visits show nothing
    for views in found.values():
        for x0, y0, x1, y1 in views.values():
            assert 0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 96
