"""The study's parts: labels, splits that leak nothing, distance, colors, drop and recalibration, by hand arithmetic."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import tensorflow as tf

from cervix_tf import ranges
from cervix_tf.config import Source
from cervix_tf.data import manifest
from cervix_tf.data.groups import groups_of
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from experiments.cross_dataset import data, distance, normalization, transfer
from experiments.cross_dataset.config import CLASSES, DEMO, LABEL_MAP, PUBLIC, SHEETS, Row, every_row, same_kind
from experiments.cross_dataset.normalization import Reference


def said(scores, truth, groups=None, ids=None):
    """Predictions with these probabilities of the positive class."""
    scores = np.asarray(scores, float)
    return predictions.from_arrays(
        ids or [f"id {at}" for at in range(len(scores))],
        np.stack([1 - scores, scores], axis=1),
        CLASSES,
        labels=[CLASSES[int(each)] for each in truth],
        groups=groups,
    )


def test_every_label_of_every_data_set_is_of_one_class():
    labels = [label for each in LABEL_MAP.values() for label in each]
    diagnosed = [sheet for name, sheet in SHEETS.items() if name != "mobileodt"]
    assert len(labels) == len(set(labels)) == sum(len(sheet.classes) for sheet in diagnosed)
    assert {"NILM", "Metaplastic", "normal_columnar", "cin1", "negative"} <= set(LABEL_MAP["negative"])
    assert {"ASC-US", "Koilocytotic", "light_dysplastic", "cin2_3", "suspicious"} <= set(LABEL_MAP["positive"])


def test_a_network_is_same_kind_images_of_its_own_kind_alone():
    assert same_kind(PUBLIC, Row("herlev")) == ["sipakmed", "herlev", "cric_crops"]
    assert same_kind(PUBLIC, Row("iarc_via")) == ["iarc_colposcopy", "iarc_via"]
    assert same_kind(DEMO, Row("sipakmed")) == ["sipakmed", "cric_crops"]
    assert len(every_row(PUBLIC)) == 15 and len(every_row(replace(PUBLIC, normalization=False))) == 10
    assert len(every_row(DEMO)) == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_sets": ("herlev", "cric_crops")}, "--main sipakmed: is not among --data-sets"),
        ({"data_sets": ("sipakmed", "herlev", "iarc_via")}, "nothing to test iarc_via on; add one of iarc_colposcopy"),
        ({"synthetic_cells": 10}, "are drawn in two layouts alone; give --data-sets sipakmed cric_crops"),
        ({"local_cases": 21}, "must be even"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(changes, words):
    with pytest.raises(InputError, match=words):
        ranges.check(replace(PUBLIC, **changes))


def listed(of_site, groups=lambda site, at: f"{site} {at // 4}"):
    """Manifest rows without files, labels by turns; `of_site` is data set -> images."""
    records = [
        {"path": f"{site}/{at}.png", "label": CLASSES[at % 2], "group": groups(site, at), "site": site}
        for site, count in of_site.items()
        for at in range(count)
    ]
    return manifest.from_records(records, ".")


def test_each_data_set_is_split_on_its_own_and_no_group_is_in_two_splits():
    parts = data.split(listed({"sipakmed": 400, "cric_crops": 200}), DEMO)
    assert {name: sum(map(len, each.values())) for name, each in parts.items()} == {"sipakmed": 400, "cric_crops": 200}
    for each in parts.values():
        homes = pd.concat([groups_of(part.rows).drop_duplicates() for part in each.values()])
        assert not homes.duplicated().any()
    assert len(parts["sipakmed"]["test"]) == pytest.approx(120, abs=8)


def test_what_resembles_a_test_image_of_another_data_set_is_not_trained_on():
    # Every second group is of both data sets, as a photograph that two banks hold would be.
    both = listed({"sipakmed": 400, "cric_crops": 240}, lambda site, at: f"{site if at // 4 % 2 else 'both'} {at // 4}")
    parts = data.split(both, DEMO)
    tested = {group for each in parts.values() for group in each["test"].rows["group"]}
    for each in parts.values():
        for name in ("train", "validation"):
            assert not tested & set(each[name].rows["group"])
    assert sum(len(part) for each in parts.values() for part in each.values()) < 640


def test_local_cases_are_of_no_group_that_the_network_was_trained_or_chosen_on():
    both = listed({"sipakmed": 400, "cric_crops": 240}, lambda site, at: f"{site if at // 4 % 2 else 'both'} {at // 4}")
    parts = data.split(both, DEMO)
    own, other = parts["sipakmed"], parts["cric_crops"]
    known = {group for part in ("train", "validation") for group in own[part].rows["group"]}
    assert known & {group for part in ("train", "validation") for group in other[part].rows["group"]}
    pooled = set(data.local_pool(other, own).rows["group"])
    assert pooled and not pooled & (known | set(other["test"].rows["group"]))


def test_a_large_training_split_loses_whole_groups_at_random_by_the_seed():
    whole = listed({"sipakmed": 400})
    kept = data.subsample(whole, 101, seed=1)
    assert len(kept) == 100 and set(kept.rows["group"].value_counts()) == {4}
    assert set(kept.rows["group"]) != set(data.subsample(whole, 101, seed=2).rows["group"])
    assert kept.rows.equals(data.subsample(whole, 101, seed=1).rows)
    assert len(data.subsample(whole, 400, seed=1)) == 400


def test_a_missing_folder_is_named_with_the_way_to_do_without_it(tmp_path):
    (tmp_path / "sipakmed").mkdir()
    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    config = replace(PUBLIC, data=Source(root=tmp_path), data_sets=("sipakmed", "herlev"))
    with pytest.raises(InputError, match=r"has no folder herlev; put each data set into a folder of its name$"):
        data.read(config, out)
    for name in ("iarc_colposcopy", "iarc_via"):
        (tmp_path / name).mkdir()
    remedy = r"or leave it out: --data-sets iarc_colposcopy iarc_via --main iarc_colposcopy$"
    with pytest.raises(InputError, match=remedy):
        data.read(replace(PUBLIC, data=Source(root=tmp_path)), out)


def test_a_manifest_whose_rows_name_no_data_set_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("path,label,site\na.png,NILM,\nb.png,HSIL,somewhere\n")
    out = RunDir(tmp_path / "run")
    with pytest.raises(InputError, match=r"a.png: site '' is not one of the data sets sipakmed.* \(2 such rows\)"):
        data.read(replace(PUBLIC, data=Source(manifest=tmp_path / "m.csv")), out)


def test_the_distance_is_the_papers_formula_with_the_root_of_a_product_of_covariances():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)), rng.normal(0.3, 2, (200, 6))
    first, second = np.cov(one.T), np.cov(two.T)
    apart = one.mean(0) - two.mean(0)
    expected = apart @ apart + np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second).real)
    assert distance.frechet(one, two) == pytest.approx(expected, rel=1e-9)
    assert distance.frechet(two, one) == pytest.approx(expected, rel=1e-9)


def test_the_distance_by_hand_of_one_feature_is_that_of_means_and_deviations():
    one, two = np.array([[0.0], [2.0]]), np.array([[3.0], [11.0]])  # means 1 and 7, deviations sqrt(2) and 4 sqrt(2)
    assert distance.frechet(one, two) == pytest.approx(36 + (3 * np.sqrt(2)) ** 2)


def test_equal_sets_have_no_distance_and_more_features_than_images_are_no_hindrance():
    few = np.random.default_rng(1).normal(size=(20, 100))
    assert distance.frechet(few, few) == pytest.approx(0, abs=1e-9)
    assert distance.frechet(few, few + 2) == pytest.approx(400)  # a shift of 2 in each of 100 features


def lab(image):
    return cv2.cvtColor(np.float32(image) / 255, cv2.COLOR_RGB2LAB)


def cells(count=3, size=24):
    """Smooth pictures of middling colors, (count, size, size, 3) uint8."""
    coarse = np.random.default_rng(0).integers(90, 170, (count, 4, 4, 3)).astype(np.uint8)
    return np.stack([cv2.resize(each, (size, size), interpolation=cv2.INTER_CUBIC) for each in coarse])


def test_normalized_images_have_the_reference_colors():
    to = Reference(np.array([60.0, 10.0, -8.0]), np.array([6.0, 3.0, 4.0]))
    for image in normalization.reinhard(cells().astype(np.float32), to):
        np.testing.assert_allclose(lab(image).mean((0, 1)), to.mean, atol=0.2)
        np.testing.assert_allclose(lab(image).std((0, 1)), to.deviation, atol=0.2)


def gray_of(lightness):
    """The sRGB gray, in [0, 255], of a lightness L* above 8, by the formulas of CIE and IEC 61966-2-1."""
    linear = ((lightness + 16) / 116) ** 3
    return 255 * (1.055 * linear ** (1 / 2.4) - 0.055)


def test_normalization_by_hand_of_two_grays():
    # L* of 40 and 60 has the mean 50 and the deviation 10; with a mean of 70 and a deviation of 5 it is 65 and 75.
    grays = np.repeat(np.array([gray_of(40), gray_of(60)], np.float32), 3).reshape(1, 1, 2, 3)
    moved = normalization.reinhard(grays, Reference(np.array([70.0, 0, 0]), np.array([5.0, 1.0, 1.0])))
    np.testing.assert_allclose(moved[0, 0], [[gray_of(65)] * 3, [gray_of(75)] * 3], atol=0.5)  # of 255


def test_images_that_have_the_reference_colors_stay_and_one_of_one_color_moves_as_a_whole():
    image = cells(1)
    mean, deviation = (each[0] for each in normalization.colors(image))
    assert np.abs(normalization.reinhard(image, Reference(mean, deviation)).astype(int) - image).max() <= 1
    flat = np.full((1, 8, 8, 3), 90, np.uint8)
    (moved,) = normalization.reinhard(flat, Reference(np.array([70.0, 0, 0]), deviation))
    assert np.unique(moved.reshape(-1, 3), axis=0).shape == (1, 3)
    assert lab(moved)[0, 0, 0] == pytest.approx(70, abs=0.5)


def test_batches_are_normalized_in_the_type_that_they_have():
    to = Reference(np.array([60.0, 10.0, -8.0]), np.array([6.0, 3.0, 4.0]))
    for pixels in (cells(), cells().astype(np.float32)):
        batches = tf.data.Dataset.from_tensor_slices((pixels, np.arange(3))).batch(2)
        found = list(normalization.of_batches(batches, to))
        assert [each.shape[0] for each, _ in found] == [2, 1]
        np.testing.assert_array_equal(np.concatenate([each for each, _ in found]), normalization.reinhard(pixels, to))
        assert found[0][0].dtype == pixels.dtype
    mean = normalization.colors(cells())[0].mean(axis=0)
    np.testing.assert_allclose(normalization.reference(batches).mean, mean, rtol=1e-5)


def test_the_drop_is_paired_by_case_and_in_balanced_accuracy():
    truth = [True] * 10 + [False] * 40
    good = said([0.9] * 9 + [0.1] + [0.1] * 36 + [0.9] * 4, truth)  # (90 % + 90 %) / 2
    bad = said([0.9] * 5 + [0.1] * 5 + [0.1] * 40, truth)  # (50 % + 100 %) / 2
    found = transfer.difference(good, bad.of(reversed(bad.table["id"])), seed=0)
    assert found.value == pytest.approx(0.9 - 0.75)
    assert found.low < 0.15 < found.high and found.method.startswith("paired, bootstrap 95%")
    same = transfer.difference(good, good, seed=0)
    assert same.value == 0 and same.low is None


def test_resamples_without_a_class_say_nothing_of_balanced_accuracy():
    truth = [True] * 3 + [False] * 37
    blind, perfect = said([0.1] * 36 + [0.9] * 4, truth), said(np.where(truth, 0.9, 0.1).tolist(), truth)
    (found, _) = transfer._measured([blind], seed=0).values()
    assert found.high < 0.5 and "undefined, left out" in found.method  # without positives it would be 33 of 37
    apart = transfer.difference(perfect, said([0.1] * 40, truth), seed=0)
    assert apart.value == 0.5 and "the same in over 95%" in apart.method


def pool(count=200, groups=lambda at: f"local {at}", seed=3):
    """Local cases whose score ranks them well but is too low: one half misses most positives."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2 == 1
    odds = np.where(truth, -2.0, -5.0) + rng.normal(0, 1.2, count)
    return said(1 / (1 + np.exp(-odds)), truth, [groups(at) for at in range(count)])


def test_local_cases_are_half_positive_and_of_different_groups():
    several = pool(groups=lambda at: f"woman {at // 4}")
    chosen = transfer.local_cases(several, 20, np.random.default_rng(0))
    assert len(chosen) == 20 and (chosen.labels == 1).sum() == 10 and len(set(chosen.groups)) == 20
    other = transfer.local_cases(several, 20, np.random.default_rng(1))
    assert set(other.table["id"]) != set(chosen.table["id"])
    assert transfer.local_cases(pool(count=18), 20, np.random.default_rng(0)) is None


def test_recalibration_on_a_few_cases_mends_a_threshold_that_does_not_fit():
    test = pool(400, lambda at: f"test {at // 2}", seed=4)
    found = transfer.recalibrated(test, pool(), cases=20, draws=10, seed=0)
    before, after = found["balanced_accuracy"]
    assert before.value < 0.6 and after.value > 0.8
    assert after.low < after.value < after.high
    assert "200 groups" in after.method and "mean over 10 draws of 20 local cases" in after.method
    # Between the means 3, within a deviation of 1.2: the slope of the log-odds is 3 / 1.2^2, above 1.
    assert found["slope"][0].value == pytest.approx(3 / 1.2**2, rel=0.25)


def test_recalibration_never_sees_a_test_group():
    test = pool(40, lambda at: f"test {at}")
    with pytest.raises(ValueError, match="1 groups are in the pool of local cases and among the test cases"):
        transfer.recalibrated(
            test, pool(groups=lambda at: f"local {at}" if at else "test 3"), cases=20, draws=2, seed=0
        )


def test_too_few_local_cases_leave_the_recalibrated_number_undefined():
    found = transfer.recalibrated(pool(40, lambda at: f"test {at}"), pool(10), cases=20, draws=2, seed=0)
    assert found["balanced_accuracy"][1].value is None
    assert "fewer than 10 local cases" in found["balanced_accuracy"][1].method


def test_a_network_that_is_no_better_than_chance_is_left_as_it_is_and_the_method_says_so():
    rng = np.random.default_rng(0)
    blind = said(rng.uniform(0.2, 0.8, 100), np.arange(100) % 2 == 0, [f"local {at}" for at in range(100)])
    test = replace(blind, table=blind.table.assign(group=[f"test {at}" for at in range(100)]))
    _, after = transfer.recalibrated(test, blind, cases=20, draws=20, seed=0)["balanced_accuracy"]
    assert "of which say nothing (model left as it is)" in after.method
    assert 0.35 < after.value < 0.65


def test_the_row_of_a_run_names_its_colors():
    assert Row("herlev").name == "herlev" and Row("herlev", "reinhard").name == "herlev-reinhard"


def test_women_that_both_banks_of_photographs_show_are_one_group(real_data, tmp_path):
    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    banks = ("iarc_colposcopy", "iarc_via")
    found = data.read(replace(PUBLIC, data=Source(root=real_data), data_sets=banks), out)
    group_of = found.rows.set_index("case")["group"].to_dict()
    assert group_of["iarc_colposcopy/Case 165"] == group_of["iarc_via/Case 184"]
    assert group_of["iarc_colposcopy/Case 167"] == group_of["iarc_via/Case 185"]
    several = found.rows.groupby("group")["site"].nunique()
    assert (several > 1).sum() == 2
    assert set(found.rows["view"].str.split("_").str[0]) == {"acetic"}
