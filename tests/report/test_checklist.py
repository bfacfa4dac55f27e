"""The checklists hold every item of the three guidelines, and say only what a run's files say."""

import re

import pytest
import yaml

from cervix_tf.decision import OperatingPoint
from cervix_tf.metrics import classification, operating_points, predictions
from cervix_tf.report import checklist
from cervix_tf.report.checklist_answers import ANSWERS, Facts
from cervix_tf.report.data_counts import Count, Counts

SUBITEMS = {
    "TRIPOD+AI": {3: "c", 5: "b", 6: "c", 8: "c", 9: "c", 12: "g", 18: "f", 20: "c", 23: "b", 27: "c"},
    "CLAIM 2024": {},
    "STARD-AI": {15: "d", 16: "c", 17: "b", 26: "b", 40: "b"},
}


def test_a_checklist_that_was_filled_in_is_not_written_again(tmp_path, metrics, capsys):
    path, found = tmp_path / "checklist.md", checklist.checklists(Facts(metrics))
    for title in ("first", "second"):
        checklist.write(path, title, found)
        assert f"# Reporting checklists: {title}\n" in path.read_text() and not checklist.edited(path)
    filled_in = path.read_text().replace("not reported", "approved by our ethics committee", 1)
    path.write_text(filled_in)
    checklist.write(path, "third", found)
    assert path.read_text() == filled_in and f"note: {path}: was edited and stays" in capsys.readouterr().out
    path.rename(tmp_path / "ours.md")
    checklist.write(path, "third", found)
    assert "# Reporting checklists: third\n" in path.read_text()


@pytest.fixture(scope="module")
def tested():
    rows = [[0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.6, 0.4]]
    return predictions.from_arrays(list("1234"), rows, ("normal", "cancer"), labels=["normal"] * 2 + ["cancer"] * 2)


@pytest.fixture(scope="module")
def metrics(tested):
    return classification.summary(tested, positive=["cancer"], resamples=50, data="made-up visits", synthetic=True)


def lines(facts, name):
    return {line.item: line for each in checklist.checklists(facts) if each.name == name for line in each.lines}


@pytest.mark.parametrize(("name", "last"), [("TRIPOD+AI", 27), ("CLAIM 2024", 44), ("STARD-AI", 40)])
def test_every_item_stands_in_its_list_once_and_in_order(metrics, name, last):
    expected = []
    for number in range(1, last + 1):
        end = SUBITEMS[name].get(number)
        expected += [f"{number}{chr(letter)}" for letter in range(ord("a"), ord(end) + 1)] if end else [str(number)]
    assert list(lines(Facts(metrics), name)) == expected


def test_every_answer_is_used_and_every_item_has_a_known_one():
    items = [item for each in yaml.safe_load(checklist._ITEMS.read_text()) for item in each["items"]]
    assert {item["answer"] for item in items if "answer" in item} == set(ANSWERS)
    assert all({"item", "topic"} <= set(item) <= {"item", "topic", "answer", "missing"} for item in items)


def test_what_no_run_can_know_is_left_to_the_authors(metrics):
    tripod = lines(Facts(metrics), "TRIPOD+AI")
    for item in ("17", "18a", "18d", "19"):
        assert tripod[item].text == "not reported: the authors must report it"
    assert lines(Facts(metrics), "STARD-AI")["6"].status == checklist.NOT_REPORTED


def test_bare_metrics_leave_what_other_files_would_say_not_reported(metrics):
    claim = lines(Facts(metrics), "CLAIM 2024")
    for item in ("9", "19", "20", "22", "23", "24", "25", "26", "27", "30", "31", "32", "36", "43"):
        assert claim[item].text == "not reported: this run's files do not say", item
    assert claim["7"].text == "made-up visits. Drawn by a program. (Model card, Data)"


def test_numbers_are_the_runs_own(metrics, tested):
    counts = Counts(["train", "test", "all"], [("all", [Count(6, 0), Count(4, 0), Count(10, 0)])], 10, ["woman 3"])
    tripod = lines(Facts(metrics, counts=counts), "TRIPOD+AI")
    assert tripod["21"].text.startswith("Images: train 6, test 4, all 10;")
    assert "Sensitivity 50.0 % [" in tripod["23a"].text and tripod["23a"].status == checklist.PARTLY
    assert (
        "10 groups (women, visits, slides or fields), 1 in more"
        in lines(Facts(metrics, counts=counts), "CLAIM 2024")["20"].text
    )
    strata = metrics | {"strata": {"site": {"NHS": {}}}}
    assert lines(Facts(strata), "TRIPOD+AI")["23a"].status == checklist.ANSWERED
    point = operating_points.at(tested, OperatingPoint("youden", 0.25), positive=["cancer"], resamples=50)
    said = lines(Facts(metrics | {"operating_point": point}), "STARD-AI")["15c"].text
    assert said == "Probabilities of 2 classes; positive at 0.25 or more, chosen by youden on validation."


def test_an_evaluation_does_not_claim_the_files_of_a_run(metrics):
    contract = {"task": "cells", "height": 8, "width": 8}
    of_evaluation, of_run = (
        checklist.markdown("x", checklist.checklists(Facts(metrics, contract, config=config)))
        for config in ({}, {"seed": "0"})
    )
    for words in ("config.json", "model.keras", "augmentation"):
        assert words in of_run and words not in of_evaluation, words
    assert "| cells; input and output in contract.json. " in of_evaluation


def test_calibration_before_and_after_is_claimed_of_calibrated_models_alone(metrics):
    measured = {"before": {"metrics": {}}, "after": None}
    for after, claimed in ((None, False), (measured["before"], True)):
        found = Facts(metrics | {"calibration_measures": measured | {"after": after}})
        assert ("before and after" in lines(found, "TRIPOD+AI")["24"].text) is claimed


def test_strata_are_compared_where_there_is_something_to_compare(metrics):
    for differences, claimed in (([], False), ([{"stratum": "<25"}], True)):
        found = metrics | {"strata": {"age": {"<25": {}}}, "strata_differences": {"age": differences}}
        assert ("compared with the others" in lines(Facts(found), "TRIPOD+AI")["23a"].text) is claimed


def test_a_sentence_s_first_letter_alone_is_made_a_capital(metrics):
    counts = Counts(["train", "all"], [("all", [Count(6, 0), Count(6, 0)])], 6, [])
    facts = Facts(metrics, config={"protocol": "by_WHO"}, counts=counts)
    text = checklist.markdown("x", checklist.checklists(facts))
    assert "Protocol by_WHO, each image's split in manifest.csv." in text


def test_a_gate_is_told_where_the_run_has_one(metrics):
    for gate in (False, True):
        assert ("warn about images" in lines(Facts(metrics, gate=gate), "TRIPOD+AI")["27a"].text) is gate


def test_the_page_tallies_what_it_lists(metrics):
    for each in checklist.checklists(Facts(metrics)):
        found = [int(number) for number in re.findall(r"\d+", each.tally)]
        assert sum(found) == len(each.lines)
        assert found[2] == sum(line.text.startswith("not reported") for line in each.lines)


def test_strings_of_others_cannot_break_the_table(metrics):
    text = checklist.markdown("x", checklist.checklists(Facts(metrics | {"data": "a | b\n<script>"})))
    assert "a \\| b &lt;script>" in text and "<script" not in text
