"""Occlusion of networks whose maps are known."""

import numpy as np

from cervix_tf.explain.occlusion import occlusion


def spot(row, column, size=(12, 16)):
    """A black image, white in one of 3 x 4 cells."""
    image = np.zeros((*size, 3), np.uint8)
    image[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = 255
    return image


def brightness(images):
    share = images.astype(float).mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1)


def test_only_the_part_that_the_class_rests_on_is_warm():
    heat = occlusion(brightness, spot(1, 2), 1, (3, 4))
    expected = np.zeros((3, 4))
    expected[1, 2] = 1.0
    np.testing.assert_array_equal(heat, expected)


def test_the_heat_is_what_covering_takes_by_hand():
    weights = np.random.default_rng(0).uniform(0, 1, (4, 6))
    image = np.random.default_rng(1).uniform(0, 1, (4, 6, 3))

    def predict(images):
        return (images.mean(axis=-1) * weights).sum(axis=(1, 2))[:, None]

    mean, lost = image.mean(), np.zeros((2, 3))
    for row in range(2):
        for column in range(3):
            covered = image.copy()
            covered[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = image.mean(axis=(0, 1))
            lost[row, column] = max(predict(image[None])[0, 0] - predict(covered[None])[0, 0], 0)
    assert 0 < mean < 1 and lost.max() > 0
    np.testing.assert_allclose(occlusion(predict, image, 0, (2, 3), batch=4), lost / lost.max(), atol=1e-6)


def test_an_image_of_which_no_part_matters_has_no_heat():
    np.testing.assert_array_equal(occlusion(lambda images: np.ones((len(images), 2)), spot(0, 0), 0, (3, 4)), 0)


def test_parts_cover_images_that_do_not_divide_evenly():
    def count(images):  # white pixels that are gone
        return (images == 255).all(axis=-1).sum(axis=(1, 2))[:, None].astype(float)

    image = np.full((7, 5, 3), 255, np.uint8)
    image[0, 0] = 0  # or the mean color would be white
    heat = occlusion(count, image, 0, (3, 2))
    assert heat.shape == (3, 2) and (heat > 0).all()
