import math
import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn import calibration as sk_calibration
from sklearn import metrics as sk
from statsmodels.stats.inter_rater import cohens_kappa

from cervix_tf.errors import InputError
from cervix_tf.metrics import calibration, classification, confusion, predictions, roc

CLASSES = ("normal", "cin1", "cin2_3", "cancer")
POSITIVE = ("cin2_3", "cancer")


def random_predictions(seed, rows, classes=4, ties=False, groups=None, labels=None):
    """Predictions that are right more often than not; `ties` makes many equal scores."""
    generator = np.random.default_rng(seed)
    names = CLASSES[:classes]
    truth = generator.integers(0, classes, rows) if labels is None else np.asarray(labels)
    scores = generator.normal(size=(rows, classes))
    scores[np.arange(rows), truth] += 1
    scores = np.exp(scores.round() if ties else scores)
    return predictions.from_arrays(
        [f"{at}.jpg" for at in range(rows)],
        scores / scores.sum(1, keepdims=True),
        names,
        labels=[names[at] for at in truth],
        groups=groups,
    )


random_cases = st.builds(
    random_predictions,
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(2, 60),
    classes=st.integers(2, 4),
    ties=st.booleans(),
)


def same(found, expected):
    """Whether a metric's value is the expected number, or null where the number is not defined."""
    if found["value"] is None:
        return bool(np.isnan(expected)) and found["method"].startswith("undefined: ")
    return found["value"] == pytest.approx(expected, abs=1e-9)


@given(random_cases)
@settings(max_examples=500, deadline=None)
def test_every_metric_equals_scikit_learn_on_random_predictions(p):
    first = len(p.classes) // 2
    found = classification.summary(p, positive=p.classes[first:], resamples=2)
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        check_decisions(p, found)
        check_ranking(p, found)
        check_probabilities(p, found)
        check_binary(p, found["binary"]["metrics"], first)


def check_decisions(p, found):
    every = range(len(p.classes))
    truth, called = p.labels, p.decisions
    for average in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(truth, called, labels=every, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), expected[:3], strict=True):
            assert same(found["metrics"][f"{average}_{name}"], value)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, called, labels=every, zero_division=np.nan
    )
    for at, name in enumerate(p.classes):
        of_class = found["per_class"][name]
        assert same(of_class["sensitivity"], recall[at])
        assert same(of_class["precision"], precision[at])
        assert same(of_class["f1"], f1[at])
        assert of_class["sensitivity"]["n"] == support[at]
        others = truth != at
        assert same(of_class["specificity"], (called[others] != at).mean() if others.any() else math.nan)
    assert same(found["metrics"]["accuracy"], sk.accuracy_score(truth, called))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that do not occur
        assert same(found["metrics"]["balanced_accuracy"], sk.balanced_accuracy_score(truth, called))
        assert same(found["metrics"]["cohens_kappa"], sk.cohen_kappa_score(truth, called, labels=every))
        quadratic = sk.cohen_kappa_score(truth, called, labels=every, weights="quadratic")
    assert same(found["metrics"]["quadratic_kappa"], quadratic)
    assert found["confusion"] == sk.confusion_matrix(truth, called, labels=every).tolist()
    rates = recall
    harmonic = math.nan if np.isnan(rates).any() else 0.0 if 0 in rates else len(rates) / sum(1 / rates)
    assert same(found["metrics"]["harmonic_mean_tpr"], harmonic)


def check_ranking(p, found):
    one_versus_rest = np.eye(len(p.classes))[p.labels]
    areas, precisions = [], []
    for at, name in enumerate(p.classes):
        here, score = one_versus_rest[:, at], p.probabilities[:, at]
        both = 0 < here.sum() < len(here)
        areas.append(sk.roc_auc_score(here, score) if both else math.nan)
        precisions.append(sk.average_precision_score(here, score) if here.any() else math.nan)
        assert same(found["per_class"][name]["auc"], areas[-1])
        assert same(found["per_class"][name]["average_precision"], precisions[-1])
    assert same(found["metrics"]["macro_auc"], np.mean(areas))
    assert same(found["metrics"]["macro_average_precision"], np.mean(precisions))


def check_probabilities(p, summary):
    found, bins = summary["metrics"], summary["calibration"]["bins"]
    every = np.arange(len(p.classes))
    score = p.probabilities[:, 1] if len(every) == 2 else p.probabilities
    assert same(found["brier"], sk.brier_score_loss(p.labels, score, labels=every))
    assert same(found["log_loss"], sk.log_loss(p.labels, p.probabilities, labels=every))
    confidence, correct = p.probabilities.max(1), p.decisions == p.labels
    share, mean = sk_calibration.calibration_curve(correct, confidence, n_bins=15)
    assert [entry["accuracy"] for entry in bins] == pytest.approx(share)
    assert [entry["confidence"] for entry in bins] == pytest.approx(mean)
    error = sum(entry["n"] / len(p) * abs(entry["accuracy"] - entry["confidence"]) for entry in bins)
    assert same(found["expected_calibration_error"], error)


def check_binary(p, found, first):
    truth, called = p.labels >= first, p.decisions >= first
    score = p.probabilities[:, first:].sum(1)
    both = 0 < truth.sum() < len(truth)
    nan = math.nan
    assert same(found["accuracy"], sk.accuracy_score(truth, called))
    assert same(found["sensitivity"], called[truth].mean() if truth.any() else nan)
    assert same(found["specificity"], (~called)[~truth].mean() if not truth.all() else nan)
    assert same(found["precision"], truth[called].mean() if called.any() else nan)
    assert same(found["negative_predictive_value"], (~truth)[~called].mean() if not called.all() else nan)
    assert same(found["f1"], sk.f1_score(truth, called, zero_division=np.nan))
    assert same(found["auc"], sk.roc_auc_score(truth, score) if both else nan)
    assert same(found["average_precision"], sk.average_precision_score(truth, score) if truth.any() else nan)
    assert same(found["brier"], sk.brier_score_loss(truth, score.clip(0, 1), labels=[False, True]))


@given(random_cases, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_weights_count_rows_as_scikit_learn_does(p, seed):
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(p))).astype(float)
    weights[:, 0] += 1
    truth = p.labels == 0
    areas, precisions = roc.Ranking(p.probabilities[:, 0], truth).areas(weights)
    matrices = confusion.counts(p.labels, p.decisions, len(p.classes), weights)
    for at, weight in enumerate(weights):
        expected = sk.confusion_matrix(p.labels, p.decisions, labels=range(len(p.classes)), sample_weight=weight)
        assert matrices[at] == pytest.approx(expected)
        some = weight > 0
        if 0 < truth[some].sum() < some.sum():
            score = p.probabilities[some, 0]
            area = sk.roc_auc_score(truth[some], score, sample_weight=weight[some])
            assert areas[at] == pytest.approx(area)
            precision = sk.average_precision_score(truth[some], score, sample_weight=weight[some])
            assert precisions[at] == pytest.approx(precision)


# Pal et al. 2021, Table 8: rows Faster R-CNN, columns NasNet 1-NN, each control then case; kappa as printed.
@pytest.mark.parametrize(
    ("table", "printed"),
    [
        ([[6613, 183], [362, 1101]], "0.76"),
        ([[676, 40], [33, 194]], "0.79"),
        ([[4120, 92], [202, 641]], "0.78"),
        ([[1809, 51], [127, 265]], "0.70"),
    ],
)
def test_kappa_is_the_agreement_printed_in_table_8(table, printed):
    found = float(confusion.kappa(np.array(table, float)))
    assert f"{found:.2f}" == printed
    assert found == pytest.approx(cohens_kappa(table).kappa)


@given(st.lists(st.lists(st.integers(1, 40), min_size=3, max_size=3), min_size=3, max_size=3))
@settings(max_examples=500, deadline=None)
def test_kappas_equal_statsmodels(table):
    matrix = np.array(table, float)
    assert confusion.kappa(matrix) == pytest.approx(cohens_kappa(table).kappa)
    weighted = cohens_kappa(table, wt="quadratic").kappa
    assert confusion.kappa(matrix, quadratic=True) == pytest.approx(weighted)


def test_metrics_of_two_by_two_match_hand_arithmetic():
    matrix = np.array([[8.0, 2.0], [3.0, 7.0]])
    assert confusion.accuracy(matrix) == pytest.approx(0.75)
    assert confusion.sensitivity(matrix) == pytest.approx([0.8, 0.7])
    assert confusion.specificity(matrix) == pytest.approx([0.7, 0.8])
    assert confusion.precision(matrix) == pytest.approx([8 / 11, 7 / 9])
    assert confusion.harmonic_mean_tpr(matrix) == pytest.approx(2 / (1 / 0.8 + 1 / 0.7))
    assert confusion.kappa(matrix) == pytest.approx(0.5)


def test_a_class_that_is_never_found_makes_the_harmonic_mean_zero():
    assert confusion.harmonic_mean_tpr(np.array([[5.0, 0.0], [5.0, 0.0]])) == 0


def test_the_roc_curve_has_the_points_of_scikit_learn_and_at_most_400_of_them():
    p = random_predictions(3, 300, ties=True)
    truth, score = p.labels == 1, p.probabilities[:, 1]
    found = roc.curve(score, truth)
    fpr, tpr, _ = sk.roc_curve(truth, score, drop_intermediate=False)
    assert found["fpr"] == pytest.approx(fpr, abs=1e-6)
    assert found["tpr"] == pytest.approx(tpr, abs=1e-6)
    p = random_predictions(3, 3000)
    thinned = roc.curve(p.probabilities[:, 0], p.labels == 0)
    assert len(thinned["fpr"]) == 400
    assert (thinned["fpr"][0], thinned["tpr"][0], thinned["fpr"][-1], thinned["tpr"][-1]) == (0, 0, 1, 1)


def test_four_classes_read_as_two_keep_every_row():
    matrix = np.arange(16.0).reshape(4, 4)
    assert confusion.merged(matrix, [2, 3]).tolist() == [
        [matrix[:2, :2].sum(), matrix[:2, 2:].sum()],
        [matrix[2:, :2].sum(), matrix[2:, 2:].sum()],
    ]


def test_independent_rows_get_binomial_intervals_and_the_rest_a_bootstrap():
    found = classification.summary(random_predictions(1, 60), resamples=50)
    assert found["metrics"]["accuracy"]["method"] == "Wilson 95%"
    assert found["per_class"]["cin1"]["sensitivity"]["method"] == "Clopper-Pearson 95%"
    assert found["metrics"]["macro_f1"]["method"] == "bootstrap 95%, 60 rows, 50 resamples"


def test_rows_that_share_a_group_get_cluster_bootstrap_intervals_wider_than_binomial_ones():
    groups = [f"woman {at // 6}" for at in range(180)]
    hard = np.repeat(np.arange(30) % 3 == 0, 6)
    truth = np.random.default_rng(0).integers(0, 2, 180)
    right = np.where(hard, 1 - truth, truth)
    p = predictions.from_arrays(
        [str(at) for at in range(180)],
        np.eye(2)[right] * 0.8 + 0.1,
        ("control", "case"),
        labels=[("control", "case")[at] for at in truth],
        groups=groups,
    )
    alone = classification.summary(predictions.Predictions(p.table.assign(group=""), p.classes), resamples=500)
    found = classification.summary(p, resamples=500)
    accuracy, naive = found["metrics"]["accuracy"], alone["metrics"]["accuracy"]
    assert accuracy["method"] == "cluster bootstrap 95%, 30 groups, 500 resamples"
    assert accuracy["value"] == naive["value"]
    assert accuracy["high"] - accuracy["low"] > 1.8 * (naive["high"] - naive["low"])


def test_a_perfect_share_of_grouped_rows_counts_each_group_once():
    p = random_predictions(0, 40, classes=2, labels=[0, 1] * 20, groups=[f"w{at // 2}" for at in range(40)])
    perfect = np.eye(2)[p.labels]
    table = p.table.assign(p_normal=perfect[:, 0], p_cin1=perfect[:, 1])
    found = classification.summary(predictions.Predictions(table, p.classes), resamples=20)["metrics"]["accuracy"]
    assert found["low"] == pytest.approx(0.025 ** (1 / 20))  # rule for 20 successes in 20 trials
    assert (found["high"], found["n"]) == (1.0, 40)
    assert "20 groups" in found["method"]


def test_a_share_of_grouped_rows_is_never_more_certain_than_of_independent_rows():
    labels, groups = [1] * 43 + [0] * 40, [f"w{at % 13}" for at in range(83)]
    decided = np.array([0, *labels[1:]])  # one of 43 is missed: the bootstrap of 13 women says 93.5 % to 100 %
    named = ["ab"[at] for at in labels]
    shares = 0.1 + 0.8 * np.eye(2)[decided]
    p = predictions.from_arrays(map(str, range(83)), shares, ("a", "b"), labels=named, groups=groups)
    found = classification.summary(p, positive=["b"], resamples=500)["binary"]["metrics"]["sensitivity"]
    low = found["low"]
    assert beta.cdf(low, 42, 2) == pytest.approx(0.025)  # Clopper-Pearson's end: as the beta distribution has it
    assert found["high"] == 1 and found["method"].endswith("at least that of independent rows")


def test_a_class_without_rows_leaves_nulls_with_reasons():
    found = classification.summary(random_predictions(0, 30, labels=[0, 1, 2] * 10), positive=POSITIVE, resamples=20)
    assert found["per_class"]["cancer"]["sensitivity"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "method": "undefined: no row of this class, or none of another",
    }
    assert found["metrics"]["harmonic_mean_tpr"]["method"] == "undefined: no row of cancer"
    assert found["metrics"]["macro_auc"]["value"] is None
    assert "no row of cancer: counts as 0" in found["metrics"]["macro_recall"]["method"]
    assert found["roc"]["per_class"]["cancer"] is None


def test_resamples_without_one_of_the_classes_are_left_out_of_macro_metrics():
    p = random_predictions(0, 8, classes=2, labels=[0, 1] * 4)
    perfect = np.eye(2)[p.labels]
    table = p.table.assign(p_normal=perfect[:, 0], p_cin1=perfect[:, 1])
    found = classification.summary(predictions.Predictions(table, p.classes), resamples=500)["metrics"]["macro_recall"]
    assert (found["value"], found["low"]) == (1, None)
    assert "the same in over 95%" in found["method"]


def test_resamples_without_one_of_two_classes_are_left_out_of_every_metric_that_needs_both():
    labels = [1] * 2 + [0] * 22
    decided = np.array([1, 1, 1] + [0] * 21)
    p = predictions.from_arrays(
        map(str, range(24)), 0.1 + 0.8 * np.eye(2)[decided], ("a", "b"), labels=["ab"[at] for at in labels]
    )
    found = classification.summary(p, positive=["b"], resamples=2000)
    whole, two = found["metrics"], found["binary"]["metrics"]
    for name in ("macro_f1", "macro_precision", "cohens_kappa"):
        assert (two[name]["low"], two[name]["high"]) == (whole[name]["low"], whole[name]["high"])
        assert two[name]["low"] > 0
    assert whole["quadratic_kappa"]["low"] > 0  # with one class left it would be 0, whatever the model does
    assert two["f1"]["low"] == found["per_class"]["b"]["f1"]["low"] > 0


def test_the_mean_of_both_rates_has_one_interval_by_either_of_its_names():
    labels = ["b"] * 2 + ["a"] * 78  # one group of b: a third of the resamples have none
    called = np.where(np.arange(80) % 20 == 9, 0.9, 0.1)
    groups = [f"g{at // 2}" for at in range(80)]
    p = predictions.from_arrays(map(str, range(80)), np.c_[1 - called, called], "ab", labels=labels, groups=groups)
    found = classification.summary(p, positive=["b"], resamples=300)
    for metrics in (found["metrics"], found["binary"]["metrics"]):
        assert metrics["balanced_accuracy"] == metrics["macro_recall"]
        assert metrics["balanced_accuracy"]["high"] <= 0.5  # b is never found


def test_the_mean_of_both_rates_is_not_defined_where_a_side_has_no_row():
    p = predictions.from_arrays(["1", "2"], [[0.9, 0.1], [0.2, 0.8]], ("a", "b"), labels=["a", "a"])
    found = classification.summary(p, positive=["b"], resamples=100)["binary"]["metrics"]
    assert found["balanced_accuracy"]["value"] is None
    assert found["balanced_accuracy"]["method"] == "undefined: no row of one side"
    quiet = predictions.from_arrays(["1", "2"], [[0.9, 0.1], [0.8, 0.2]], ("a", "b"), labels=["a", "b"])
    found = classification.summary(quiet, positive=["b"], resamples=100)["binary"]["metrics"]
    assert found["macro_precision"]["method"] == "undefined: no row is called positive, or none negative"


def test_unlabeled_rows_are_counted_and_left_out():
    p = random_predictions(0, 30)
    half = predictions.Predictions(p.table.assign(label=[*p.table["label"][:20], *[""] * 10]), p.classes)
    found = classification.summary(half, resamples=20)
    assert (found["n"], found["unlabeled"]) == (20, 10)
    assert found["metrics"] == classification.summary(p.where(np.arange(30) < 20), resamples=20)["metrics"]
    with pytest.raises(InputError, match="none of the 30 rows has a label"):
        classification.summary(predictions.Predictions(p.table.assign(label=""), p.classes))


def test_the_threshold_for_a_specificity_is_chosen_on_validation_rows():
    validation = random_predictions(1, 400)
    test = random_predictions(2, 200)
    test = predictions.Predictions(test.table.assign(id="test " + test.table["id"]), test.classes)
    found = classification.summary(test, positive=POSITIVE, validation=validation, resamples=20)["binary"]
    truth, _, score = validation.positive(POSITIVE)
    false_positive_rate, sensitivity, _ = sk.roc_curve(truth, score, drop_intermediate=False)
    threshold = found["thresholds"]["90"]
    assert (score[truth] >= threshold).mean() == sensitivity[false_positive_rate <= 0.1 + 1e-9].max()
    assert (score[~truth] < threshold).mean() >= 0.9
    truth, _, score = test.positive(POSITIVE)
    assert same(found["metrics"]["sensitivity_at_90_specificity"], (score[truth] >= threshold).mean())
    assert same(found["metrics"]["specificity_at_90_specificity"], (score[~truth] < threshold).mean())


def test_without_validation_no_threshold_is_chosen():
    found = classification.summary(random_predictions(2, 50), positive=POSITIVE, resamples=20)["binary"]
    assert found["thresholds"] == {}
    assert not [name for name in found["metrics"] if "_at_" in name]


def test_no_threshold_is_chosen_when_validation_and_test_share_a_group():
    p = random_predictions(2, 50)
    found = classification.summary(p, positive=POSITIVE, validation=p, resamples=20)["binary"]
    assert found["thresholds"] == {}
    assert found["metrics"]["sensitivity_at_90_specificity"]["value"] is None
    assert "validation and test share 50 groups" in found["metrics"]["sensitivity_at_90_specificity"]["method"]


def test_no_threshold_is_chosen_on_validation_rows_that_are_all_positive():
    test = random_predictions(2, 50)
    test = predictions.Predictions(test.table.assign(id="test " + test.table["id"]), test.classes)
    validation = random_predictions(1, 20, labels=[2, 3] * 10)
    found = classification.summary(test, positive=POSITIVE, validation=validation, resamples=20)["binary"]["metrics"]
    assert "no negative row" in found["sensitivity_at_95_specificity"]["method"]


def test_validation_of_another_task_is_refused():
    with pytest.raises(InputError, match="validation predictions have the classes normal, cin1, cin2_3,"):
        classification.summary(
            random_predictions(1, 20), positive=POSITIVE, validation=random_predictions(2, 20, classes=3)
        )


@pytest.mark.parametrize("positive", [("cin4",), CLASSES, ("cin1", "CANCER")])
def test_positive_classes_must_be_some_of_the_classes(positive):
    with pytest.raises(InputError, match="name some, not all, of normal, cin1, cin2_3, cancer"):
        classification.summary(random_predictions(2, 50), positive=positive)


def test_a_summary_is_plain_json_and_the_same_every_time():
    import json

    p = random_predictions(5, 40, labels=[0, 1, 1, 0] * 10)
    once, again = (
        json.dumps(
            classification.summary(p, positive=POSITIVE, resamples=50, data="d", synthetic=True), allow_nan=False
        )
        for _ in range(2)
    )
    assert once == again
    assert '"synthetic": true' in once


def test_reliability_bins_of_women_with_several_images_resample_women():
    women = np.repeat(np.arange(20), 10)  # all ten images of a woman are decided alike
    right = np.random.default_rng(0).random(20) < 0.6
    confidence, groups = np.full(200, 0.65), women.astype(str).astype(object)
    (clustered,) = calibration.reliability(confidence, right[women], groups, resamples=500)
    (of_women,) = calibration.reliability(confidence[:20], right, groups[::10])
    assert (clustered["n"], of_women["n"], clustered["accuracy"]) == (200, 20, of_women["accuracy"])
    width = of_women["accuracy_high"] - of_women["accuracy_low"]
    assert clustered["accuracy_high"] - clustered["accuracy_low"] == pytest.approx(width, rel=0.2)
    assert clustered["method"] == "cluster bootstrap 95%, 20 groups, 500 resamples"
    assert of_women["method"] == "Wilson 95%"


def test_bins_are_closed_above_so_that_certainty_is_in_the_last():
    assert calibration.bin_of(np.array([0.0, 0.1, 0.1000001, 0.5, 1.0]), bins=10).tolist() == [0, 0, 1, 4, 9]
