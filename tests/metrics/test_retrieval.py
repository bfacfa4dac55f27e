"""K-precision, N-precision and kNN accuracy against their definitions, one image at a time."""

import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.neighbors import KNeighborsClassifier

from cervix_tf.errors import InputError
from cervix_tf.metrics import retrieval
from cervix_tf.metrics.embeddings import COLUMNS, Embeddings

CLASSES = ("control", "case", "unsure")


def embedded(values, labels, groups=None, classes=CLASSES):
    table = pd.DataFrame(
        {name: [""] * len(labels) for name in COLUMNS}
        | {
            "id": [f"{at}.png" for at in range(len(labels))],
            "label": ["" if label < 0 else classes[label] for label in labels],
            "group": groups if groups is not None else [f"g{at}" for at in range(len(labels))],
        }
    )
    return Embeddings(table, np.asarray(values, np.float32), classes)


@st.composite
def parts(draw):
    """Random training and tested images of two or three classes, every class in training."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes, features = draw(st.integers(2, 3)), draw(st.integers(2, 6))
    train = np.concatenate([np.arange(classes), rng.integers(0, classes, draw(st.integers(3, 20)))])
    tested = rng.integers(0, classes, draw(st.integers(1, 10)))
    return (
        embedded(rng.normal(size=(len(train), features)), train),
        embedded(rng.normal(size=(len(tested), features)), tested),
    )


@hypothesis.given(parts())
@hypothesis.settings(max_examples=60)
def test_precisions_are_their_definitions(both):
    train, tested = both
    found = retrieval.retrieve(train, tested)
    for at, (value, label) in enumerate(zip(tested.values, tested.labels, strict=True)):
        distances = [(float(np.linalg.norm(np.float64(value) - other)), k) for k, other in enumerate(train.values)]
        ranked = [train.labels[k] for _, k in sorted(distances)]
        for k in retrieval.NEIGHBORS:
            same = [neighbor for neighbor in ranked[:k] if neighbor == label]
            assert found.k_precision(k)[at] == pytest.approx(len(same) / k)
        population = int((train.labels == label).sum())
        same = [neighbor for neighbor in ranked[:population] if neighbor == label]
        assert found.n_precision[at] == pytest.approx(len(same) / population)


@hypothesis.given(parts())
@hypothesis.settings(max_examples=30)
def test_decisions_are_those_of_scikit_learn(both):
    train, tested = both
    found = retrieval.retrieve(train, tested)
    for k in retrieval.NEIGHBORS:
        theirs = KNeighborsClassifier(k, algorithm="brute").fit(train.values, train.labels).predict(tested.values)
        np.testing.assert_array_equal(found.decisions(k), theirs)


def test_a_perfect_embedding_has_precision_1_everywhere():
    labels = np.repeat([0, 1, 2], [30, 6, 9])
    values = np.eye(3)[labels] + np.random.default_rng(0).normal(0, 0.01, (45, 3))
    measured = retrieval.summary(embedded(values, labels), embedded(values[::-1] * 1.01, labels[::-1]))
    means = [*measured["mean_k_precision"].values(), *measured["n_precision"].values(), measured["mean_n_precision"]]
    assert [mean["value"] for mean in means] == [1.0] * 7
    assert all(of["value"] == 1.0 for k in measured["class_accuracy"].values() for of in k.values())


def test_a_random_embedding_has_the_class_shares():
    rng = np.random.default_rng(0)
    train, tested = rng.permutation(np.repeat([0, 1, 2], [600, 300, 100])), np.repeat([0, 1, 2], 1000)
    found = retrieval.retrieve(
        embedded(rng.normal(size=(1000, 8)), train), embedded(rng.normal(size=(3000, 8)), tested), (1, 5)
    )
    for label, share in enumerate([0.6, 0.3, 0.1]):
        for values in (found.k_precision(1), found.k_precision(5), found.n_precision):
            assert values[tested == label].mean() == pytest.approx(share, abs=0.05)


def test_hand_arithmetic_on_a_line():
    # Training: controls at 0 and 1, cases at 2, 3 and 10. The tested case at 2.4 sees 2, 3, 1, 0, 10.
    train = embedded([[0], [1], [2], [3], [10]], [0, 0, 1, 1, 1])
    found = retrieval.retrieve(train, embedded([[2.4], [0.9]], [1, 0]))
    assert list(found.nearest[0]) == [1, 1, 0, 0, 1]
    assert [found.k_precision(k)[0] for k in (1, 3, 5)] == pytest.approx([1, 2 / 3, 3 / 5])
    assert found.n_precision == pytest.approx([2 / 3, 1])  # the case's three nearest; the control's two nearest


def test_every_measure_travels_with_n_interval_and_method():
    rng = np.random.default_rng(1)
    train, tested = rng.integers(0, 2, 60), rng.integers(0, 2, 50)
    near = embedded(rng.normal(size=(60, 4)) + train[:, None], train)
    alone = embedded(rng.normal(size=(50, 4)) + tested[:, None], tested)
    measured = retrieval.summary(near, alone, resamples=400)
    json.dumps(measured)
    accuracy = measured["class_accuracy"]["3"]["case"]
    cases = int((tested == 1).sum())
    hits = round(accuracy["value"] * cases)
    exact = binomtest(hits, cases).proportion_ci(method="exact")
    assert (accuracy["n"], accuracy["method"]) == (cases, "Clopper-Pearson 95%")
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((exact.low, exact.high))
    for mean in (measured["mean_k_precision"]["3"], measured["mean_n_precision"], measured["n_precision"]["case"]):
        assert mean["low"] < mean["value"] < mean["high"] and mean["method"].startswith("bootstrap 95%")
    both = [measured["class_accuracy"]["5"][name]["value"] for name in ("control", "case")]
    assert measured["mean_class_accuracy"]["5"]["value"] == pytest.approx(np.mean(both))
    assert measured["mean_k_precision"]["1"]["value"] == pytest.approx(
        np.mean(retrieval.retrieve(near, alone).k_precision(1))
    )


def test_images_of_one_group_are_resampled_together():
    rng = np.random.default_rng(2)
    labels = np.repeat(rng.integers(0, 2, 30), 5)
    shift = np.repeat(rng.normal(size=30), 5)[:, None] + labels[:, None]
    tested = embedded(np.hstack([shift, 0 * shift]), labels, [f"w{at // 5}" for at in range(150)])
    train = embedded(rng.normal(size=(40, 2)) + (np.arange(40) % 2)[:, None], np.arange(40) % 2)
    whole = retrieval.summary(train, tested, resamples=400)
    apart = retrieval.summary(train, embedded(tested.values, labels), resamples=400)

    def width(measured, *path):
        for key in path:
            measured = measured[key]
        return measured["high"] - measured["low"]

    for path in (("mean_k_precision", "3"), ("class_accuracy", "1", "case"), ("mean_n_precision",)):
        assert width(whole, *path) > 1.4 * width(apart, *path)
    assert "cluster bootstrap" in whole["class_accuracy"]["1"]["case"]["method"]


def test_shares_of_groups_that_hardly_differ_are_no_narrower_than_those_of_independent_images():
    near = np.r_[np.tile(np.arange(8) < 6, 19), np.arange(8) < 7]  # 20 women, 121 of 160 images near a case
    tested = embedded(near[:, None], np.ones(160, int), [f"w{at // 8}" for at in range(160)])
    found = retrieval.summary(embedded([[0], [1]], [0, 1]), tested, (1,))
    accuracy, precision = found["class_accuracy"]["1"]["case"], found["mean_k_precision"]["1"]
    exact, score = (binomtest(121, 160).proportion_ci(method=each) for each in ("exact", "wilson"))
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((exact.low, exact.high))
    assert (precision["low"], precision["high"]) == pytest.approx((score.low, score.high))
    assert all(each["method"].endswith("at least that of independent rows") for each in (accuracy, precision))


def test_unlabeled_images_neither_teach_nor_count():
    rng = np.random.default_rng(3)
    train, tested = np.array([0, 1, -1, 0, 1, 1]), np.array([1, -1, 0])
    values, seen = rng.normal(size=(6, 2)), rng.normal(size=(3, 2))
    found = retrieval.retrieve(embedded(values, train), embedded(seen, tested))
    alone = retrieval.retrieve(embedded(values[train >= 0], train[train >= 0]), embedded(seen[[0, 2]], tested[[0, 2]]))
    np.testing.assert_array_equal(found.nearest, alone.nearest)
    np.testing.assert_array_equal(found.n_precision, alone.n_precision)


def test_k_is_the_smallest_with_the_best_mean_of_class_accuracies():
    # The case at 0 lies in a crowd of controls: 1-NN gets the tested control beside it wrong, 3-NN and 5-NN do not.
    train = embedded([[0], [0.2], [-0.2], [0.3], [5], [5.2], [5.4]], [1, 0, 0, 0, 1, 1, 1])
    validation = embedded([[0.01], [5.1], [5.3]], [0, 1, 1])
    assert retrieval.choose_k(train, validation) == 3
    assert retrieval.choose_k(train, validation, (5, 3)) == 3
    assert retrieval.choose_k(train, embedded([[0.19], [5.1]], [0, 1])) == 1


def test_what_cannot_be_measured_is_refused():
    train = embedded(np.zeros((4, 2)), [0, 0, 1, 1])
    with pytest.raises(InputError, match="K = 1, 3, 5 of 4 training images"):
        retrieval.retrieve(train, train)
    with pytest.raises(InputError, match="no training image of unsure"):
        retrieval.retrieve(train, embedded(np.zeros((2, 2)), [0, 2]), (1,))
    with pytest.raises(InputError, match="none of the 2 tested images has a label"):
        retrieval.retrieve(train, embedded(np.zeros((2, 2)), [-1, -1]), (1,))
    with pytest.raises(InputError, match="classes"):
        retrieval.retrieve(train, embedded(np.zeros((2, 2)), [0, 1], classes=("a", "b")), (1,))


def test_distances_held_a_few_at_a_time_change_nothing(monkeypatch):
    rng = np.random.default_rng(4)
    train, tested = (embedded(rng.normal(size=(n, 3)), np.arange(n) % 3) for n in (40, 200))
    whole = retrieval.retrieve(train, tested)
    monkeypatch.setattr(retrieval, "_DISTANCES", 0.002)  # 6 tested images
    parts = retrieval.retrieve(train, tested)
    np.testing.assert_array_equal(parts.nearest, whole.nearest)
    np.testing.assert_array_equal(parts.n_precision, whole.n_precision)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_that_are_no_numbers_are_refused_with_the_image_and_a_remedy(value):
    with pytest.raises(
        InputError, match=r"1 of 3 images hold NaN or infinite values \(the first: 1\.png\).*lower learning"
    ):
        embedded([[0, 1], [0, value], [1, 0]], [0, 1, 0])


def test_at_most_so_many_embeddings_are_drawn_and_keep_their_order():
    whole = embedded(np.arange(20).reshape(10, 2), [0, 1] * 5)
    some = whole.at_most(4, seed=0)
    at = some.values[:, 0] // 2
    assert len(some) == 4 and (np.diff(at) > 0).all()
    assert list(some.table["label"]) == [whole.table["label"][int(each)] for each in at]
    assert np.array_equal(whole.at_most(99, seed=0).values, whole.values)


def test_the_embeddings_of_some_images_come_in_the_order_that_they_are_asked_in():
    whole = embedded(np.arange(8).reshape(4, 2), [0, 1, 0, 1])
    ids = whole.table["id"].tolist()
    some = whole.of([ids[3], ids[1]])
    np.testing.assert_array_equal(some.values, [[6, 7], [2, 3]])
    assert some.table["id"].tolist() == [ids[3], ids[1]] and some.labels.tolist() == [1, 1]
    with pytest.raises(KeyError, match="not among the embeddings"):
        whole.of(["gone.png"])
