"""The study's stages: which rows a command runs, splits, the augmented training set."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cervix_tf import start
from cervix_tf.config import Augmentation, Source
from cervix_tf.data import inputs, manifest
from cervix_tf.errors import InputError
from cervix_tf.report import tables as report_tables
from cervix_tf.run_dir import RunDir
from cervix_tf.study import RunRequest, main
from experiments.cvm_cervix import __main__ as method
from experiments.cvm_cervix import config as study
from experiments.cvm_cervix import data, tables, training
from experiments.cvm_cervix.config import COMPARED, DATA_SOURCES, DEMO, PAPER, Row
from tests.experiments.pap_cells import counts_of, images


@pytest.mark.parametrize("task", ["combined", "blood", "herlev"])
def test_the_published_split_has_every_count_of_tables_1_4_and_5(task):
    published = dict(tables.SPLIT_TABLES[task])
    if task == "herlev":  # Table 4 counts every training image four times
        published = {name: (train // 4, *rest) for name, (train, *rest) in published.items()}
    everything = images({name: sum(counts) for name, counts in published.items()})
    splits = data.published_split(everything, 0.2, 0.2, seed=0)
    assert counts_of(splits, published) == published
    assert sorted(pd.concat([split.rows["path"] for split in splits.values()])) == sorted(everything.rows["path"])


def test_table_1_has_1763_test_and_1767_validation_images():
    assert [sum(column) for column in zip(*tables.PUBLISHED.table_1.values(), strict=True)] == [5308, 1767, 1763]
    shown = tables.of_counts("combined", tables.PUBLISHED.table_1, "")
    assert shown["number"] == 1
    assert shown["rows"][-1]["paper"] == [5308, 1767, 1763, 8838]


def test_table_4_counts_the_four_copies_of_its_training_set():
    everything = images({"abnormal": 675, "normal": 242})
    splits = data.published_split(everything, 0.2, 0.2, seed=0)
    config = replace(PAPER, task="herlev")
    assert study.main_row(config).four_times
    assert {name: tuple(each) for name, each in tables.counted(config, splits).items()} == tables.PUBLISHED.table_4
    plain = tables.counted(replace(config, main="resnet18"), splits)
    assert plain["normal"] == [584 // 4, 48, 48]


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    everything = images({"a": 30, "b": 21})
    shuffled = replace(everything, rows=everything.rows.sample(frac=1, random_state=1).reset_index(drop=True))
    paths = [
        list(data.published_split(each, 0.2, 0.2, seed)["test"].rows["path"])
        for each, seed in ((everything, 0), (shuffled, 0), (everything, 1))
    ]
    assert paths[0] == paths[1] != paths[2]


def test_a_command_runs_the_main_row_or_all_of_table_3_or_the_rows_that_it_names():
    def names(**request):
        return [row.name for row in study.selected_rows(PAPER, RunRequest(**request))]

    assert names() == names(tables=(1, 4, 5)) == ["cvm"]
    assert names(tables=(3,)) == ["cvm", *COMPARED]
    assert names(tables=(3,), only=("probe", "vgg11")) == ["vgg11", "probe"]
    with pytest.raises(InputError, match="--only resnet18-x4: no such row; choose from cvm, vgg11"):
        names(only=("resnet18-x4",))


def test_of_cric_as_many_cells_are_drawn_as_table_1_counts_or_all_there_are():
    """The original download: 11,534 cells."""
    original = {"ASC-H": 925, "ASC-US": 606, "SCC": 161, "HSIL": 1703, "LSIL": 1360, "NILM": 6779}
    everything = images(
        {**original, **{name: sum(tables.PUBLISHED.table_1[name]) for name in DATA_SOURCES["sipakmed"].classes}}
    )
    totals = {name: sum(counts) for name, counts in tables.PUBLISHED.table_1.items()}
    found = data.drawn(everything, totals, seed=0)
    assert dict(found.rows["label"].value_counts()) == {**totals, "ASC-US": 606, "SCC": 161}
    shuffled = replace(everything, rows=everything.rows.sample(frac=1, random_state=1).reset_index(drop=True))
    assert list(data.drawn(shuffled, totals, seed=0).rows["path"]) == list(found.rows["path"])
    assert list(data.drawn(everything, totals, seed=1).rows["path"]) != list(found.rows["path"])


def test_tables_4_and_5_are_of_their_own_images_in_a_folder_each(tmp_path):
    for name in ("herlev", "pbc"):
        (tmp_path / name).mkdir()
    config = replace(PAPER, data=Source(root=tmp_path))
    found = study.tasks(config, RunRequest((1, 3, 4, 5)))
    assert list(found) == ["combined", "herlev", "blood"]
    assert found["combined"] == (config, RunRequest((1, 3)))
    herlev, wanted = found["herlev"]
    assert (herlev.task, herlev.data.root, wanted) == ("herlev", tmp_path / "herlev", RunRequest((4,)))
    assert study.selected_rows(herlev, wanted) == [Row("cvm", four_times=True)]
    assert list(study.tasks(config, RunRequest((5,)))) == ["blood"]
    assert list(study.tasks(replace(config, task="herlev"), RunRequest((3, 4)))) == ["herlev"]
    assert study.run_of(config, "blood", RunDir(tmp_path / "paper")).root == tmp_path / "paper-blood"


@pytest.fixture
def three_data_sets(tmp_path, monkeypatch):
    """Runs a command on folders of the three data sets; training of a task only writes a table, or fails as it says."""
    for name in ("herlev", "pbc"):
        (tmp_path / "images" / name).mkdir(parents=True)
    failing, trained = {}, []

    def run_task(config, out, request, folds):
        trained.append((config.task, config.seed))
        if error := failing.get((config.task, config.seed)):
            raise error
        made = tables.of_counts(config.task, {"a": (config.seed, config.seed, config.seed)}, "Ours.")
        report_tables.write(out.tables, [{**made, "rows": made["rows"][-1:]}])

    monkeypatch.setattr(method, "run_task", run_task)
    monkeypatch.setattr(data, "folds", lambda config, out: [])

    def run(*arguments):
        words = ["--data.root", str(tmp_path / "images"), "--out", str(tmp_path), "--weights", "random"]
        main(method.STUDY, [*words, *arguments])
        return tmp_path / "cvm_cervix"

    return run, failing, trained


@pytest.mark.parametrize("wanted", [("4",), ("1", "4"), ("4", "5")])
def test_over_seeds_every_data_set_that_is_asked_for_has_its_means(three_data_sets, wanted):
    run, _, _ = three_data_sets
    out = run("--seeds", "1", "3", "--tables", *wanted, "--seed", "1")
    found = {path.parent.name: report_tables.read(path)[0] for path in out.glob("*/tables_of_seeds.json")}
    assert set(found) == {{"1": "paper", "4": "paper-herlev", "5": "paper-blood"}[number] for number in wanted}
    assert all(each["rows"][0]["ours"][0]["value"] == 2 for each in found.values())


def test_a_data_set_that_fails_stops_neither_the_other_ones_nor_other_seeds(three_data_sets, capsys):
    run, failing, trained = three_data_sets
    failing["combined", 1] = InputError("row cvm: diverged")
    with pytest.raises(SystemExit) as ended:
        run("--seeds", "1", "3", "--seed", "1", "--tables", "1", "4")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: seed 1: task combined: row cvm: diverged\n"
    assert trained == [("combined", 1), ("herlev", 1), ("combined", 3), ("herlev", 3)]


def test_an_interrupt_in_one_data_set_ends_the_command_at_once(three_data_sets):
    run, failing, trained = three_data_sets
    failing["combined", 1] = KeyboardInterrupt()
    with pytest.raises(SystemExit):
        run("--seeds", "1", "3", "--seed", "1", "--tables", "1", "4")
    assert trained == [("combined", 1)]


def test_the_run_of_another_data_set_hides_patients_images_as_the_command_said(tmp_path):
    first, other = RunDir(tmp_path / "paper"), RunDir(tmp_path / "paper-herlev")
    for out in (first, other):
        out.root.mkdir()
    line = ["python", "-m", "experiments.cvm_cervix", "--data.root", "my images", "--no-images"]
    start.begin(DEMO, first, line, 0, report_images=False)
    start.begin_beside(first, replace(DEMO, task="herlev"), other, 0)
    one, two = (json.loads(out.environment.read_text()) for out in (first, other))
    assert two["report_images"] is False
    assert two["command_line"] == one["command_line"] and "--data.root 'my images'" in two["command_line"]


def test_a_table_whose_images_are_not_there_is_refused_with_the_option_that_names_them(tmp_path):
    config = replace(PAPER, data=Source(root=tmp_path))
    with pytest.raises(InputError, match=r"--tables 5: .* has no folder 'pbc'; put it there, or name it with --blood"):
        study.tasks(config, RunRequest((3, 5)))
    with pytest.raises(InputError, match="synthetic cells are drawn for the combined data only"):
        study.tasks(DEMO, RunRequest((4,)))


def test_leak_free_splits_share_no_group_and_random_ones_do():
    everything = images(dict.fromkeys(DATA_SOURCES["combined"].classes, 60), groups=4)
    config = replace(DEMO, similar=False)
    (free,) = data.split(everything, config)
    assert all(not set(free["test"].rows["group"]) & set(free[name].rows["group"]) for name in ("train", "validation"))
    (published,) = data.split(everything, replace(config, protocol="as_published"))
    assert set(published["test"].rows["group"]) & set(published["train"].rows["group"])


@pytest.mark.parametrize("protocol", ["as_published", "leak_free"])
def test_in_a_cross_validation_every_image_is_tested_once_and_keeps_its_group(protocol):
    everything = images({"abnormal": 80, "normal": 40}, groups=2)
    config = replace(DEMO, task="herlev", protocol=protocol, folds=5)
    folds = data.split(everything, config)
    tested = pd.concat([splits["test"].rows for splits in folds])
    assert sorted(tested["path"]) == sorted(everything.rows["path"])
    assert (tested["group"] != "").all()
    for splits in folds:
        assert sum(map(len, splits.values())) == len(everything)
        assert {name: round(len(split) / len(everything), 1) for name, split in splits.items()} == {
            "train": 0.6,
            "validation": 0.2,
            "test": 0.2,
        }


def prescribed(**named):
    """A manifest whose splits have these names and group suffixes, twelve images each."""
    splits = []
    for name, own in named.items():
        split = images({"abnormal": 6, "normal": 6}, split=name)
        split.rows["path"] = split.rows["path"].str.replace(".png", f"_{name}.png")
        split.rows["group"] += own
        splits.append(split)
    return manifest.joined(splits)


def test_a_prescribed_split_is_kept_and_one_that_leaks_is_refused():
    config, leaking = replace(DEMO, task="herlev"), prescribed(train="", validation="", test="")
    with pytest.raises(InputError, match=r"group 'abnormal 0' is in train"):
        data.split(leaking, config)
    for given, protocol in ((leaking, "as_published"), (prescribed(train="a", validation="b", test="c"), "leak_free")):
        (found,) = data.split(given, replace(config, protocol=protocol))
        assert {name: len(split) for name, split in found.items()} == {"train": 12, "validation": 12, "test": 12}


@pytest.mark.parametrize("settings", [{}, {"folds": 3}, {"prescribed": True}])
def test_splits_without_a_shared_group_that_have_copies_of_one_file_are_warned_of_once(settings, capsys):
    settings = dict(settings)
    everything = images({"abnormal": 30, "normal": 30})
    if settings.pop("prescribed", False):
        everything = prescribed(train="a", validation="b", test="c")
    same = replace(everything, rows=everything.rows.assign(sha256="a" * 64))
    config = replace(DEMO, task="herlev", similar=False, **settings)
    assert len(capsys.readouterr().err) == 0
    folds = data.split(same, config)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 * len(folds) and all("have the same bytes as images of" in line for line in said)


def test_a_prescribed_split_is_no_cross_validation_and_needs_all_three():
    config = replace(DEMO, task="herlev")
    with pytest.raises(InputError, match="--folds 5: the column split prescribes one split"):
        data.split(prescribed(train="a", validation="b", test="c"), replace(config, folds=5))
    with pytest.raises(
        InputError, match=r"names test, train; give exactly the names \(train, validation, test\), or leave it"
    ):
        data.split(prescribed(train="a", test="c"), config)


def test_the_four_copies_are_the_image_its_half_turn_and_its_mirror_images():
    everything = images({"abnormal": 3, "normal": 2})
    given = inputs.from_images(everything, ("abnormal", "normal"))
    copied, augmentations = training.four_times(given, Augmentation())
    assert len(copied) == 20 == len(augmentations)
    np.testing.assert_array_equal(copied.labels, np.tile(given.labels, 4))
    of_first = [augmentations[at] for at in range(20) if copied.files[at] == given.files[0]]
    flips = {(each.horizontal_flip, each.vertical_flip) for each in of_first}
    assert flips == {(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)}  # both flips are a turn by 180 degrees
    _, augmentations = training.four_times(given, Augmentation(horizontal_flip=0.3))
    assert {each.horizontal_flip for each in augmentations} == {0.3, 0.7}


def test_a_main_row_of_a_compared_network_is_no_second_row_of_it():
    config = replace(PAPER, main="mobilenet_v2")
    names = [row.name for row in study.all_rows(config)]
    assert names[0] == "mobilenet_v2" and len(names) == len(set(names)) == 26
    assert study.main_row(replace(config, task="herlev")) == Row("mobilenet_v2")


# Errors for wrong data.
