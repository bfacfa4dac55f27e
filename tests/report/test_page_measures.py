"""What a page shows of measures beside accuracy: strata, doubt, calibration, thresholds, the gate."""

import re
import shutil

import pytest

from cervix_tf.decision import OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.metrics import calibration, classification, operating_points, predictions, uncertainty
from cervix_tf.report import page
from cervix_tf.run_dir import read_json, write_json
from tests.report.checked_page import checked


def test_an_evaluation_needs_only_predictions_metrics_and_contract(whole_run, tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    for path in (whole_run.predictions, whole_run.metrics, whole_run.contract):
        shutil.copy(path, folder)
    found = checked(page.evaluation(folder))
    assert "Evaluation evaluation" in found.text
    assert "There is no manifest beside the predictions" in found.text
    assert found.links == ["#numbers", "#figures", "#cases", "#rerun"]
    (folder / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"metrics\.json"):
        page.evaluation(folder)


def test_a_run_with_a_quality_gate_is_not_said_to_answer_in_silence(whole_run):
    assert "warn about images" not in checked(page.run(whole_run)).text
    whole_run.quality.write_text("{}")
    assert "warn about images" in checked(page.run(whole_run)).text
    assert "warn about images" in whole_run.checklist.read_text(encoding="utf-8")


def test_strata_of_an_evaluation_are_shown(whole_run):
    metrics = read_json(whole_run.metrics)
    part = {key: metrics[key] for key in ("n", "groups", "metrics", "binary", "per_class", "confusion")}
    write_json(whole_run.metrics, {**metrics, "strata": {"site": {"NHS": part, "ALTS": part}}})
    text = checked(page.run(whole_run)).text
    assert "By site" in text
    assert re.search(r"including their differences: positive = [^;]*; by the most probable class\.", text)
    row = re.search(r'<th scope="row">ALTS</th>.*?</tr>', (whole_run.report).read_text(), re.DOTALL)
    first = f'<th scope="row">ALTS</th><td class="num">{metrics["n"]}</td>'
    assert row and row[0].startswith(first)  # n of all, not of the positives alone, where a narrow page shows it


def test_differences_between_strata_are_shown_with_what_they_paid_and_why_some_are_not(whole_run):
    metrics = read_json(whole_run.metrics)
    part = {key: metrics[key] for key in ("n", "groups", "metrics", "binary", "per_class", "confusion")}
    stated = {"value": -0.125, "low": -0.25, "high": 0.01, "n": 80, "method": "made up", "p": 0.0001, "p_holm": 0.0004}
    unstated = {"value": None, "low": None, "high": None, "n": 9, "method": "undefined: too few", "p": None}
    pair = {
        "stratum": "NHS",
        "against": "ALTS",
        "metrics": {"sensitivity": stated, "auc": {**unstated, "p_holm": None}},
    }
    strata = {"strata": {"site": {"NHS": part, "ALTS": part}}, "strata_differences": {"site": [pair]}}
    write_json(whole_run.metrics, {**metrics, **strata})
    text = checked(page.run(whole_run)).text
    assert "NHS minus ALTS" in text and "-12.5 points [-25.0, +1.0]" in text and "< 0.001" in text
    assert "not defined (too few)" in text


def test_measures_of_doubt_are_a_table_and_a_figure(whole_run):
    tested = predictions.read(whole_run.predictions)
    found = uncertainty.summary({"single": [tested], "dropout": [tested] * 3}, resamples=50)
    write_json(whole_run.metrics, {**read_json(whole_run.metrics), "uncertainty": found})
    shown = checked(page.run(whole_run))
    assert "the model as it is" in shown.text and "mean of 3 passes with dropout" in shown.text
    assert "mutual information" in shown.text and "+0.000" in shown.text
    assert 'alt="Risk and coverage. single, max probability:' in whole_run.report.read_text()


def test_calibration_before_and_after_and_the_operating_point_of_a_run_are_shown(whole_run):
    found = predictions.read(whole_run.predictions)
    metrics = read_json(whole_run.metrics)
    positive = metrics["binary"]["positive"]
    measured = calibration.measured(found, positive, resamples=100)
    point = operating_points.at(found, OperatingPoint("cost:10", 0.25), positive=positive, resamples=100)
    decided = {
        "calibration_measures": {"method": "platt", "scale": [1], "bias": [0], "before": measured, "after": measured},
        "operating_point": point,
    }
    write_json(whole_run.decisions, decided)
    text = checked(page.run(whole_run)).text
    assert "before platt scaling" in text and "after platt scaling" in text and "Calibration slope" in text
    assert "Operating point: cost:10" in text
    missed, ill = point["counts"]["missed"], point["counts"]["positive"]
    assert f"At its operating point (cost:10), of {ill} cases with" in text and f"it missed {missed};" in text


def headed_cells(shown, model):
    """Heading -> cell of a model's line in the table of every model."""
    lines = re.search(r'aria-label="Main metrics by Model">.*?</table>', shown, re.DOTALL)[0].split("<tr>")[1:]
    told = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.split(r"</t[hd]>", line)[:-1]] for line in lines]
    return next(dict(zip(told[0], line, strict=True)) for line in told[1:] if line[0] == model)


def test_in_a_narrow_window_no_method_is_squeezed_to_a_word_a_line(whole_run):
    shown = page.run(whole_run).read_text()
    last = re.findall(r"<td(?: class=\"(\w+)\")?>[^<]*</td>\n</tr>", shown)
    assert len(last) > 30 and set(last) == {"method"}
    assert re.search(r"td\.method { min-width: 3\dch; }", shown)


def test_each_number_of_a_model_stands_under_its_own_heading_though_another_is_read_in_another_way(whole_run):
    found = predictions.read(whole_run.rows["green"].predictions)
    metrics = classification.summary(found, resamples=50)  # no positive classes, unlike the other rows
    write_json(whole_run.rows["green"].metrics, metrics)
    cells = headed_cells(page.run(whole_run).read_text(), "green")
    assert cells["Accuracy"].startswith(f"{100 * metrics['metrics']['accuracy']['value']:.1f} %")
    assert cells["Macro AUC"].startswith(f"{metrics['metrics']['macro_auc']['value']:.3f}")
    assert cells["Sensitivity"] == cells["AUC"] == "–"


def test_models_beside_each_other_are_decided_by_the_same_rule_and_read_as_is_said(whole_run):
    found, metrics = predictions.read(whole_run.predictions), read_json(whole_run.metrics)
    positive = metrics["binary"]["positive"]
    point = operating_points.at(found, OperatingPoint("sensitivity:0.9", 0.01), positive=positive, resamples=50)
    write_json(whole_run.decisions, {"operating_point": point})
    shown = page.run(whole_run).read_text()
    by_class = metrics["binary"]["metrics"]["specificity"]["value"]
    assert point["metrics"]["specificity"]["value"] != by_class
    assert headed_cells(shown, "main model")["Specificity"].startswith(f"{100 * by_class:.1f} %")
    assert "AUC, sensitivity and specificity: positive = cin2_3 or cancer; by the most probable class." in shown
    other = classification.summary(found, positive=("cancer",), resamples=50)
    write_json(whole_run.rows["green"].metrics, other)
    told = "positive = cin2_3 or cancer (main model, acetic, iodine); positive = cancer (green); by the most probable"
    assert told in page.run(whole_run).read_text()


def test_a_page_says_which_rows_chose_the_threshold_and_what_makes_it_optimistic(whole_run):
    found, metrics = predictions.read(whole_run.predictions), read_json(whole_run.metrics)
    point = operating_points.at(
        found, OperatingPoint("cost:10", 0.25), positive=metrics["binary"]["positive"], resamples=100
    )
    metrics["operating_point"] = {**point, "chosen_on": "the validation rows of north"}
    metrics["thresholds"] = {"warnings": ["operating point: too <optimistic>"], "remarks": ["calibration: perhaps so"]}
    write_json(whole_run.metrics, metrics)
    shown = page.run(whole_run).read_text()
    assert "Operating point: cost:10, positive from a score of 0.25, chosen on the validation rows of north" in shown
    assert "<strong>THRESHOLDS</strong> operating point: too &lt;optimistic&gt;.</p>" in shown
    assert '<p class="soft">Calibration: perhaps so.</p>' in shown
