"""The quality gate: its measures by hand, its limits on images of every fault, its file."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from sklearn.covariance import LedoitWolf

from cervix_tf import quality
from cervix_tf.contract import Contract
from cervix_tf.decision import Calibration, OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.quality import Gate, Problem

SIDE = 32
CONTRACT = Contract(
    *("cells", ("ill", "well"), ("ill",), (), SIDE, SIDE, SIDE, SIDE, "1", "free", "Tests only.", "nothing"),
    synthetic=True,
    stand_in=False,
)
PIXELS = arrays(np.uint8, (16, 16, 3))


def cell(seed, side=SIDE):
    """A dark disk of random place on a bright ground, with noise: pink and violet, (side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(y - side / 2 - rng.normal(), x - side / 2 - rng.normal()) < rng.uniform(0.2, 0.3) * side
    pixels = np.where(inside[..., None], (110, 70, 140), (215, 190, 205)) + rng.normal(0, 8, (side, side, 3))
    return np.clip(pixels + rng.normal(0, 6), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def limits():
    return quality.limits([quality.measured(cell(seed)) for seed in range(300)])


# Measures


def test_one_gray_dot_on_black_measures_what_arithmetic_by_hand_says():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[1, 1] = 16
    found = quality.measured(pixels)
    assert found.luminance == pytest.approx(1)  # 16 of 16 pixels
    assert found.clipped == 15 / 16
    # Laplacian inside: -64, 16, 16, 0; mean -8; mean square (4096 + 256 + 256) / 4 = 1152
    # mean square of the pixels 16
    assert found.sharpness == pytest.approx((1152 - 64) / (16 - 1 + 1 / 12))
    # blocks of 2 x 2 have the means 4, 0, 0, 0: within 256 / 16 - 16 / 4 = 12; their block has the mean 1: 4 - 1 = 3
    gray, none = [1, np.log(12 + 1 / 12), np.log(3 + 1 / 12), np.log(1 / 12)], [0, *[np.log(1 / 12)] * 3]
    np.testing.assert_allclose(found.texture, [*gray, *none, *none], atol=1e-9)


def test_red_is_as_bright_as_television_says_and_far_from_gray_in_both_color_differences():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0] = 255
    found = quality.measured(pixels)
    assert (found.luminance, found.clipped, found.sharpness) == (pytest.approx(76.245), 0, pytest.approx(0))
    np.testing.assert_allclose(found.texture[[0, 4, 8]], [76.245, -76.245, 178.755])


def test_black_and_white_pixels_are_counted_up_to_these_gray_levels():
    pixels = np.repeat(np.array([[7, 8, 247, 248]], np.uint8)[..., None], 3, axis=-1)
    assert quality.measured(pixels).clipped == 0.5


def test_white_noise_is_as_sharp_as_its_laplacian_says_however_dark_and_blurring_takes_that_away():
    noise = np.repeat(np.random.default_rng(0).normal(128, 30, (128, 128, 1)), 3, axis=-1)
    for pixels in (noise, noise / 4):
        assert quality.measured(pixels).sharpness == pytest.approx(20, rel=0.05)  # 4 * 4 + 4 * 1
    assert quality.measured(cv2.GaussianBlur(noise, (0, 0), 2)).sharpness < 1


@given(PIXELS)
def test_octaves_share_out_the_whole_variance(pixels):
    logs = np.split(quality.measured(pixels).texture, 3)
    gray = pixels @ np.array([0.299, 0.587, 0.114])
    for channel, (_, *energies) in zip((gray, pixels[..., 2] - gray, pixels[..., 0] - gray), logs, strict=True):
        assert len(energies) == 5
        assert np.sum(np.exp(energies) - 1 / 12) == pytest.approx(channel.var(), abs=1e-6)


@given(PIXELS)
def test_turned_and_mirrored_images_measure_the_same(pixels):
    one = quality.measured(pixels)
    for other in (np.rot90(pixels), pixels[:, ::-1]):
        found = quality.measured(other)
        np.testing.assert_allclose(found[:3], one[:3], atol=1e-7)
        np.testing.assert_allclose(found.texture, one.texture, atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 40)])
def test_small_and_narrow_images_are_measured_too(shape):
    found = quality.measured(np.full((*shape, 3), 100, np.uint8))
    assert np.isfinite(found.texture).all() and (found.luminance, found.sharpness) == (pytest.approx(100), 0)


# Limits


def test_the_distance_is_that_of_mahalanobis_with_the_shrunk_covariance(limits):
    every = np.stack([quality.measured(cell(seed)).texture for seed in range(300)])
    standard = (every - every.mean(axis=0)) / np.maximum(every.std(axis=0), 0.05)
    expected = LedoitWolf(assume_centered=True).fit(standard).mahalanobis(standard) ** 0.5
    np.testing.assert_allclose([limits.distance_of(each) for each in every], expected, rtol=0.05)
    assert limits.distance_of(every.mean(axis=0)) == pytest.approx(0, abs=1e-9)


def test_at_most_one_image_in_a_hundred_that_the_limits_come_from_is_refused(limits):
    refused = [bool(limits.problems(quality.measured(cell(seed)))) for seed in range(300)]
    assert np.mean(refused) <= quality.ALARMS


def test_images_of_the_same_kind_are_seldom_refused(limits):
    refused = [bool(limits.problems(quality.measured(cell(seed)))) for seed in range(1000, 1400)]
    assert np.mean(refused) < 0.05


def test_also_from_the_fewest_images_that_make_a_gate():
    every = [quality.measured(cell(seed)) for seed in range(1000)]
    refused = []
    for start in range(0, 1000, 250):
        some = every[start : start + quality.FEWEST_IMAGES]
        others = [*every[:start], *every[start + quality.FEWEST_IMAGES :]]
        refused += [bool(quality.limits(some).problems(each)) for each in others]
    assert np.mean(refused) < 0.03


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda pixels: pixels // 4, "dark"),
        (lambda pixels: 255 - (255 - pixels) // 4, "bright"),
        (lambda pixels: np.where(np.arange(SIDE)[:, None, None] < SIDE // 3, 0, pixels), "cut"),
        (lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 3), "blurred"),
        (lambda pixels: pixels[..., ::-1], "unlike"),
    ],
)
def test_each_fault_is_called_by_its_name(limits, spoil, problem):
    for seed in range(20):
        assert problem in limits.problems(quality.measured(spoil(cell(seed)).astype(np.uint8)))


def test_unlike_is_said_only_where_nothing_plainer_is(limits):
    black = quality.measured(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert limits.distance_of(black.texture) > limits.distance
    assert limits.problems(black) == ("dark", "cut", "blurred")


def test_validation_images_widen_the_limits():
    training = [quality.measured(cell(seed)) for seed in range(200)]
    darker = [quality.measured(cell(seed) // 2) for seed in range(100)]
    assert quality.limits(training, darker).darkest < quality.limits(training).darkest / 1.5


def test_limits_need_some_images_and_stand_where_all_are_equal():
    gray = quality.measured(np.full((SIDE, SIDE, 3), 100, np.uint8))
    with pytest.raises(ValueError, match="200 training images, not 199"):
        quality.limits([gray] * 199)
    limits = quality.limits([gray] * 200)
    assert limits.problems(gray) == ()
    assert limits.problems(quality.measured(np.full((SIDE, SIDE, 3), (100, 100, 110), np.uint8))) != ()


# File


def test_a_gate_read_back_decides_as_before_also_once_the_model_is_calibrated(limits, tmp_path):
    path = tmp_path / "quality_gate.json"
    Gate({"": limits}).write(path, CONTRACT)
    point = OperatingPoint("youden", 0.3)
    later = replace(CONTRACT, calibration=Calibration("temperature", (2, 2), (0, 0)), operating_point=point)
    for contract in (CONTRACT, later, replace(CONTRACT, digest="a" * 64)):
        gate = quality.read(path, contract)
        assert gate == Gate({"": limits})
        assert gate.problems([cell(0) // 4], contract) == (Problem("dark"),)
    assert quality.read(tmp_path / "none.json", CONTRACT) is None


def test_each_view_has_the_limits_of_its_kind_and_is_named(limits, tmp_path):
    contract = replace(CONTRACT, views=("acetic_1", "acetic_2", "green"))
    green = quality.limits([quality.measured(cell(seed) // 2) for seed in range(200)])
    Gate({"acetic": limits, "green": green}).write(tmp_path / "gate", contract)
    gate = quality.read(tmp_path / "gate", contract)
    assert gate.problems([cell(1), cell(2), cell(3) // 2], contract) == ()
    assert gate.problems([cell(1), None, None], contract) == ()  # of a missing view there is nothing to say
    (problem,) = gate.problems([cell(1), cell(2), cell(3)], contract)
    assert problem == Problem("bright", "green") and str(problem) == "green too bright"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value["kinds"][""].update(darkest=0.0), "its digest is not that of limits and contract"),
        (lambda value: value["kinds"][""].update(darkest="0"), "not a finite number"),
        (lambda value: value["kinds"][""].update(mean=[0.0]), "does not have 21 numbers"),
        (lambda value: value["kinds"][""].pop("mean"), "something other than limits"),
        (lambda value: value.update(kinds={"green": value["kinds"][""]}), "has limits for 'green'"),
        (lambda value: value.update(kinds=[]), "copy both from the same run"),
        (lambda value: value.pop("digest"), "digest"),
    ],
)
def test_a_changed_file_is_refused(limits, tmp_path, change, words):
    path = tmp_path / "quality_gate.json"
    Gate({"": limits}).write(path, CONTRACT)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=words) as refused:
        quality.read(path, CONTRACT)
    assert str(path) in str(refused.value)


def test_a_gate_of_another_model_and_a_file_cut_off_are_refused(limits, tmp_path):
    path = tmp_path / "quality_gate.json"
    Gate({"": limits}).write(path, CONTRACT)
    with pytest.raises(InputError, match=r"not the limits of the model beside it, others .*--quality"):
        quality.read(path, replace(CONTRACT, task="others"))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="not readable as JSON"):
        quality.read(path, CONTRACT)
