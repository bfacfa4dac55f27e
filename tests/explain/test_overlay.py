"""Overlays and mosaics are pictures of the promised size and colors."""

import numpy as np
import pytest

from cervix_tf.explain.mosaic import case_mosaic
from cervix_tf.explain.overlay import overlay

GREY = np.full((70, 100, 3), 128, np.uint8)


def corner_map():
    heat = np.zeros((7, 10), np.float32)
    heat[0, 0] = 1.0
    return heat


def test_evidence_is_tinted_red_and_its_absence_blue():
    picture = overlay(GREY, corner_map(), strength=0.5)
    assert (picture.shape, picture.dtype) == ((70, 100, 3), np.uint8)
    red, _, blue = picture[2, 2].astype(int)
    assert red > blue
    red, _, blue = picture[60, 90].astype(int)
    assert blue > red


def test_strength_0_is_the_image_itself():
    np.testing.assert_array_equal(overlay(GREY.astype("float32"), corner_map(), strength=0), GREY)


def test_what_is_no_rgb_image_is_refused():
    with pytest.raises(ValueError, match=r"not \(70, 100\)"):
        overlay(GREY[..., 0], corner_map())


def test_a_mosaic_has_a_column_a_case_and_a_row_a_view():
    case = ([GREY] * 7, [corner_map()] * 7)
    picture = case_mosaic([case] * 4, titles=["a", "b", "c", "d"], tile=(20, 30))
    assert picture.shape == (18 + 7 * 20 + 6 * 4, 4 * (2 * 30 + 4) + 3 * 12, 3)
    assert (picture[19:37, 1:29] == 128).all()  # the first image


def test_cases_of_fewer_views_leave_white():
    picture = case_mosaic([([GREY] * 2, [corner_map()] * 2), ([GREY], [corner_map()])], tile=(20, 30))
    assert picture.shape[0] == 2 * 20 + 4
    assert (picture[24:, -60:] == 255).all()
