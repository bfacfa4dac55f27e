import cv2
import numpy as np
import pytest

from cervix_tf.config import Augmentation
from cervix_tf.data import augment
from cervix_tf.data.resizing import resized

TABLE_1 = Augmentation((0.0, 45.0), (1.0, 2.0), (0.0, 30.0), horizontal_flip=0.5)


def matrix(augmentation, source=(100, 160), target=(50, 80), seed=0):
    return augment.affine(np.random.default_rng(seed), augmentation, source, target)


def test_without_augmentation_the_map_is_a_resize_with_half_pixel_centres():
    found = matrix(Augmentation())
    np.testing.assert_allclose(found, [[2, 0, 0.5], [0, 2, 0.5]])


def test_a_warp_without_augmentation_equals_opencvs_resize():
    pixels = np.random.default_rng(0).integers(0, 256, (100, 160, 3), np.uint8)
    warped = augment.warp(pixels, matrix(Augmentation()), (50, 80))
    resized = cv2.resize(pixels, (80, 50), interpolation=cv2.INTER_LINEAR)
    inside = np.abs(warped.astype(int) - resized)[1:-1, 1:-1]
    assert inside.max() <= 1


def test_the_centre_of_the_image_stays_where_it_is_whatever_is_drawn():
    for seed in range(20):
        found = matrix(TABLE_1, seed=seed)
        center = found @ [(80 - 1) / 2, (50 - 1) / 2, 1]
        np.testing.assert_allclose(center, [(160 - 1) / 2, (100 - 1) / 2])


def test_scale_two_shows_the_central_half_of_each_side():
    found = matrix(Augmentation(scale=(2.0, 2.0)))
    corners = np.array([[-0.5, -0.5, 1], [79.5, 49.5, 1]]) @ found.T
    np.testing.assert_allclose(corners, [[39.5, 24.5], [119.5, 74.5]])


def test_rotation_turns_counter_clockwise_by_the_drawn_angle_in_square_pixels():
    found = matrix(Augmentation(rotation=(90.0, 90.0)), source=(101, 101), target=(101, 101))
    pixels = np.zeros((101, 101, 3), np.uint8)
    pixels[50, 90] = 255  # right of the center
    turned = augment.warp(pixels, found, (101, 101))
    assert turned[10, 50].max() == 255  # above the center


def test_shear_moves_rows_along_x_by_the_tangent_of_the_angle():
    found = matrix(Augmentation(shear=(30.0, 30.0)), source=(50, 80), target=(50, 80))
    np.testing.assert_allclose(found[:, :2], [[1, np.tan(np.deg2rad(30))], [0, 1]])


def test_flips_mirror_the_image():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    found = matrix(Augmentation(horizontal_flip=1.0, vertical_flip=1.0), source=(20, 30), target=(20, 30))
    np.testing.assert_array_equal(augment.warp(pixels, found, (20, 30)), pixels[::-1, ::-1])


def test_parameters_cover_their_ranges_and_never_leave_them():
    angles, scales = [], []
    for seed in range(400):
        found = matrix(Augmentation((0.0, 45.0), (1.0, 2.0)), source=(50, 50), target=(50, 50), seed=seed)
        scales.append(1 / np.sqrt(np.linalg.det(found[:, :2])))
        angles.append(np.rad2deg(np.arctan2(found[1, 0], found[0, 0])))
    assert 0 <= min(angles) < 2 and 43 < max(angles) <= 45
    assert 1 <= min(scales) < 1.05 and 1.95 < max(scales) <= 2


@pytest.mark.parametrize("changed", ["rotation", "shear", "scale"])
def test_changing_one_setting_leaves_the_draws_of_the_others(changed):
    other = {"rotation": (0.0, 0.0), "shear": (0.0, 0.0), "scale": (1.0, 1.0)}[changed]
    plain, found = (
        [matrix(setting, seed=seed) for seed in range(5)]
        for setting in (TABLE_1, Augmentation(**{**TABLE_1.__dict__, changed: other}))
    )
    flips = [[np.sign(np.linalg.det(each[:, :2])) for each in some] for some in (plain, found)]
    assert flips[0] == flips[1]


def test_a_shift_moves_the_picture_by_its_share_of_each_side():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[20, 30] = 255
    found = matrix(Augmentation(shift=(0.25, 0.25)), source=(40, 60), target=(40, 60))
    assert augment.warp(pixels, found, (40, 60))[30, 45].max() == 255
    several = np.array([matrix(Augmentation(shift=(-0.1, 0.1)), (40, 60), (40, 60), seed)[:, 2] for seed in range(200)])
    assert (np.abs(several) <= [6.01, 4.01]).all() and (np.abs(several).max(axis=0) > [5.5, 3.6]).all()
    assert abs(np.corrcoef(several.T)[0, 1]) < 0.2  # each side is drawn for itself


def test_settings_of_tone_and_shift_leave_the_geometry_of_the_others():
    more = Augmentation(**{**TABLE_1.__dict__, "gamma": (0.5, 2.0), "brightness": (0.5, 1.5)})
    assert np.array_equal(matrix(TABLE_1), matrix(more))
    moved = matrix(Augmentation(**{**TABLE_1.__dict__, "shift": (0.1, 0.1)}))
    assert np.array_equal(matrix(TABLE_1)[:, :2], moved[:, :2])


def curve(seed=0, **settings):
    return augment.tones(np.random.default_rng(seed), Augmentation(**settings))


def test_gamma_and_brightness_are_one_table_of_pixel_values():
    gray = np.arange(256) / 255
    assert curve() is None
    np.testing.assert_array_equal(curve(gamma=(2.0, 2.0)), np.rint(255 * gray**2))
    np.testing.assert_array_equal(curve(brightness=(0.5, 0.5)), np.rint(255 * gray / 2))
    both = curve(gamma=(0.5, 0.5), brightness=(1.5, 1.5))
    np.testing.assert_array_equal(both, np.rint(255 * np.minimum(gray**0.5 * 1.5, 1)))
    middles = [curve(seed, gamma=(0.5, 2.0))[128] for seed in range(400)]
    assert min(middles) >= np.rint(255 * (128 / 255) ** 2) and max(middles) <= np.rint(255 * (128 / 255) ** 0.5)
    assert np.mean(np.array(middles) > 128) == pytest.approx(0.5, abs=0.07)  # darker as often as lighter


def test_an_augmented_image_is_warped_and_then_toned():
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    setting = Augmentation(horizontal_flip=1.0, brightness=(0.5, 0.5))
    found = augment.augmented(pixels, np.random.default_rng(0), setting, (30, 40))
    np.testing.assert_array_equal(found, np.rint(pixels[:, ::-1] / 255 * 0.5 * 255).astype(np.uint8))


@pytest.mark.parametrize("target", [(224, 224), (30, 160), (90, 40)])
@pytest.mark.parametrize("mirror", [False, True])
def test_an_image_that_is_enlarged_gets_no_dark_frame_that_evaluation_does_not_show(target, mirror):
    pixels = np.linspace(100, 200, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    found = augment.augmented(pixels, np.random.default_rng(0), Augmentation(mirror_outside=mirror), target)
    np.testing.assert_allclose(found, resized(pixels, *target), atol=2)


def test_quarter_turns_are_the_four_turns_of_the_stretched_image():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    target = (20, 20)
    plain = augment.warp(pixels, matrix(Augmentation(), (40, 60), target), target, mirror=True)
    seen = set()
    for seed in range(30):
        turned = augment.warp(
            pixels, matrix(Augmentation(quarter_turns=True), (40, 60), target, seed), target, mirror=True
        )
        turns = [k for k in range(4) if np.abs(np.rot90(plain, k).astype(int) - turned).max() <= 2]
        assert len(turns) == 1
        seen |= set(turns)
    assert seen == {0, 1, 2, 3}


def test_quarter_turns_fill_a_target_that_is_no_square():
    white = np.full((40, 60, 3), 255, np.uint8)
    for seed in range(10):
        found = augment.warp(white, matrix(Augmentation(quarter_turns=True), (40, 60), (20, 30), seed), (20, 30))
        assert found[1:-1, 1:-1].min() == 255


def test_outside_the_image_is_black_or_its_mirror_image():
    white = np.full((40, 40, 3), 255, np.uint8)
    found = matrix(Augmentation(rotation=(45.0, 45.0)), (40, 40), (40, 40))
    assert augment.warp(white, found, (40, 40))[0, 0].max() == 0
    assert augment.warp(white, found, (40, 40), mirror=True).min() == 255


def recolored(seed=0, **amounts):
    pixels = np.random.default_rng(1).integers(60, 180, (30, 30, 3), np.uint8)
    found = augment.colored(pixels, np.random.default_rng(seed), Augmentation(**amounts))
    return pixels.astype(float), found.astype(float)


def test_contrast_keeps_the_grey_of_the_image_and_saturation_that_of_every_pixel():
    luma = np.array([0.299, 0.587, 0.114])
    before, after = recolored(contrast=(0.7, 0.7))
    assert abs((after @ luma).mean() - (before @ luma).mean()) < 0.5
    mean = before.mean(axis=(0, 1)) @ luma
    np.testing.assert_allclose(after, mean + 0.7 * (before - mean), atol=0.6)
    before, after = recolored(saturation=(0.5, 0.5))
    gray = (before @ luma)[..., None]
    np.testing.assert_allclose(after, gray + 0.5 * (before - gray), atol=0.6)


def test_contrast_and_saturation_stay_within_their_bounds_and_without_them_colors_stay():
    before, after = recolored()
    np.testing.assert_array_equal(before, after)
    spreads = [recolored(seed, contrast=(0.8, 1.2))[1].std() / before.std() for seed in range(30)]
    assert 0.79 < min(spreads) < 0.9 and 1.1 < max(spreads) < 1.21
