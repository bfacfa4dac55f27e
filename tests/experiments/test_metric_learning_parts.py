"""The study's parts: the paper's tables as data, what its readings and splits make of images, the second reader."""

from dataclasses import replace

import numpy as np
import pytest

from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import classification, predictions
from cervix_tf.report.tables import per_cent
from cervix_tf.study import RunRequest
from experiments.metric_learning import config, data, model, second_reader, tables, training, women
from experiments.metric_learning.config import METHODS, NEIGHBORS, PAPER, SPLITS, TASKS, Batches, Config, Row

CLASSES = ("control", "case")


def images(women=40, split="", classes=CLASSES):
    records = [
        {
            "path": f"{woman}_{image}.jpg",
            "label": classes[woman % len(classes)],
            "group": f"woman {woman}",
            "split": split if isinstance(split, str) else split[woman % len(split)],
        }
        for woman in range(women)
        for image in range(2)
    ]
    return manifest.from_records(records, ".")


def judged(decisions, groups=None, ages=None, labels=None):
    count = len(decisions)
    return predictions.from_arrays(
        [f"id {at}" for at in range(count)],
        np.eye(2)[decisions],
        CLASSES,
        labels=[CLASSES[label] for label in (labels if labels is not None else np.arange(count) % 2)],
        groups=groups,
        ages=ages,
    )


def test_every_published_accuracy_is_a_whole_number_of_val2_images():
    for of_k in tables.PUBLISHED.table_4.values():
        for network in of_k.values():
            for pair in network:
                for share, count in zip(pair, tables.PUBLISHED.val2, strict=True):
                    assert abs(share - 100 * round(share * count / 100) / count) < 0.0051


def test_the_papers_tables_2_and_4_contradict_each_other_in_seven_of_fifteen_cells():
    """With K = 1 the mean K-precision is the accuracy; the README says where the paper's differ."""
    apart = []
    for network, precisions in tables.PUBLISHED.table_2[1].items():
        for method, precision, pair in zip(METHODS, precisions, tables.PUBLISHED.table_4[1][network], strict=True):
            right = sum(round(share * count / 100) for share, count in zip(pair, tables.PUBLISHED.val2, strict=True))
            if abs(precision - 100 * right / sum(tables.PUBLISHED.val2)) > 0.01:
                apart.append((network, method))
    others = [(network, method) for network in ("mobilenet", "nasnet_mobile") for method in METHODS[2:]]
    assert apart == [("resnet50", "n_pair"), *others]


# Age -> reader -> 95 % CI of the cases found and of the controls found, as Table 7 prints them.
PRINTED = {
    "all": {"second": ((73.9, 90.7), (82.1, 83.8)), "ours": ((73.9, 90.7), (84.4, 85.9))},
    "<25": {"second": ((54.4, 93.9), (74.2, 79.7)), "ours": ((48.8, 90.9), (73.3, 78.9))},
    "25-49": {"second": ((84.9, 99.5), (83.0, 85.0)), "ours": ((78.8, 97.5), (85.2, 87.1))},
    "50+": {"second": ((36.1, 80.9), (81.4, 84.5)), "ours": ((50.9, 91.3), (85.0, 87.9))},
}


def test_table_7_shows_the_papers_counts_and_its_printed_intervals():
    everyone = judged([0, 1, 1, 0])
    readers = {"second reader": dict.fromkeys(PRINTED, everyone), "ours": dict.fromkeys(PRINTED, everyone)}
    shares, counts = tables.by_age(CLASSES, readers, "", seed=0)
    for age, of_reader in PRINTED.items():
        for reader, (cases, controls) in of_reader.items():
            label = {"second": "second reader", "ours": "ours"}[reader]
            name = f"{tables.AGE_NAMES[age]}, {label}"
            row, of_counts = (next(each for each in t["rows"] if each["name"] == name) for t in (shares, counts))
            assert [tuple(round(end, 1) for end in ends) for ends in row["paper_bounds"]] == [controls, cases]
            assert of_counts["paper"] == list(tables.PUBLISHED.table_7[age][reader])
            assert [cell["value"] for cell in of_counts["ours"]] == [1, 1, 1, 1]


def test_the_papers_table_8_kappas_follow_from_its_counts():
    from cervix_tf.metrics import confusion

    for (both_control, only_ours, only_second, both), kappa in tables.PUBLISHED.table_8.values():
        matrix = np.array([[both_control, only_ours], [only_second, both]], float)
        assert round(float(confusion.kappa(matrix)), 2) == kappa


def test_each_table_has_the_papers_layout_and_empty_cells_where_nothing_was_run():
    def score(row, k, name=""):
        return {"value": 50.0, "low": 40.0, "high": 60.0, "n": 10, "method": "m"} if row.method == "n_pair" else None

    two = tables.k_precision(2, "val2", PAPER.networks, score, "note")
    assert [row["name"] for row in two["rows"]][:2] == ["K = 1, ResNet-50", "K = 1, MobileNet"]
    assert two["rows"][0]["paper"] == [65.12, 90.43, 89.20, 91.05, 91.98]
    assert [each is None for each in two["rows"][0]["ours"]] == [True, True, True, False, True]
    four = tables.of_classes(4, "t", PAPER.networks, CLASSES, NEIGHBORS, score, "note")
    assert len(four["rows"]) == 45 and four["rows"][-1]["paper"] == [91.32, 91.46]
    three = tables.of_classes(3, "t", PAPER.networks, CLASSES, (), score, "note")
    assert len(three["rows"]) == 15 and three["rows"][0]["paper"] is None and "not in the text" in three["note"]


def test_each_task_names_labels_of_its_importer_once():
    for task in TASKS.values():
        labels = [label for of_class in task.label_map.values() for label in of_class]
        assert len(labels) == len(set(labels)) and set(task.positive) <= set(task.label_map)


def test_four_parts_share_no_woman_and_hold_both_classes():
    parts = data.split(images(80), Config())
    assert tuple(parts) == SPLITS
    women = [set(part.rows["group"]) for part in parts.values()]
    assert sum(map(len, women)) == len(set.union(*women)) == 80
    assert all(set(part.rows["label"]) == set(CLASSES) for part in parts.values())


def test_the_papers_own_three_parts_are_kept_and_val1_comes_out_of_train():
    prescribed = images(80, split=("train", "train", "train", "train", "validation", "validation", "test", "test"))
    parts = data.split(prescribed, Config(val1_share=0.25))
    assert set(parts["val2"].rows["path"]) == set(prescribed.part("validation").rows["path"])
    assert set(parts["test"].rows["path"]) == set(prescribed.part("test").rows["path"])
    assert len(parts["val1"]) == 20 and len(parts["train"]) == 60


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            images(40, split=("train", "test")),
            r"column split names test, train; give exactly the names \(train, val1, val2, test\)",
        ),
        (images(40, split=("train", "val1", "val2", "test")), "has no (case|control); ask for larger shares"),
        (images(6), "part .* (gets no rows|has no)"),
    ],
)
def test_parts_that_make_no_study_are_input_errors(rows, words):
    with pytest.raises(InputError, match=words):
        data.split(rows, Config())


def test_a_woman_in_two_prescribed_parts_is_an_input_error_that_names_her():
    leaking = images(40, split=("train", "train", "val1", "val1", "val2", "val2", "test", "test"))
    rows = leaking.rows.copy()
    rows.loc[0, "split"] = "test"
    with pytest.raises(InputError, match="group 'woman 0' is in"):
        data.split(replace(leaking, rows=rows), Config())


def test_a_second_reader_is_read_by_id_and_paired(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("id,decision\nid 2,case\nid 0,control\nelsewhere,case\n")
    ours = judged([0, 1, 0, 1])
    second = second_reader.read(path, ours)
    assert list(second.table["id"]) == ["id 0", "id 2"] and list(second.decisions) == [0, 1]
    one, two = second_reader.paired(ours, second)
    assert list(one.table["id"]) == list(two.table["id"]) == ["id 0", "id 2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,decision\nid 0,perhaps\n", "line 2: decision 'perhaps': is not among the classes control, case"),
        ("id,decision\nid 0,case\nid 0,case\n", "line 3: id 'id 0': occurs twice"),
        ("id,decision\nx,case\n", "none of its 1 ids is in the hold-out split, whose ids are like 'id 0'"),
        ("name,decision\nx,case\n", "id"),
    ],
)
def test_a_table_that_is_no_second_reader_is_an_input_error(tmp_path, text, words):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        second_reader.read(path, judged([0, 1]))


def test_rows_of_one_group_are_resampled_together():
    right = np.tile([0, 1], 40)
    alone = tables.accuracies(judged(right, labels=right), 0)[0]
    assert alone["method"] == "Wilson 95%" and alone["n"] == 80
    decisions = np.where(np.arange(80) < 60, right, 1 - right)
    together = tables.accuracies(judged(decisions, labels=right, groups=[f"g{at // 4}" for at in range(80)]), 0)[0]
    assert "cluster bootstrap 95%, 20 groups" in together["method"]
    assert together["low"] < 75 < together["high"]


@pytest.mark.parametrize("images", [1, 8])
def test_accuracies_have_the_intervals_of_metrics_json(images):
    labels = np.arange(160) % 2
    right = np.r_[np.tile(np.arange(8) < 6, 19), np.arange(8) < 7]  # groups of 8 hardly differ
    found = judged(np.where(right, labels, 1 - labels), labels=labels, groups=[f"w{at // images}" for at in range(160)])
    summary = classification.summary(found)
    expected = [summary["metrics"]["accuracy"], *(each["sensitivity"] for each in summary["per_class"].values())]
    assert tables.accuracies(found, 0) == [per_cent(each) for each in expected]


def test_ages_fall_into_the_papers_groups():
    ages = [20.0, 25.0, 49.0, 50.0, 70.0, np.nan]
    found = tables.ages(judged([0, 1, 0, 1, 0, 1], ages=ages))
    assert {name: len(part) for name, part in found.items()} == {
        "all": 6, "<25": 1, "25-49": 2, "50+": 2, "unknown": 1,
    }  # fmt: skip
    assert list(tables.ages(judged([0, 1]))) == ["all"]


def test_the_iarc_via_images_are_read_as_cases_and_controls(real_data, tmp_path):
    from cervix_tf.config import Source
    from cervix_tf.run_dir import RunDir, write_json

    out = RunDir(tmp_path)
    write_json(out.environment, {})
    config = Config(task="iarc_via", data=Source(root=real_data / "iarc_via"))
    found = data.read(config, out)
    assert set(found.rows["label"]) == set(CLASSES)
    assert found.rows["view"].str.startswith("acetic").all() and found.rows["group"].str.startswith("Case").all()
    parts = data.split(found, config)
    assert sum(map(len, parts.values())) == len(found)


def test_labels_that_the_task_does_not_read_are_an_input_error_that_lists_what_there_is(tmp_path, picture):
    import cv2

    from cervix_tf.config import Source
    from cervix_tf.run_dir import RunDir, write_json

    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    (tmp_path / "table.csv").write_text("path,label,woman\na.png,healthy,w\n")
    with pytest.raises(InputError, match="no image has one of the labels control, case; the labels there are healthy"):
        data.read(Config(data=Source(root=tmp_path)), out)


def of_two_images(decisions, labels):
    """Predictions of two images per woman, each by one neighbor."""
    return judged(np.ravel(decisions), [f"w{at // 2}" for at in range(2 * len(labels))], labels=np.repeat(labels, 2))


@pytest.mark.parametrize(("tie", "decided"), [("case", [0, 1, 1, 1]), ("control", [0, 1, 0, 0])])
def test_a_woman_whose_images_disagree_is_what_the_rule_says(tie, decided):
    said, tied = women.one_each(of_two_images([[0, 0], [1, 1], [0, 1], [1, 0]], [0, 1, 1, 0]), tie)
    assert list(said.decisions) == decided and list(tied) == [False, False, True, True]
    np.testing.assert_allclose(said.probabilities[2:], 0.5)


def test_thirds_that_add_up_to_a_half_but_for_their_rounding_are_tied():
    shares = np.float32([[2 / 3, 1 / 3], [1 / 3, 2 / 3]])
    both = predictions.from_arrays(["a", "b"], shares, CLASSES, labels=["case", "case"], groups=["w", "w"])
    assert [list(women.one_each(both, tie)[0].decisions) for tie in ("case", "control")] == [[1], [0]]


def test_both_readings_of_tied_women_stand_in_table_7(tmp_path):
    from cervix_tf.run_dir import RunDir

    row = Row("mobilenet", "batch_hard")
    result = training.Result(None, {"k": 1}, of_two_images([[0, 0], [1, 1], [0, 1], [1, 0]], [0, 1, 1, 0]))
    shares, counts = tables.of_readers(Config(), (7,), row, result, RunDir(tmp_path), "")
    found = {each["name"]: [cell["value"] for cell in each["ours"]] for each in shares["rows"]}
    assert found == {"All, ours": [50.0, 100.0], "All, ours, ties as control": [100.0, 50.0]}
    assert "2 of 4 women tied, each counted as case" in shares["note"]
    assert [cell["value"] for cell in counts["rows"][0]["ours"]] == [1, 1, 0, 2]


def test_over_seeds_a_row_is_one_line_whatever_k_was_chosen_and_notes_name_each_seeds_best_row(tmp_path):
    from cervix_tf.report import seeds
    from cervix_tf.run_dir import RunDir

    def of_seed(seed, method, k, decisions):
        settings, out = Config(seed=seed), RunDir(tmp_path)
        result = training.Result(None, {"k": k}, of_two_images(decisions, [0, 1]))
        note = tables.noted(settings, ", K chosen on val2")
        made = tables.of_readers(settings, (7,), Row("mobilenet", method), result, out, note)
        return [*made, tables.of_rows(settings, {Row("mobilenet", "fine_tuned"): result}, out, note)]

    runs = {0: ("batch_hard", 1, [[0, 0], [1, 1]]), 1: ("contrastive", 5, [[0, 0], [0, 0]])}
    shares, _, hold_out = seeds.over({seed: of_seed(seed, *run) for seed, run in runs.items()})
    assert hold_out["rows"][0]["name"] == "MobileNet, Fine-tuned, 1-NN (seed 0), 5-NN (seed 1)"
    assert [each["value"] for each in hold_out["rows"][0]["ours"]] == [75, 100, 50]
    assert ", seeds 0, 1, K chosen on val2" in hold_out["note"] and "Seed" not in hold_out["note"]
    assert "Seed 0: Ours: mobilenet-batch_hard, K = 1;" in shares["note"]
    assert "Seed 1: Ours: mobilenet-contrastive, K = 5;" in shares["note"]


def test_a_woman_of_the_hold_out_split_with_images_of_both_classes_is_refused_before_training():
    prescribed = images(80, split=("train", "train", "val1", "val1", "val2", "val2", "test", "test"))
    rows = prescribed.rows.copy()
    first = rows.index[rows["split"] == "test"][0]
    rows.loc[first, "label"] = "case" if rows.loc[first, "label"] == "control" else "control"
    with pytest.raises(InputError, match=r"has 1 women with images of two classes \(woman 6: case and control\)"):
        data.split(replace(prescribed, rows=rows), Config())


def test_without_tables_a_main_network_that_is_not_among_the_networks_is_refused():
    alone = Config(networks=("mobilenet",))
    with pytest.raises(InputError, match="--main nasnet_mobile: is not one of --networks mobilenet; name one, or"):
        config.wanted(alone, RunRequest())
    assert {row.network for row in config.wanted(alone, RunRequest((2,)))} == {"mobilenet"}
    assert [row.name for row in config.wanted(replace(alone, main="mobilenet"), RunRequest())] == [
        "mobilenet-batch_hard"
    ]


def test_splits_that_have_copies_of_one_file_are_warned_of(capsys):
    source = images(80)
    data.split(source, Config(similar=False))
    assert capsys.readouterr().err == ""
    data.split(replace(source, rows=source.rows.assign(sha256="a" * 64)), Config(similar=False))
    assert capsys.readouterr().err.count("have the same bytes as images of train (") == 3


def test_table_1_counts_women_and_images_of_each_split_beside_what_the_paper_implies():
    table = tables.of_counts(data.split(images(80), Config()), CLASSES, "")
    rows = {row["name"]: row for row in table["rows"]}
    ours = {name: [cell["value"] for cell in row["ours"]] for name, row in rows.items()}
    assert sum(sum(counts) for name, counts in ours.items() if "women" in name) == 80
    assert all(ours[f"{part}: images"] == [2 * n for n in ours[f"{part}: women (groups)"]] for part in SPLITS[:3])
    assert rows["hold-out: women (groups)"]["paper"] == [8174, 85] and rows["val2: images"]["paper"] == [242, 82]


def test_steps_are_as_long_as_with_the_papers_batch_of_one_pair_or_tuplet():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(16, 4))
    vectors = np.float32(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    labels = {"contrastive": rng.integers(0, 2, 16), "n_pair": np.tile([0, 0, 1, 1], 4)}
    for method, rows in (("contrastive", 2), ("n_pair", 4)):
        whole = Config(batches=Batches(pairs=8, n_pairs=4))
        letter = Config(batches=Batches(pairs=1, n_pairs=1))
        of_batch = model.loss(whole, method, 2)(labels[method], vectors) * model.loss_weight(whole, method, 2)
        alone = [
            model.loss(letter, method, 2)(labels[method][at : at + rows], vectors[at : at + rows])
            * model.loss_weight(letter, method, 2)
            for at in range(0, 16, rows)
        ]
        assert float(of_batch) == pytest.approx(np.mean(alone), rel=1e-5)


def test_the_scale_of_a_loss_is_a_field_and_batch_hard_is_the_papers_as_it_is():
    summed = Config(batches=Batches(loss="batch"))
    assert [model.loss_weight(summed, method, 2) for method in METHODS[2:]] == [1, 1, 1]
    assert model.loss(summed, "n_pair", 2).tuplet == 0
    mean = Config(batches=Batches(n_pair_loss="mean"))
    assert [model.loss_weight(PAPER, method, 2) for method in METHODS[2:]] == [1 / 8, 1 / 4, 1]
    assert model.loss_weight(mean, "n_pair", 2) == 1 / 8
