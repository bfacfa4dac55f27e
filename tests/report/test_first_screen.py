"""The first screen says in people's words what metrics.json says in numbers, and nothing that it does not say."""

import pytest

from cervix_tf.decision import OperatingPoint
from cervix_tf.metrics import classification, conformal, limits, operating_points, predictions
from cervix_tf.report import first_screen, summary_cards

CLASSES = ("normal", "cancer")


def made_up(right_of_ill=8, ill=10, right_of_well=27, well=30):
    """Predictions with so many right ones, each a group of its own."""
    truth = ["cancer"] * ill + ["normal"] * well
    said = [at < right_of_ill for at in range(ill)] + [at >= right_of_well for at in range(well)]
    rows = [[0.2, 0.8] if positive else [0.7, 0.3] for positive in said]
    ids = [str(at) for at in range(len(truth))]
    return predictions.from_arrays(ids, rows, CLASSES, labels=truth)


def metrics_of(found, positive=("cancer",)):
    return classification.summary(found, positive=positive, resamples=100)


@pytest.fixture
def shown():
    found = made_up()
    metrics = metrics_of(found)
    return first_screen.screen(metrics, (), first_screen.deferral(metrics, found))


def test_it_asks_counts_and_gives_rates_of_a_hundred(shown):
    assert shown.asked == "Does an image show cancer, or only normal?"
    assert shown.tested == "Tested on 40 cases: 10 positive, 30 negative."
    assert shown.counts == {"positive": 10, "missed": 2, "negative": 30, "alarmed": 3}
    assert [rate.of_100 for rate in shown.rates] == [
        "Of 100 such cases, about 80 are found (44 to 97) and 20 are missed.",
        "Of 100 such cases, about 90 are cleared (73 to 98) and 10 are given a false alarm.",
    ]


def test_alarms_are_counted_at_five_percent_where_no_prevalence_is_stated(shown):
    # by hand: of 50 with it 0.8 are found; of 950 without it 0.1 alarm
    assert shown.alarms.startswith(
        "If 50 of 1,000 such cases have it (an example), the model would raise 135 alarms, 40 of them right and 95 "
        "false, and miss 10."
    )
    assert "By the interval of the specificity, there could be " in shown.alarms
    assert "In this test, 25 % have it" in shown.alarms


def test_no_false_alarm_in_a_test_is_not_said_to_mean_none_elsewhere():
    rows = [[0.1, 0.9]] * 10 + [[0.9, 0.1]] * 10
    found = predictions.from_arrays(
        [str(at) for at in range(20)], rows, ("normal", "cancer"), labels=["cancer"] * 10 + ["normal"] * 10
    )
    said = first_screen.alarms(metrics_of(found))
    assert "50 alarms, 50 of them right and 0 false" in said and "look more reliable" not in said
    assert "there could be 0 to 293 false alarms." in said  # 950 times 30.85 %: Clopper-Pearson of 10 of 10


def test_a_stated_prevalence_is_no_example():
    found = made_up()
    point = operating_points.at(found, OperatingPoint("youden", 0.5), positive=["cancer"], prevalence=0.2, resamples=50)
    said = first_screen.alarms(metrics_of(found) | {"operating_point": point})
    assert said.startswith("If 200 of 1,000 such cases have it, the model would raise 240 alarms, 160 of them right")
    # 30 cases without it: Clopper-Pearson of 27
    assert " and 80 false, and miss 40. By the interval of the specificity, there could be 17 to 212 false" in said


def test_a_rare_disease_is_counted_among_a_hundred_thousand():
    found = made_up()
    point = operating_points.at(
        found, OperatingPoint("youden", 0.5), positive=["cancer"], prevalence=1e-4, resamples=50
    )
    said = first_screen.alarms(metrics_of(found) | {"operating_point": point})
    # by hand: 8 of 10 found, a tenth of 99,990 alarmed
    assert said.startswith(
        "If 10 of 100,000 such cases have it, the model would raise 10,007 alarms, 8 of them right and 9,999 false"
    )


def test_groups_of_several_cases_are_counted():
    one = made_up()
    grouped = predictions.from_arrays(
        one.table["id"],
        one.probabilities,
        CLASSES,
        labels=one.table["label"],
        groups=[str(at // 4) for at in range(40)],
    )
    said = first_screen.screen(metrics_of(grouped), (), ()).tested
    assert said == "Tested on 40 cases of 10 groups (women, visits, slides or fields): 10 positive, 30 negative."


def test_without_positive_classes_it_names_the_class_that_is_found_least():
    found = made_up()
    shown = first_screen.screen(metrics_of(found, positive=()), ("acetic", "iodine"), ())
    assert shown.asked == "Which of 2 classes do the 2 views of a case show: normal, cancer?"
    assert shown.counts is None and shown.alarms == ""
    assert [rate.words for rate in shown.rates] == ["Classified correctly", "The class found least often: cancer"]
    assert shown.rates[1].of_100.startswith("Of 100 such cases, about 80 are found")


def test_silence_is_what_the_deferral_curve_says(shown):
    kept = {each["deferred"]: each["error"]["value"] for each in conformal.deferral(made_up(), resamples=50)}
    assert shown.silent[0].startswith(f"When it is unsure. It is wrong in {100 * kept[0.0]:.1f} % [")
    assert f"in {100 * kept[0.2]:.1f} % [" in shown.silent[0]
    assert "shows no cervix" in shown.silent[-1]


def test_the_error_of_the_most_probable_class_is_not_taken_for_that_of_the_operating_point():
    found = made_up()
    point = operating_points.at(found, OperatingPoint("sensitivity:0.95", 0.25), positive=["cancer"], resamples=50)
    metrics = metrics_of(found) | {"operating_point": point}
    shown = first_screen.screen(metrics, (), first_screen.deferral(metrics, found))
    assert shown.in_cases.endswith("of 30 cases without, it raised a false alarm in 30.")
    assert "By the most probable class it is wrong in 12.5 %" in shown.silent[0]


def test_doubt_that_finds_no_errors_is_said_to_say_little():
    curve = [{"deferred": share, "n": 9, "error": {"value": 0.5, "low": 0.4, "high": 0.6}} for share in (0.0, 0.2)]
    assert first_screen.screen(metrics_of(made_up()), (), curve).silent[0].endswith("its uncertainty says little here.")
    unknown = first_screen.screen(metrics_of(made_up()), (), ())
    assert unknown.silent[0] == "When it is unsure. How much it helps to defer such cases was not measured here."


def test_a_gate_is_told_also_before_anybody_evaluated_with_it():
    said = {gate: first_screen.screen(metrics_of(made_up()), (), (), gate).silent[-1] for gate in (False, True)}
    assert "warns about images that are too dark" in said[True] and "warn" not in said[False]
    assert "`" not in said[True]  # the page is no Markdown


def test_classes_of_few_cases_are_among_the_limits(shown):
    assert any("Fewer than 20 test inputs of cancer (10)" in each for each in shown.limits)
    assert shown.not_a_device.startswith("Not a medical device")


def test_what_the_makers_of_the_model_say_comes_first_and_three_limits_are_shown_at_most():
    of_model = ["For one cell in the middle.", "One training."]
    shown = first_screen.screen(metrics_of(made_up()), (), (), of_model=of_model)
    assert shown.limits[0] == "For one cell in the middle." and len(shown.limits) == 3
    assert shown.limits[1].startswith("Measured on 40 inputs") and shown.limits[2].startswith("Fewer than 20")
    assert shown.card_limits == ["One training."] and "not a patient's risk" in shown.other_limits[0]
    assert set(shown.limits).isdisjoint([*shown.other_limits, *shown.card_limits])


def test_a_class_without_inputs_is_said_to_be_untested_and_not_uncertain():
    found = limits.of(metrics_of(made_up(ill=0, right_of_ill=0)))
    assert "No test input, so not tested: cancer." in found and not any("uncertain" in each for each in found)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "sensitivity:0.95",
            "for a sensitivity of 95 % on the validation rows of A; here it found 80.0 % [44.4, 97.5].",
        ),
        (
            "specificity:0.9",
            "for a specificity of 90 % on the validation rows of A; here it cleared 90.0 % [73.5, 97.9].",
        ),
        ("youden", "for the highest sum of sensitivity and specificity on the validation rows of A."),
        ("cost:10", "so that a missed positive counts as much as 10 false alarms on the validation rows of A."),
    ],
)
def test_beside_the_threshold_stands_where_it_was_chosen_and_what_became_of_the_rate(rule, said):
    found = made_up()
    point = operating_points.at(found, OperatingPoint(rule, 0.5), positive=["cancer"], resamples=50)
    metrics = metrics_of(found) | {"operating_point": {**point, "chosen_on": "the validation rows of A"}}
    assert first_screen.screen(metrics, (), ()).threshold == f"Threshold chosen {said}"


def test_without_a_threshold_none_is_told_of(shown):
    assert shown.threshold == ""


@pytest.mark.parametrize(
    ("share", "many"), [(0.1, ""), (1 / 3, "A third or more of these images (33.3 %"), (0.6, "More than half of these")]
)
def test_what_the_gate_warned_about_is_a_sentence_and_from_a_third_on_a_banner(share, many):
    alarms = {"value": share, "low": share / 2, "high": 2 * share, "n": 40}
    quality = {"alarms": alarms, "by": {"too dark": 1, "unlike the training images": 9}}
    metrics = metrics_of(made_up()) | {"quality": quality}
    said = first_screen.screen(metrics, (), (), gate=True).silent[-1]
    assert said.endswith("It did so for 10.0 % [5.0, 20.0] of images here.") is (not many)
    banners = [told for word, told in summary_cards.banners(metrics, {}, {}) if word == "QUALITY"]
    assert [told.startswith(many) for told in banners] == [True] * bool(many)
    reasons = "are too dark or unlike the training images: do not trust the model's answers here."
    assert all(told.endswith(reasons) for told in banners)


def test_the_rows_say_what_was_left_out_and_that_none_had_a_split():
    def tested(images, first, remarks=()):
        rows = {"split": "all", "remarks": remarks, "left_out": {"images": images, "first": first}}
        return first_screen.screen(metrics_of(made_up()) | {"rows": rows}, (), ()).tested

    assert tested(1, ["x.png"]).endswith("30 negative. Left out as damaged: 1 image (x.png).")
    assert tested(9, ["a", "b", "c"]).endswith("Left out as damaged: 9 images (a, b, c, and 6 more).")
    assert tested(0, [], ["no row has a split: all 40 are tested"]).endswith(" No row has a split: all 40 are tested.")


def test_a_run_without_metrics_has_no_first_screen():
    assert first_screen.screen({"classes": ["a"], "confusion": []}, (), ()) is None
