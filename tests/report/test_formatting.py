import math

import pytest

from cervix_tf.report import formatting


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("accuracy", "81.3 %"),
        ("harmonic_mean_tpr", "81.3 %"),
        ("sensitivity_at_90_specificity", "81.3 %"),
        ("negative_predictive_value", "81.3 %"),
        ("auc", "0.813"),
        ("average_precision", "0.813"),
        ("macro_average_precision", "0.813"),
        ("cohens_kappa", "0.813"),
        ("expected_calibration_error", "0.813"),
    ],
)
def test_shares_are_per_cent_and_scores_are_not(name, shown):
    assert formatting.value(name, {"value": 0.8125001}) == shown


@pytest.mark.parametrize("measured", [None, {}, {"value": None}, {"value": math.nan}])
def test_what_has_no_value_is_never_a_number(measured):
    assert formatting.value("accuracy", measured) == "not defined (no reason recorded)"
    assert formatting.interval("accuracy", measured) == ""


def test_the_reason_stands_in_the_method():
    measured = {"value": None, "method": "undefined: no row of cancer"}
    assert formatting.value("auc", measured) == "not defined (no row of cancer)"


def test_intervals_have_the_unit_of_their_value():
    measured = {"value": 0.5, "low": 0.25, "high": 0.756}
    assert formatting.interval("accuracy", measured) == "[25.0, 75.6]"
    assert formatting.interval("auc", measured) == "[0.250, 0.756]"


@pytest.mark.parametrize(
    ("count", "shown"), [(999, "999 bytes"), (9_420_000, "9.42 MB"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes_have_a_fitting_unit(count, shown):
    assert formatting.size(count) == shown


def test_nested_configurations_become_dotted_names():
    nested = {"train": {"epochs": 5, "rates": [0.1, 0.25]}, "parts": [{"a": None}], "fast": True}
    assert formatting.flat(nested) == {
        "train.epochs": "5",
        "train.rates": "0.1, 0.25",
        "parts.0.a": "–",
        "fast": "yes",
    }


def test_keys_become_words():
    assert formatting.title("macro_f1") == "Macro F1"
    assert formatting.title("auc") == "AUC"
    assert formatting.title("specificity_at_90_specificity") == (
        "Specificity at the threshold for 90 % specificity on validation"
    )
    assert formatting.title("near-duplicate") == "Near duplicate"


def test_a_difference_of_shares_is_in_points_and_of_other_metrics_a_number():
    apart = {"value": 0.0321, "low": -0.01, "high": 0.0742}
    assert formatting.difference("sensitivity", apart) == "+3.2 points [-1.0, +7.4]"
    assert formatting.difference("auc", apart) == "+0.032 [-0.010, +0.074]"
    assert formatting.difference("auc", {**apart, "low": None, "high": None}) == "+0.032"
    assert formatting.difference("auc", {"value": None, "method": "undefined: too few"}) == "not defined (too few)"
    assert [formatting.p_value(each) for each in (None, 0.0004, 0.0314, 1.0)] == ["", "< 0.001", "0.031", "1"]


def test_what_rounds_to_zero_has_no_sign():
    assert (formatting.number(-0.0001, share=True), formatting.number(-0.0001, share=False)) == ("0.0", "0.000")
    assert formatting.number(-0.0006, share=True) == "-0.1"
