"""What a reader sees first is counted in cases, and sensitivity comes before accuracy."""

from cervix_tf.metrics import classification, predictions
from cervix_tf.report import summary_cards

METRICS = {
    "classes": ["normal", "cin1", "cin2"],
    "confusion": [[20, 3, 1], [2, 10, 4], [1, 1, 5]],
    "binary": {"positive": ["cin1", "cin2"]},
}


def test_the_first_sentence_counts_what_was_missed_and_false_alarms():
    said = summary_cards.in_cases(METRICS)
    assert said == "Of 23 cases with cin1 or cin2 it missed 3; of 24 cases without, it raised a false alarm in 4."


def test_without_positive_classes_it_counts_right_and_wrong():
    assert summary_cards.in_cases(METRICS | {"binary": None}) == "Of 47 cases it named 35 rightly and 12 wrongly."
    assert summary_cards.in_cases({"classes": ["a"], "confusion": [[1]]}).startswith("Of 1 case it")
    assert summary_cards.in_cases({}) == ""


def test_sensitivity_and_specificity_come_before_accuracy():
    rows = [[0.8, 0.2], [0.3, 0.7]]
    tested = predictions.from_arrays(["1", "2"], rows, ("normal", "cancer"), labels=["normal", "cancer"])
    cards = summary_cards.cards(classification.summary(tested, positive=["cancer"], resamples=100))
    assert [card.name for card in cards[:2]] == ["Sensitivity", "Specificity"]


def test_with_an_operating_point_the_first_sentence_counts_by_it():
    counts = {"positive": 23, "missed": 1, "negative": 24, "alarmed": 9}
    point = {"rule": "sensitivity:0.95", "threshold": 0.2, "counts": counts}
    said = summary_cards.in_cases(METRICS | {"operating_point": point})
    assert said == (
        "At its operating point (sensitivity:0.95), of 23 cases with cin1 or cin2 it missed 1; "
        "of 24 cases without, it raised a false alarm in 9."
    )
