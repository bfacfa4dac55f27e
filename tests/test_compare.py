import json
from typing import get_args
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests

from cervix_tf.compare import comparison, forest, pairing, significance
from cervix_tf.compare.__main__ import main
from cervix_tf.data import manifest, seen
from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, multiplicity, predictions

CLASSES = ("control", "case")


def model(skill, seed, rows=120, images=1, classes=CLASSES):
    """A model's predictions on the same rows for every skill and seed; `images` rows a group."""
    truth = np.random.default_rng(99).integers(0, len(classes), rows)
    scores = np.random.default_rng(seed).normal(size=(rows, len(classes)))
    scores[np.arange(rows), truth] += skill
    scores = np.exp(scores)
    return predictions.from_arrays(
        [f"{at:04}" for at in range(rows)],
        scores / scores.sum(1, keepdims=True),
        classes,
        labels=[classes[at] for at in truth],
        groups=[f"woman {at // images}" for at in range(rows)],
    )


def save(found, folder, positive=("case",), **labels):
    predictions.write(found, folder / "predictions.csv")
    metrics = {"binary": {"positive": list(positive)} if positive else None, **labels}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return str(folder)


@given(st.integers(0, 200), st.integers(0, 200))
@settings(max_examples=500, deadline=None)
def test_mcnemar_equals_statsmodels(only_first, only_second):
    exact = only_first + only_second < significance.EXACT_BELOW
    found = significance.mcnemar(only_first, only_second)
    if only_first + only_second == 0:
        assert found.p == 1
        return
    if only_first == only_second and not exact:  # statsmodels takes (0 - 1)^2 for no difference at all
        assert found.p == 1
        return
    table = [[7, only_first], [only_second, 5]]
    assert found.p == pytest.approx(reference_mcnemar(table, exact=exact, correction=True).pvalue)
    assert ("exact" in found.method) == exact


def test_sign_flips_of_single_rows_are_mcnemars_exact_test():
    for only_first, only_second in ((9, 2), (6, 6), (0, 5), (13, 0)):
        differences = np.r_[np.ones(only_first), -np.ones(only_second), np.zeros(20)]
        found = significance.sign_flip(differences, np.arange(len(differences)))
        assert found.p == pytest.approx(significance.mcnemar(only_first, only_second).p)
    differences = np.r_[np.ones(16), -np.ones(5)]
    found = significance.sign_flip(differences, np.arange(21), draws=40_000)
    assert found.p == pytest.approx(significance.mcnemar(16, 5).p, abs=0.005)


def test_sign_flips_are_not_fooled_by_many_images_of_few_women():
    differences = np.r_[np.ones(40), -np.ones(10)]  # five women of ten images, four of them for the first model
    women = np.arange(50) // 10
    assert significance.mcnemar(40, 10).p < 0.001
    assert significance.sign_flip(differences, women).p == pytest.approx(2 * (1 + 5) / 2**5)


def slow_delong(first, second, positive):
    """Straight from the definition: every positive against every negative, then covariances."""
    hit, miss = np.flatnonzero(positive), np.flatnonzero(~positive)
    areas, of_hit, of_miss = [], [], []
    for score in (first, second):
        wins = np.array([[(score[i] > score[j]) + 0.5 * (score[i] == score[j]) for j in miss] for i in hit])
        areas.append(wins.mean())
        of_hit.append(wins.mean(1))
        of_miss.append(wins.mean(0))
    covariance = np.zeros((2, 2))
    for a in range(2):
        for b in range(2):
            from_hits = sum((of_hit[a] - areas[a]) * (of_hit[b] - areas[b])) / (len(hit) - 1)
            from_misses = sum((of_miss[a] - areas[a]) * (of_miss[b] - areas[b])) / (len(miss) - 1)
            covariance[a, b] = from_hits / len(hit) + from_misses / len(miss)
    return areas[0] - areas[1], np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


@given(st.integers(0, 2**32 - 1), st.integers(6, 40), st.booleans())
@settings(max_examples=100, deadline=None)
def test_delong_equals_its_definition(seed, rows, ties):
    generator = np.random.default_rng(seed)
    positive = np.arange(rows) % 3 == 0
    first, second = generator.normal(size=(2, rows)) + positive
    if ties:
        first, second = first.round(), second.round()
    difference, error, test = significance.delong(first, second, positive)
    expected, expected_error = slow_delong(first, second, positive)
    assert difference == pytest.approx(expected)
    assert error == pytest.approx(expected_error, abs=1e-9)
    assert difference == pytest.approx(roc_auc_score(positive, first) - roc_auc_score(positive, second))
    if expected_error > 1e-9:
        assert test.p == pytest.approx(2 * stats.norm.sf(abs(expected) / expected_error))


def test_delong_needs_two_rows_of_each_side():
    difference, _, test = significance.delong([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [True, False, False])
    assert np.isnan(difference)
    assert (test.p, test.method) == (1.0, "DeLong: under two rows of one side")


@pytest.mark.parametrize(("rows", "p"), [(2, 0.5), (10, 2 / 1024)])
def test_two_areas_that_do_not_vary_are_not_certain_to_differ_on_few_rows(rows, p):
    truth = np.arange(2 * rows) < rows
    difference, _, test = significance.delong(truth.astype(float), np.full(2 * rows, 0.5), truth)
    assert (difference, test.p) == (0.5, pytest.approx(p))
    assert test.method == f"DeLong: no variance; sign test of {rows} rows"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=500, deadline=None)
def test_corrections_equal_statsmodels(p_values):
    for ours, theirs in (("holm", "holm"), ("bh", "fdr_bh")):
        with mock.patch("gc.collect"):  # statsmodels collects garbage in every call, for a sixth of a second
            expected = multipletests(p_values, method=theirs)[1]
        assert multiplicity.corrected(p_values, ours) == pytest.approx(expected)


def test_pairs_have_the_difference_counts_and_kappa_of_their_rows():
    models = {"good": model(2, 1), "bad": model(0.3, 2)}
    found = comparison.compare(models, resamples=300)
    good, bad = models.values()
    (pair,) = found["pairs"]
    right, other = good.decisions == good.labels, bad.decisions == bad.labels
    assert pair["difference"]["value"] == pytest.approx(right.mean() - other.mean())
    assert pair["difference"]["low"] < pair["difference"]["value"] < pair["difference"]["high"]
    assert (pair["only_first"], pair["only_second"]) == (sum(right & ~other), sum(other & ~right))
    table = [[sum((good.decisions == a) & (bad.decisions == b)) for b in (0, 1)] for a in (0, 1)]
    assert pair["kappa"]["value"] == pytest.approx(cohens_kappa(table).kappa)
    assert pair["p"] == significance.mcnemar(pair["only_first"], pair["only_second"]).p
    assert found["models"]["good"]["method"] == "Wilson 95%"
    assert pair["difference"]["method"] == "bootstrap 95%, 120 rows, 300 resamples"


def test_a_paired_interval_is_narrower_than_an_unpaired_one_of_models_that_agree():
    first = model(1.0, 1, rows=300)
    worse = first.table.assign(p_control=first.table["p_control"] * 0.9)
    worse["p_case"] = 1 - worse["p_control"]
    found = comparison.compare({"a": first, "b": predictions.Predictions(worse, CLASSES)}, resamples=300)
    paired = found["pairs"][0]["difference"]
    alone = found["models"]["a"]
    assert paired["high"] - paired["low"] < 0.7 * (alone["high"] - alone["low"])


@pytest.mark.parametrize("metric", ["accuracy", "auc"])
def test_models_of_other_cases_differ_with_the_uncertainty_of_both(metric):
    first, second = model(1.5, 1, rows=300), model(0.3, 2, rows=200)
    found = comparison.independent_difference(first, second, metric, positive=["case"], seed=3)
    alone = [
        comparison.compare({"a": each, "b": each}, metric, positive=["case"])["models"]["a"] for each in (first, second)
    ]
    assert found.value == pytest.approx(alone[0]["value"] - alone[1]["value"])
    widths = [each["high"] - each["low"] for each in alone]
    assert found.high - found.low == pytest.approx(np.hypot(*widths), rel=0.1)
    assert found.n == 500 and "300 and 200 groups" in found.method


def test_rows_that_share_a_group_are_tested_by_group():
    models = {"a": model(2, 1, images=4), "b": model(0.3, 2, images=4)}
    by_accuracy = comparison.compare(models, resamples=200)
    by_area = comparison.compare(models, "auc", positive=["case"], resamples=200)
    assert by_accuracy["pairs"][0]["test"].startswith("sign flips")
    assert by_area["pairs"][0]["test"] == "bootstrap, 200 resamples"
    assert "30 groups" in by_accuracy["pairs"][0]["difference"]["method"]


@pytest.mark.parametrize("images", [1, 2, 8])
def test_an_accuracy_has_the_interval_of_metrics_json(images):
    models = {"a": model(1, 1, rows=160, images=images), "b": model(0.3, 2, rows=160, images=images)}
    found = comparison.compare(models)["models"]
    for name, each in models.items():
        assert found[name] == classification.summary(each)["metrics"]["accuracy"]


@pytest.mark.parametrize("metric", ["auc", "macro_f1"])
@pytest.mark.parametrize("images", [60, 10])
def test_few_groups_that_agree_are_no_proof_of_a_difference(metric, images):
    models = {"a": model(3, 1, images=images), "b": model(0.3, 2, images=images)}
    (pair,) = comparison.compare(models, metric, positive=["case"], resamples=200)["pairs"]
    assert (pair["p"], pair["p_corrected"]) == (1.0, 1.0)
    assert pair["test"] == f"no test: {120 // images} groups, a bootstrap needs 20"


def test_the_groups_of_a_test_of_auc_are_those_of_the_rarer_class():
    found = model(2, 1, images=2)  # 60 groups, of which 5 have all cases
    ids = found.table["id"].to_numpy()
    rare = found.where((found.labels == 0) | (ids < "0010"))
    other = model(0.3, 2, images=2).of(rare.table["id"])
    groups = len(set(rare.groups[rare.labels == 1]))
    (pair,) = comparison.compare({"a": rare, "b": other}, "auc", positive=["case"], resamples=200)["pairs"]
    assert groups < 6 and len(set(rare.groups)) > 20
    assert pair["test"] == f"no test: {groups} groups, a bootstrap needs 20"


def test_auc_of_independent_rows_is_tested_by_delong():
    models = {"a": model(2, 1), "b": model(0.3, 2)}
    (pair,) = comparison.compare(models, "auc", positive=["case"], resamples=200)["pairs"]
    scores = [each.probabilities[:, 1] for each in models.values()]
    difference, error, test = significance.delong(*scores, models["a"].labels == 1)
    assert (pair["test"], pair["p"]) == ("DeLong", test.p)
    assert pair["difference"]["value"] == pytest.approx(difference)
    assert (pair["difference"]["high"] - pair["difference"]["low"]) / (2 * 1.96 * error) == pytest.approx(1, abs=0.25)


def test_many_pairs_pay_for_each_other():
    models = {f"m{at}": model(0.6 * at, at) for at in range(4)}
    found = comparison.compare(models, resamples=100, correction="bh")
    assert len(found["pairs"]) == 6
    expected = stats.false_discovery_control([pair["p"] for pair in found["pairs"]])
    assert [pair["p_corrected"] for pair in found["pairs"]] == pytest.approx(expected)


def test_rows_in_another_order_are_paired_by_id():
    first = model(1, 1)
    shuffled = first.table.sample(frac=1, random_state=0).reset_index(drop=True)
    found = pairing.paired({"a": first, "b": predictions.Predictions(shuffled, CLASSES)})
    assert found["b"].table.equals(found["a"].table)


def test_a_network_of_single_images_is_compared_with_one_of_whole_cases_by_the_mean_of_each_cases_images():
    cases = predictions.from_arrays(
        ["a", "b"], [[0.9, 0.1], [0.2, 0.8]], CLASSES, labels=["control", "case"], cases=["a", "b"], groups=["a", "b"]
    )
    images = predictions.from_arrays(
        ["a/1.jpg", "a/2.jpg", "b/1.jpg"],
        [[0.4, 0.6], [0.8, 0.2], [0.3, 0.7]],
        CLASSES,
        labels=["control", "control", "case"],
        cases=["a", "a", "b"],
        groups=["a", "a", "b"],
    )
    found = pairing.paired(pairing.by_case({"ensemble": cases, "view": images}))
    assert list(found["view"].table["id"]) == ["a", "b"]
    np.testing.assert_allclose(found["view"].probabilities, [[0.6, 0.4], [0.3, 0.7]])
    assert pairing.by_case({"one": images, "two": images})["two"] is images  # images with images, one by one


def test_runs_on_different_cases_are_refused_with_how_many_and_which():
    first, longer = model(1, 1, rows=20), model(1, 1, rows=24)
    message = r"not the same cases: 0 only in the first, 4 \(0020, 0021, 0022, ...\) only in the second"
    with pytest.raises(InputError, match=message):
        pairing.paired({"a": first, "b": longer})


def test_runs_that_disagree_on_labels_groups_or_classes_are_refused():
    first = model(1, 1, rows=20)
    assert first.table["label"][0] == "case"
    other = first.table.assign(label=["control", *first.table["label"][1:]])
    with pytest.raises(InputError, match=r"labels differ for 1 \(0000\)"):
        pairing.paired({"a": first, "b": predictions.Predictions(other, CLASSES)})
    with pytest.raises(InputError, match="groups differ for 19"):
        pairing.paired({"a": first, "b": model(1, 1, rows=20, images=2)})
    with pytest.raises(InputError, match="only models of the same task"):
        pairing.paired({"a": first, "b": model(1, 1, rows=20, classes=("control", "case", "other"))})


def test_runs_are_named_by_the_shortest_ends_that_differ(tmp_path):
    runs = [tmp_path / "demo" / "rows" / "green", tmp_path / "demo" / "rows" / "iodine" / "predictions.csv"]
    assert pairing.names(runs) == ["green", "iodine"]
    assert pairing.names([tmp_path / "a" / "green", tmp_path / "b" / "green"]) == ["a/green", "b/green"]
    with pytest.raises(InputError, match="is given twice"):
        pairing.names([runs[0], runs[0] / "predictions.csv"])


def test_the_command_writes_numbers_and_pictures(tmp_path, capsys):
    runs = [save(model(skill, at), tmp_path / f"run{at}", synthetic=True) for at, skill in enumerate((0.2, 1, 2))]
    main([*runs, "-o", str(tmp_path / "out"), "--resamples", "200", "--metric", "auc"])
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert list(found["models"]) == ["run0", "run1", "run2"]
    assert (found["positive"], found["labels"]) == (["case"], ["SYNTHETIC"])
    assert "[SYNTHETIC DATA]" in printed
    assert "run0 - run2" in printed
    lines = (tmp_path / "out" / "comparison.csv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("first,second,difference,low,high,n,method,p,p_corrected")
    assert (tmp_path / "out" / "forest.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "forest.svg").read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize("metric", get_args(comparison.Metric))
def test_every_metric_has_a_forest_plot_that_names_it(metric, tmp_path):
    runs = [save(model(1, at), tmp_path / f"run{at}") for at in range(2)]
    main([*runs, "-o", str(tmp_path / "out"), "--resamples", "100", "--metric", metric])
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["metric"] == metric
    assert (tmp_path / "out" / "forest.png").is_file()


def run_with(folder, found, split, **config):
    """A study's run: predictions, and a manifest in which women 0 to 29 are of `split` and the others train."""
    folder.mkdir(parents=True)
    rows = found.table
    records = [
        {"path": row.id, "group": row.group, "split": split if at < 30 else "train"}
        for at, row in enumerate(rows.itertuples())
    ]
    manifest.write(manifest.from_records(records, folder), folder / "manifest.csv")
    (folder / "config.json").write_text(json.dumps(config))
    return save(found, folder)


def test_models_that_had_seen_what_they_are_compared_on_are_named_first(tmp_path, capsys):
    found = model(1.0, 1, rows=60)
    sound, leaking = run_with(tmp_path / "sound", found, "test"), run_with(tmp_path / "leaking", found, "train")
    for name in ("sound", "leaking"):
        predictions.write(found.where(np.arange(60) < 30), tmp_path / name / "predictions.csv")
    main([sound, leaking, "-o", str(tmp_path / "out"), "--resamples", "100"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("WARNING: leaking: the model was trained on 0 of these 30 files and on ALL of these 30")
    said = json.loads((tmp_path / "out" / "comparison.json").read_text())["seen"]
    assert (said["sound"]["trained_groups"], said["leaking"]["trained_groups"]) == (0, 30)


def test_an_evaluation_carries_the_record_of_its_model_and_folds_and_bare_tables_are_not_guessed(tmp_path, capsys):
    found = model(1.0, 1, rows=60)
    folds = run_with(tmp_path / "folds", found, "test", folds=5)
    bare = tmp_path / "bare" / "predictions.csv"
    bare.parent.mkdir()
    predictions.write(found, bare)
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    save(found, evaluation)
    records = [{"path": "other", "group": "woman 3", "split": "validation"}]
    seen.of(manifest.from_records(records, tmp_path)).write(evaluation / "seen.json")
    main([folds, str(bare), str(evaluation), "-o", str(tmp_path / "out"), "--resamples", "100"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(
        "WARNING: evaluation: the model was chosen on 0 of these 60 files and on 1 of these 60"
    )
    assert printed[1].startswith("note: folds: cross-validated")
    assert printed[2] == "note: bare: does not say what its model was trained on"


def test_the_forest_plot_shows_what_is_not_defined(tmp_path):
    truth_of_one_class = model(1, 1, rows=20)
    models = {}
    for name, seed in (("a", 1), ("b", 2)):
        table = model(1, seed, rows=20).table.assign(label="case")
        models[name] = predictions.Predictions(table, truth_of_one_class.classes)
    found = comparison.compare(models, "auc", positive=["case"], resamples=100)
    assert found["models"]["a"]["value"] is None
    forest.draw(found, [tmp_path / "forest.svg"])
    assert (tmp_path / "forest.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "at least two runs"),
        (["missing", "other"], "no such file"),
        (["a", "a"], "is given twice"),
        (["a", "b", "--metric", "auc", "--positive", "cin9"], "name some, not all, of control, case"),
        (["a", "c"], "the runs disagree on the positive classes"),
        (["a", "b", "--positive", "case"], "--positive is for --metric auc, not accuracy"),
        (["a", "d"], "d/metrics.json: does not contain a JSON object"),
    ],
)
def test_wrong_input_ends_in_a_message_and_exit_code_2(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    save(model(1, 1), tmp_path / "a")
    save(model(1, 2), tmp_path / "b")
    save(model(1, 3), tmp_path / "c", positive=("control",))
    save(model(1, 4), tmp_path / "d")
    (tmp_path / "d" / "metrics.json").write_text("[]")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
