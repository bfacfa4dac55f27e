"""The study's parts: whose labels are used, what is learned from, both probes, pooled intervals, by hand arithmetic."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cervix_tf import ranges
from cervix_tf.config import Source
from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.metrics.embeddings import COLUMNS, Embeddings
from cervix_tf.run_dir import RunDir
from experiments.label_efficiency import data, measures, probes
from experiments.label_efficiency.config import DEMO, PUBLIC, SHEETS, Row, every_row, row_of

CLASSES = SHEETS["mobileodt"].classes
MOBILEODT = replace(PUBLIC, data_sets=("mobileodt",))


def listed(count=900, size=3, unlabeled=()):
    """Manifest rows without files, groups of `size` images, uneven classes; `unlabeled` are groups of more images."""
    of_group = [CLASSES[0 if at % 6 == 0 else 1 if at % 6 < 4 else 2] for at in range(count // size)]
    records = [
        {
            "path": f"{at}.jpg",
            "label": of_group[at // size],
            "group": f"g{at // size}",
            "site": "mobileodt",
        }
        for at in range(count)
    ]
    more = [{"path": f"u{at}.jpg", "group": group, "site": "mobileodt"} for at, group in enumerate(unlabeled)]
    return manifest.from_records([*records, *more], ".")


def test_each_share_of_the_labels_has_whole_groups_and_lies_within_the_next():
    train = listed()
    found = data.labeled(train, MOBILEODT, draw=0)
    assert list(found) == [5, 10, 25, 50, 100]
    paths = [set(part.rows["path"]) for part in found.values()]
    assert all(one < two for one, two in itertools.pairwise(paths))
    assert paths[-1] == set(train.rows["path"])
    for share, part in found.items():
        assert set(part.rows["group"].value_counts()) == {3}
        assert len(part) == pytest.approx(9 * share, abs=9)
        assert part.rows["label"].value_counts()[CLASSES[1]] == pytest.approx(4.5 * share, abs=6)


def test_a_draw_of_labels_depends_on_its_seed_alone():
    def drawn(draw):
        return set(data.labeled(listed(), MOBILEODT, draw)[10].rows["path"])

    assert drawn(0) == drawn(0) != drawn(1)


def test_an_image_without_a_label_is_in_no_share():
    assert (data.labeled(listed(unlabeled=["x"]), MOBILEODT, 0)[100].rows["label"] != "").all()


def test_a_share_that_lacks_a_class_is_refused():
    with pytest.raises(InputError, match=r"split 5 % of the labels \(\d+ images\) has no Type_"):
        data.labeled(listed(30), MOBILEODT, draw=0)


@pytest.mark.parametrize(("size", "said"), [(3, r"6 groups, at most 9 images"), (1, r"16 groups, at most 8 images")])
def test_a_share_with_fewer_labels_than_folds_is_refused_with_both_numbers(size, said):
    train = listed(300, size=size)
    with pytest.raises(
        InputError, match=rf"5 % of the labels \(seed 0\): {said} of a class, which cannot be divided into"
    ):
        data.labeled(train, replace(MOBILEODT, folds=20), draw=0)


def test_images_without_a_label_are_learned_from_unless_they_resemble_a_test_image():
    groups = [f"g{at}" for at in range(300)]
    parts = data.split(listed(unlabeled=[*groups, "alone"]), MOBILEODT)["mobileodt"]
    tested, learned = set(parts["test"].rows["group"]), set(parts["train"].rows["group"])
    assert tested and not tested & learned and "alone" in learned
    assert (parts["test"].rows["label"] != "").all()
    assert (parts["train"].rows["label"] == "").sum() == 301 - len(tested)
    assert len(parts["test"]) == pytest.approx(270, abs=9)


def test_a_data_set_that_is_not_asked_for_is_refused_with_its_name(tmp_path):
    (tmp_path / "m.csv").write_text("path,label,site\na.png,Type_1,mobileodt\nb.png,NILM,cric\n")
    config = replace(MOBILEODT, data=Source(manifest=tmp_path / "m.csv"))
    with pytest.raises(InputError, match=r"b.png: site 'cric' is not one of the data sets mobileodt"):
        data.read(config, RunDir(tmp_path / "run"))


def test_a_label_of_another_data_set_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("path,label,site\na.png,Type_1,mobileodt\nb.png,Parabasal,mobileodt\n")
    config = replace(MOBILEODT, data=Source(manifest=tmp_path / "m.csv"))
    with pytest.raises(InputError, match=r"b.png: label 'Parabasal' is not among the classes Type_1"):
        data.read(config, RunDir(tmp_path / "run"))


def test_a_missing_folder_is_named_with_those_that_are_there(tmp_path):
    config = replace(MOBILEODT, data=Source(root=tmp_path))
    with pytest.raises(InputError, match=r"has no folder mobileodt; put each data set into a folder of its name$"):
        data.read(config, RunDir(tmp_path / "run"))
    (tmp_path / "sipakmed").mkdir()
    config = replace(config, data_sets=("sipakmed", "mobileodt"))
    with pytest.raises(InputError, match=r"no folder mobileodt; .*, or leave it out: --data-sets sipakmed$"):
        data.read(config, RunDir(tmp_path / "run"))


def known(values, labels, groups=None):
    """Embeddings of labeled images."""
    ids = [f"{at}.png" for at in range(len(labels))]
    table = pd.DataFrame(dict.fromkeys(COLUMNS, ""), index=range(len(ids)), dtype=object)
    table = table.assign(id=ids, label=[CLASSES[each] for each in labels], group=groups or "", age=np.nan)
    return Embeddings(table, np.asarray(values, np.float32), CLASSES)


def test_a_neighbors_vote_counts_by_its_similarity_by_hand():
    # Cosines 1, 0.6 and 0 with a test image along x, whatever its length: at 0.1 exp(10), exp(6) and 1.
    bank = known([[1, 0], [3, 4], [0, 2]], [0, 1, 2])
    votes = np.exp([10.0, 6.0, 0.0])
    (all_three,) = probes.nearest(bank, np.array([[5, 0]], np.float32), neighbors=200, temperature=0.1)
    np.testing.assert_allclose(all_three, votes / votes.sum(), rtol=1e-5)
    (two,) = probes.nearest(bank, np.array([[5, 0]], np.float32), neighbors=2, temperature=0.1)
    np.testing.assert_allclose(two, [*votes[:2] / votes[:2].sum(), 0], rtol=1e-5)


def test_a_class_with_more_labels_does_not_outvote_a_nearer_one_with_fewer():
    bank = known([[1, 0], [3, 4], [3, -4]], [0, 1, 1])
    test = np.array([[1, 0]], np.float32)
    assert probes.nearest(bank, test, neighbors=3, temperature=0.1)[0].argmax() == 0
    warm = np.exp([0.1, 0.06, 0.06])  # the cosines over 10, the two of class 1 each half as much
    (found,) = probes.nearest(bank, test, neighbors=3, temperature=10.0)
    np.testing.assert_allclose(found, warm[:2] / warm[:2].sum(), rtol=1e-5)


def test_the_linear_evaluation_takes_the_regularization_that_is_best_between_groups():
    # Three features tell the class, weakly; forty tell the group, strongly, and are of no use for other groups.
    rng = np.random.default_rng(0)
    group, test_labels = np.repeat(np.arange(60), 8), np.arange(300) % 3
    labels = group % 3
    values = np.concatenate([np.eye(3)[labels] + rng.normal(0, 0.6, (480, 3)), rng.normal(0, 1, (60, 40))[group]], 1)
    test = np.concatenate([np.eye(3)[test_labels] + rng.normal(0, 0.6, (300, 3)), rng.normal(0, 1, (300, 40))], 1)
    names = [f"g{each}" for each in group]

    def right(regularization, groups):
        said = probes.linear(known(values, labels, groups), np.float32(test), regularization, 3, seed=0)
        return (said.argmax(axis=1) == test_labels).mean()

    weak, strong = right((100.0,), names), right((0.01,), names)
    assert strong > weak + 0.05
    assert right((100.0, 0.01), names) == strong
    assert right((100.0, 0.01), None) == weak  # were every image a group of its own


def test_a_rare_class_is_found_as_often_as_the_others():
    # One feature, classes a deviation apart, twenty times as many of class 1: unweighted, nearly all are called that.
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [20, 400, 20])
    bank = known(rng.normal(labels[:, None], 0.7), labels)
    test_labels = np.repeat([0, 1, 2], 200)
    test = np.float32(rng.normal(test_labels[:, None], 0.7))
    decided = probes.linear(bank, test, (1.0,), 3, seed=0).argmax(axis=1)
    assert all((decided == each)[test_labels == each].mean() > 0.4 for each in range(3))


def said(decided, truth, groups):
    """Predictions that decide so."""
    return predictions.from_arrays(
        [f"{at}.png" for at in range(len(truth))],
        np.eye(3)[list(decided)],
        CLASSES,
        labels=[CLASSES[each] for each in truth],
        groups=groups,
    )


TRUTH = [0, 1, 2, 1] * 15
GROUPS = [f"g{at // 2}" for at in range(60)]
RIGHT, WRONG = TRUTH, [(each + 1) % 3 for each in TRUTH]


def test_a_pooled_score_is_the_mean_over_the_draws():
    two_thirds = [*RIGHT[:40], *WRONG[40:]]
    found = measures.pooled([said(each, TRUTH, GROUPS) for each in (RIGHT, WRONG, two_thirds)], seed=0)
    assert found["accuracy"].value == pytest.approx((1 + 0 + 2 / 3) / 3)
    interval = found["accuracy"].interval()
    assert interval.n == 60 and "mean over 3 seeds" in interval.method and "30 groups" in interval.method


def test_balanced_accuracy_counts_every_class_alike():
    one_class = said([1] * 60, TRUTH, GROUPS)  # right of half of the images, of one class of three
    found = measures.pooled([one_class, one_class], seed=0)
    assert found["accuracy"].value == pytest.approx(1 / 2)
    assert found["balanced_accuracy"].value == pytest.approx(1 / 3)


def test_resamples_without_a_class_say_nothing_of_balanced_accuracy():
    truth = [0] * 57 + [1, 1, 2]  # a resample without class 2 would have two thirds
    found = measures.pooled([said(truth, truth, [str(at) for at in range(60)])], seed=0)["balanced_accuracy"]
    assert np.isnan(found.resampled).mean() > 0.3 and set(found.resampled[~np.isnan(found.resampled)]) == {1}
    assert not np.isnan(measures.pooled([said(RIGHT, TRUTH, GROUPS)], seed=0)["accuracy"].resampled).any()


def test_the_interval_holds_the_draws_too():
    # Each draw alone has no spread over test groups; between them there is all of it.
    found = measures.pooled([said(RIGHT, TRUTH, GROUPS), said(WRONG, TRUTH, GROUPS)], seed=0)["accuracy"].interval()
    assert (found.low, found.value, found.high) == (0, 0.5, 1)


def test_the_interval_of_equal_draws_is_that_of_whole_test_groups():
    # Every group is all right or all wrong: 20 of 30 right, as of 30 independent ones, not 60.
    one = said([*RIGHT[:40], *WRONG[40:]], TRUTH, GROUPS)
    found = measures.pooled([one, one, one], seed=0)["accuracy"]
    assert np.std(found.resampled) == pytest.approx(np.sqrt(2 / 3 * 1 / 3 / 30), rel=0.05)


def test_a_difference_is_paired_by_image_and_by_seed():
    half, less = [*RIGHT[:30], *WRONG[30:]], [*RIGHT[:24], *WRONG[24:]]
    one = measures.pooled([said(each, TRUTH, GROUPS) for each in (half, RIGHT)], seed=0)["accuracy"]
    other = measures.pooled([said(each, TRUTH, GROUPS) for each in (less, RIGHT)], seed=0)["accuracy"]
    found = measures.difference(one, other)
    assert found.value == pytest.approx(0.05) and found.method.startswith("paired by image and seed")
    # Where they differ the first one is right, so that no resample has it below; unpaired, a third would.
    assert found.low == 0 and 0.05 < found.high < 0.2
    same = measures.difference(one, one)
    assert same.value == 0 and same.low is None


def test_images_in_another_order_are_matched_by_their_id():
    one = said([*RIGHT[:40], *WRONG[40:]], TRUTH, GROUPS)
    turned = one.of(reversed(one.table["id"]))
    straight = measures.pooled([one, one], seed=0)["accuracy"].resampled
    np.testing.assert_array_equal(measures.pooled([one, turned], seed=0)["accuracy"].resampled, straight)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shares": (10, 5)}, "--shares 10 5: must rise|--shares .* must rise: each share lies within the next"),
        ({"weights": "random"}, "has no ImageNet weights to start from with --weights random; give --start random"),
        ({"synthetic_cells": 10}, "are drawn in one layout alone; give --data-sets sipakmed"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(changes, words):
    with pytest.raises(InputError, match=words):
        ranges.check(replace(PUBLIC, **changes))


def test_rows_without_training_come_first_and_imagenet_is_one_network_for_all_draws():
    names = list(every_row(PUBLIC))
    assert names[:4] == ["sipakmed-random-0", "sipakmed-random-1", "sipakmed-random-2", "mobileodt-random-0"]
    assert names[6:9] == ["sipakmed-imagenet", "mobileodt-imagenet", "sipakmed-simclr-0"]
    assert len(names) == 20 and names[-1] == "mobileodt-federated-2"
    assert row_of("sipakmed", "imagenet", 2) == Row("sipakmed", "imagenet", None)
    assert Row("sipakmed", "imagenet", None).draws(PUBLIC) == (0, 1, 2)
    assert Row("sipakmed", "simclr", 2).draws(PUBLIC) == (2,)
    assert not [name for name in every_row(DEMO) if "imagenet" in name]


def test_a_federation_makes_as_many_passes_as_learning_in_one_place():
    assert PUBLIC.policy.rounds * PUBLIC.policy.local_epochs == PUBLIC.optimizer.epochs
