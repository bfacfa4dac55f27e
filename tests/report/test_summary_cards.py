"""What a reader sees first is counted in cases, and sensitivity comes before accuracy."""

from cervix_tf.decision import OperatingPoint
from cervix_tf.metrics import classification, operating_points, predictions
from cervix_tf.report import summary_cards

METRICS = {
    "classes": ["normal", "cin1", "cin2"],
    "confusion": [[20, 3, 1], [2, 10, 4], [1, 1, 5]],
    "binary": {"positive": ["cin1", "cin2"]},
}


def test_the_first_sentence_counts_what_was_missed_and_false_alarms():
    said = summary_cards.in_cases(METRICS)
    assert said == "Of 23 cases with cin1 or cin2, it missed 3; of 24 cases without, it raised a false alarm in 4."


def test_without_positive_classes_it_counts_right_and_wrong():
    assert (
        summary_cards.in_cases(METRICS | {"binary": None})
        == "Of 47 cases, it classified 35 correctly and 12 incorrectly."
    )
    assert summary_cards.in_cases({"classes": ["a"], "confusion": [[1]]}).startswith("Of 1 case, it")
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
        "At its operating point (sensitivity:0.95), of 23 cases with cin1 or cin2, it missed 1; "
        "of 24 cases without, it raised a false alarm in 9."
    )


def test_the_cards_have_the_rates_of_the_operating_point_that_the_sentence_counts():
    rows = [[0.8, 0.2], [0.7, 0.3]]
    tested = predictions.from_arrays(["1", "2"], rows, ("normal", "cancer"), labels=["normal", "cancer"])
    metrics = classification.summary(tested, positive=["cancer"], resamples=100)
    assert summary_cards.cards(metrics)[0].value == "0.0 %"
    point = operating_points.at(tested, OperatingPoint("youden", 0.25), positive=["cancer"], resamples=100)
    first = summary_cards.cards(metrics | {"operating_point": point})[0]
    assert first.value == "100.0 %" and first.of == "positive = cancer; at its operating point"
    of_accuracy = [card.of for card in summary_cards.cards(metrics | {"operating_point": point}) if "acc" in card.key]
    assert of_accuracy == ["by the most probable class"]  # another decision than that of the rates beside it
    assert not next(card.of for card in summary_cards.cards(metrics) if card.key == "accuracy")
