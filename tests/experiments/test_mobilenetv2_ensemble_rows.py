"""What the study's tables and rows say, without training any."""

import dataclasses
import statistics

import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest
from experiments.mobilenetv2_ensemble import config, listing, tables

PAPER = config.PAPER


@pytest.mark.parametrize("lines", [config.PUBLISHED.table_8, config.PUBLISHED.table_9, config.PUBLISHED.table_10])
def test_the_papers_harmonic_means_are_those_of_its_true_positive_rates(lines):
    """A check of the copy: the printed rates are cut to two digits and some rows are a few hundredths off."""
    for name, _, (_, *rates, harmonic) in lines:
        assert statistics.harmonic_mean(rates) == pytest.approx(harmonic, abs=0.08), name


def test_the_papers_accuracy_is_the_mean_of_its_class_rates_but_for_one_line_which_the_note_names():
    """So its test classes are equally large: 12 visits each."""
    lines = (*config.PUBLISHED.table_8, *config.PUBLISHED.table_9, *config.PUBLISHED.table_10)
    off = {row for _, row, (accuracy, *rates, _) in lines if abs(statistics.mean(rates) - accuracy) > 0.02}
    assert off == {"densenet121-balanced"}
    (_, _, (accuracy, *rates, _)) = config.PUBLISHED.table_9[0]
    assert (
        f"{accuracy:.2f}, contradicts its rates, whose mean is {statistics.mean(rates):.2f}" in tables.CONTRADICTIONS[9]
    )


def test_the_printed_accuracies_that_cannot_be_of_table_5s_trainings_are_those_that_the_note_names():
    best = {row: values[0] for _, row, values, *_ in config.PUBLISHED.table_5}
    balanced = [line for line in config.PUBLISHED.table_9 if line[1].endswith("-balanced")]
    accuracies = {row.removesuffix("-balanced"): values[0] for _, row, values in balanced}
    above = {row: accuracy for row, accuracy in accuracies.items() if accuracy > best[row]}
    assert above.pop("densenet121") == 66.66  # contradicts its own rates
    assert above == {"resnet18": 65.00, "mobilenet_v2": 65.41, "resnext101_32x8d": 65.00}
    assert "with CE, 65.00, 65.41 and 65.00, are above Table 5's" in tables.CONTRADICTIONS[9]


def test_lines_whose_printed_recall_is_not_their_accuracy_are_those_that_the_notes_name():
    printed = config.PUBLISHED

    def off(lines):
        return [name for name, _, paper, *_ in lines if paper and paper[2] != paper[0]]

    assert off(printed.table_5) == [name for name, *_ in printed.table_5]
    assert off(printed.table_6) == [name for name, *_ in printed.table_6[:2]]
    assert all(f"{line[2][2]:.2f}" in tables.CONTRADICTIONS[6] for line in printed.table_6[:2])
    assert f"{statistics.mean(printed.table_8[0][2][1:5]):.2f}" == "71.25" and "71.25" in tables.CONTRADICTIONS[5]


@pytest.mark.parametrize("number", config.TABLES)
def test_every_line_of_a_table_is_a_row_of_the_study(number):
    assert config.TABLES[number] and set(config.TABLES[number]) <= set(config.ROWS)


def test_a_row_stands_after_the_rows_that_it_is_made_of():
    order = list(config.ROWS)
    for row in config.ROWS.values():
        assert all(order.index(needed) < order.index(row.name) for needed in row.needs)


def test_the_weighted_ensemble_has_the_plain_iodine_trunk():
    assert config.ROWS["ensemble-weighted"].needs == ("acetic-exp100", "green-exp100", "iodine")


def test_learning_rates_are_those_of_the_losses():
    rate = {name: PAPER.optimizer_of(row).learning_rate for name, row in config.ROWS.items() if row.stage != "time"}
    assert rate["acetic"] == rate["ensemble"] == rate["vgg19"] == 1e-4
    assert rate["acetic-focal-2"] == 1e-3
    assert (
        rate["acetic-population"]
        == rate["acetic-exp100"]
        == rate["vgg19-weighted"]
        == rate["ensemble-weighted"]
        == 1e-5
    )
    assert rate["ensemble-fine-tuned"] == 1e-8


def test_only_weights_that_are_recalculated_are_trained_longer():
    names = ("acetic", "acetic-x3", "vgg19-weighted", "ensemble-weighted", "acetic-population", "acetic-focal-2")
    epochs = {name: PAPER.optimizer_of(config.ROWS[name]).epochs for name in names}
    assert epochs == {
        "acetic": 100,
        "acetic-x3": 200,
        "vgg19-weighted": 200,
        "ensemble-weighted": 200,
        "acetic-population": 100,
        "acetic-focal-2": 100,
    }


def test_checkpoints_are_kept_by_accuracy_and_in_the_imbalance_rows_by_the_harmonic_mean():
    kept = {name: PAPER.criterion_of(row) for name, row in config.ROWS.items()}
    assert kept["acetic"] == kept["ensemble-fine-tuned"] == kept["resnet18"] == "val_accuracy"
    assert kept["acetic-focal-1"] == kept["acetic-population"] == kept["ensemble-weighted"] == "val_harmonic_mean_tpr"


def test_phi_of_the_baselines_follows_the_configuration_where_the_paper_contradicts_itself():
    phi = {name: PAPER.loss_of(config.ROWS[f"{name}-weighted"]).phi for name in config.BASELINES}
    assert phi == dict.fromkeys(config.BASELINES, "exp(100x)") | {"vgg19": "exp(x)"}
    other = dataclasses.replace(PAPER, imbalance=config.Imbalance(resnet18_phi="exp(x)"))
    assert other.loss_of(config.ROWS["resnet18-weighted"]).phi == "exp(x)"


def test_without_tables_the_main_model_is_run():
    assert [row.name for row in config.wanted(PAPER, RunRequest())] == [
        *("acetic", "green", "iodine", "ensemble", "ensemble-fine-tuned")
    ]


def test_tables_share_rows_and_run_each_once():
    names = [row.name for row in config.wanted(PAPER, RunRequest(tables=(5, 8, 10)))]
    assert len(names) == len(set(names)) and names.count("acetic") == 1
    assert set(names) == {*config.TABLES[5], *config.TABLES[8], *config.TABLES[10]}


def test_the_papers_best_model_is_the_one_that_runs_without_tables_and_is_exported():
    (headline,) = {line[1] for line in config.PUBLISHED.table_6 if line[2] and line[2][0] == 83.33}
    assert config.MAIN_ROW == headline == config.wanted(PAPER, RunRequest())[-1].name
    assert config.result_dir(RunDir("run"), headline) == RunDir("run")


def test_training_the_trunks_too_is_a_row_of_its_own_at_a_learning_rate_that_moves_them():
    tuned, whole = (config.ROWS[f"ensemble-{name}"] for name in ("fine-tuned", "end-to-end"))
    assert tuned.needs == whole.needs == ("ensemble",)
    assert PAPER.optimizer_of(whole).learning_rate == 1e-4
    assert PAPER.images_of(tuned).batch_size == 16 and PAPER.images_of(whole).batch_size == 4


def test_an_unknown_row_is_refused_with_the_names_of_all():
    with pytest.raises(InputError, match="ensemble-fine-tuned"):
        config.wanted(PAPER, RunRequest(only=("ensembl",)))


def test_the_list_says_how_far_each_row_is(tmp_path):
    out = RunDir(tmp_path)
    write_json(out.row("green").metrics, {})
    history = out.row("acetic").history
    history.parent.mkdir(parents=True)
    history.write_text("epoch,seconds\n1,30\n2,30\n")
    found = {line.row: line for line in listing.rows(PAPER, out, RunRequest(tables=(6, 7)))}
    assert set(found) == {*config.TABLES[6], *config.TABLES[7]}
    assert found["green"].state == "finished"
    assert found["acetic"].state == "2 of 100 epochs" and found["acetic"].cost == "50.0 min"
    assert found["iodine"].state == "not begun" and found["iodine"].cost.startswith("about ")
    assert "6" in found["ensemble"].tables and found["time-vgg19"].cost == "forward passes only"


def test_an_estimate_is_three_forward_passes_an_input_and_epoch_at_the_papers_times(tmp_path):
    found = {line.row: line.cost for line in listing.rows(PAPER, RunDir(tmp_path), RunRequest(tables=(5, 6)))}
    assert found["vgg19"] == f"about {3 * 0.831 * 429 * 5 * 100 / 3600:.1f} h for 429 visits"
    assert found["ensemble"] == f"about {0.390 * 429 * 100 / 3600:.1f} h for 429 visits"  # trunks once a copy


def said_of(count, seed, only=slice(None)):
    """Predictions of cases that agree with their labels more often than not, two cases a woman."""
    rng = np.random.default_rng(seed)
    at = np.arange(count)[only]
    labels = [config.CLASSES[case % 4] for case in at]
    probabilities = rng.dirichlet(np.ones(4), count)[only] + 0.3 * np.eye(4)[at % 4]
    return predictions.from_arrays(
        [f"case {case}" for case in at], probabilities / 1.3, config.CLASSES, labels=labels,
        groups=[f"woman {case // 2}" for case in at], cases=[f"case {case}" for case in at],
    )  # fmt: skip


def test_the_ensemble_of_any_views_stands_beside_the_published_one_on_the_same_cases():
    ours, published = said_of(40, 0), said_of(40, 1, slice(10, 36))
    found = tables.any_views({"ensemble-any-views": ours, "ensemble": published}, config.POSITIVE, 0, "Ours.")
    everywhere, lacking, complete, other, difference = (
        [cell["value"] for cell in row["ours"]] for row in found["rows"]
    )

    def by_hand(said):
        truth, score = (said.labels >= 2), said.probabilities[:, 2:].sum(axis=1)
        pairs = score[truth][:, None] - score[~truth][None]
        return [100 * (said.decisions == said.labels).mean(), 100 * ((pairs > 0) + 0.5 * (pairs == 0)).mean()]

    kept = np.arange(40)[10:36]
    expected = [ours, ours.where(~np.isin(np.arange(40), kept)), ours.where(np.isin(np.arange(40), kept)), published]
    for values, said in zip((everywhere, lacking, complete, other), expected, strict=True):
        assert values == pytest.approx(by_hand(said))
    assert difference == pytest.approx(np.subtract(complete, other))
    assert [row["ours"][0]["n"] for row in found["rows"]] == [40, 14, 26, 26, 26]
    assert config.CLASSES[2:] == config.POSITIVE and "paired" in found["note"]

    rng = np.random.default_rng(5)
    right = (expected[2].decisions == expected[2].labels).astype(float) - (published.decisions == published.labels)
    drawn = [right.reshape(13, 2)[rng.integers(0, 13, 13)].mean() * 100 for _ in range(4000)]
    cell = found["rows"][-1]["ours"][0]
    assert [cell["low"], cell["high"]] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=4)


def test_alone_the_ensemble_of_any_views_has_the_line_of_all_cases():
    found = tables.any_views({"ensemble-any-views": said_of(40, 0)}, config.POSITIVE, 0, "Ours.")
    assert [row["row"] for row in found["rows"]] == ["ensemble-any-views"]


def test_the_row_of_ours_runs_only_when_it_is_asked_for():
    row = config.ROWS["ensemble-any-views"]
    assert row.needs == config.KINDS and row.name not in config.MAIN
    assert not any(row.name in names for names in config.TABLES.values())
    assert config.wanted(PAPER, RunRequest(only=(row.name,))) == [row]
    assert PAPER.optimizer_of(row) == PAPER.optimizer_of(config.ROWS["ensemble"])
