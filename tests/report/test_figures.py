import base64
from unittest import mock
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from cervix_tf.report import decision_figures, figures


def svg(picture):
    head, data = picture.source.split(",", 1)
    assert head == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(data))


def history(**changes):
    columns = {
        "epoch": [1, 2, 3, 4],
        "loss": [1.0, 0.8, 0.6, 0.5],
        "accuracy": [0.4, 0.6, 0.7, 0.8],
        "val_loss": [1.1, 0.7, 0.9, 1.2],
        "val_accuracy": [0.4, 0.6, 0.7, 0.7],
    }
    return pd.DataFrame(columns | changes)


def test_the_first_epoch_with_the_highest_criterion_is_marked():
    picture = figures.training("acetic", [history()], "val_accuracy")
    assert picture.caption == "acetic: dot = epoch kept (3), by val_accuracy."
    assert svg(picture).tag.endswith("svg")


def test_for_a_loss_the_lowest_epoch_is_marked():
    assert "epoch kept (2), by val_loss" in figures.training("acetic", [history()], "val_loss").caption


def test_folds_share_a_figure_and_each_has_its_epoch():
    other = history(val_loss=[1.1, 1.0, 0.9, 0.8])
    assert "2 folds: dot = epoch kept (2, 4)" in figures.training("acetic", [history(), other], "val_loss").caption


def test_an_unknown_criterion_marks_nothing():
    assert "no epoch is marked" in figures.training("acetic", [history()], "val_something").caption


def test_a_history_without_loss_or_accuracy_has_no_figure():
    assert figures.training("acetic", [pd.DataFrame({"epoch": [1], "seconds": [2.0]})], "val_loss") is None


def test_a_single_epoch_and_missing_values_can_be_drawn():
    svg(figures.training("one", [history().iloc[:1]], "val_accuracy"))
    svg(figures.training("gaps", [history(val_loss=[np.nan] * 4)], "val_loss"))


def test_a_confusion_matrix_of_many_classes_asks_for_more_room():
    names = [f"class {at}" for at in range(11)]
    assert figures.confusion(np.eye(11), names, "x").wide
    assert not figures.confusion(np.eye(4), names[:4], "x").wide


def test_the_confusion_matrix_is_told_to_those_who_cannot_see_it():
    picture = figures.confusion([[8, 2], [3, 0]], ["normal", "cancer"], "all cases")
    assert picture.alt == "Confusion matrix, all cases. normal: 8 of 10 right; cancer: 0 of 3 right."
    assert picture.caption == "all cases: n = 13."


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_class_without_cases_divides_by_nothing():
    assert "cancer: 0 of 0 right" in figures.confusion([[8, 2], [0, 0]], ["normal", "cancer"], "x").alt


@pytest.mark.parametrize("label", ["$x", "$\\frac$", "<script>&", "a" * 300, "_^{}", ""])
def test_any_class_name_can_be_drawn(label):
    svg(figures.confusion([[1, 0], [0, 1]], [label, "b"], label))
    svg(figures.roc([(label, {"fpr": [0, 1], "tpr": [0, 1]}, "0.5")], label))
    svg(figures.bars({label: {"value": 0.5, "low": 0.2, "high": 0.8, "n": 3}, "b": {"value": None}}))
    svg(figures.histogram(np.array([0.1, 0.9]), np.array([False, True]), label))


def test_a_curve_that_is_not_defined_stays_in_the_legend():
    picture = figures.roc([("cancer", None, "not defined (no row of cancer)")], "each class")
    assert "cancer: AUC not defined" in picture.alt


def test_bars_say_value_and_undefined():
    picture = figures.bars({"normal": {"value": 0.75, "low": 0.5, "high": 0.9, "n": 8}, "cancer": {"value": None}})
    assert picture.alt == "Sensitivity by class: normal 75 %; cancer not defined."
    assert figures.bars({"cancer": {"value": None}}) is None


def test_a_histogram_counts_scores_that_rounding_lifts_above_one():
    with mock.patch.object(Axes, "bar", autospec=True, side_effect=Axes.bar) as bar:
        figures.histogram(np.array([0.1, 0.9, 1 + 1e-7, 1.0]), np.array([False, True, True, True]), "cancer")
    assert [call.args[2].sum() for call in bar.call_args_list] == [1, 3]


def test_reliability_tells_each_bin():
    entry = {"low": 0.8, "high": 0.9, "n": 6, "confidence": 0.84}
    entry |= {"accuracy": 0.5, "accuracy_low": 0.15, "accuracy_high": 0.85}
    assert figures.reliability([entry], "Calibration.").alt == "Reliability diagram: 0.84 said, 0.50 right."
    assert figures.reliability([], "") is None
    alone = entry | {"accuracy_low": None, "accuracy_high": None}  # all its rows are of one group
    assert figures.reliability([alone], "Calibration.").alt == "Reliability diagram: 0.84 said, 0.50 right."


def test_a_reliability_diagram_has_no_dot_for_fewer_than_five_cases():
    many = {"low": 0.8, "high": 0.9, "n": 5, "confidence": 0.84, "accuracy": 0.6}
    few = {"low": 0.2, "high": 0.3, "n": 4, "confidence": 0.25, "accuracy": 0.0}
    ends = {"accuracy_low": 0.0, "accuracy_high": 1.0}
    assert figures.reliability([few | ends, many | ends], "").alt == "Reliability diagram: 0.84 said, 0.60 right."
    assert figures.reliability([few | ends], "").alt == "Reliability diagram: no bin has 5 cases."


def test_the_same_figure_has_the_same_bytes():
    first, second = (figures.confusion([[1, 0], [0, 1]], ["a", "b"], "x").source for _ in range(2))
    assert first == second


def test_a_scatter_has_a_panel_a_row_and_says_so():
    rng = np.random.default_rng(0)
    panels = {name: (rng.normal(size=(8, 2)), np.arange(8) % 2, np.arange(8) > 5) for name in ("one", "two", "three")}
    picture = figures.scatter(panels, ("control", "case"), 2, "caption")
    assert "one, two, three" in picture.alt and "control, case" in picture.alt and picture.caption == "caption"
    points = svg(picture).findall(".//{http://www.w3.org/2000/svg}image")
    assert len(points) == 3  # as pixels, one image a panel: thousands of points as vectors make a page slow


def test_a_scatter_of_equal_embeddings_says_that_they_are():
    spread, same = np.random.default_rng(0).normal(size=(8, 2)), np.zeros((8, 2))
    of = {"one": (spread, np.arange(8) % 2, np.arange(8) > 5), "two": (same, np.arange(8) % 2, np.arange(8) > 5)}
    assert figures.scatter(of, ("a", "b"), 2, "").alt.endswith("a, b. two: all embeddings are equal.")
    in_space = [
        figures.scatter_in_space(points, np.arange(8) % 2, ("a", "b"), np.arange(8) > 5, "").alt
        for points in (np.zeros((8, 3)), np.random.default_rng(0).normal(size=(8, 3)))
    ]
    assert [alt.endswith("all embeddings are equal.") for alt in in_space] == [True, False]


def test_a_decision_curve_and_a_deferral_curve_say_their_points():
    measured = {"value": 0.2, "low": 0.1, "high": 0.3}
    points = [{"threshold": at, "model": measured, "treat_all": measured, "gain": measured} for at in (0.1, 0.5)]
    assert (
        decision_figures.decision_curve(points, "").alt
        == "Decision curve. Net benefit from 0.1: 0.200; from 0.5: 0.200."
    )
    unknown = {"value": None, "low": None, "high": None}
    assert decision_figures.decision_curve([points[0] | {"model": unknown}], "") is None
    kept = [{"deferred": at, "n": 9, "error": measured} for at in (0.0, 0.1)]
    assert decision_figures.deferral(kept).alt == "Deferral: 0 % deferred, 20.0 % wrong; 10 % deferred, 20.0 % wrong."
    assert decision_figures.deferral([]) is None


def test_measures_of_doubt_say_what_deferring_a_tenth_leaves():
    sure, split = {"curve": [[0.0, 0.2], [0.1, 0.15]]}, {"curve": [[0.0, 0.2], [0.1, 0.1]]}
    methods = [
        {"name": "single", "measures": {"max_probability": sure, "entropy": sure}},
        {"name": "turns", "measures": {"max_probability": sure, "mutual_information": split}},
    ]
    assert decision_figures.uncertainty(methods).alt == (
        "Risk and coverage. single, max probability: 20.0 % wrong, 15.0 % with 10 % deferred; "
        "turns, max probability: 20.0 % wrong, 15.0 % with 10 % deferred; "
        "turns, mutual information: 20.0 % wrong, 10.0 % with 10 % deferred."
    )
    assert decision_figures.uncertainty([]) is None
