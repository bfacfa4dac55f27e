"""Networks of Bethesda classes, and those that have first learned MobileODT's types: labels, splits, weights, a run."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cervix_tf import ranges
from cervix_tf.config import Source
from cervix_tf.data import manifest
from cervix_tf.data.synthetic import cervix_types
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import RunRequest, main
from cervix_tf.training import fit
from experiments.cross_dataset import __main__ as study
from experiments.cross_dataset import data, training, transfer
from experiments.cross_dataset.config import BETHESDA, BINARY, DEMO, PUBLIC, SHEETS, TYPES, Row, every_row, rows

SETS = ("herlev", "cric_crops", "iarc_colposcopy", "iarc_via", "mobileodt")
CONFIG = replace(DEMO, synthetic_cells=0, data_sets=SETS, main="herlev")
PRETRAINED = Row("iarc_via", "mobileodt")


def listed(groups=lambda site, label, at: f"{site} {label} {at // 2}"):
    """Manifest rows of 40 images for each label of each data set, no files behind them."""
    return [
        {
            "path": f"{site}/{label}/{at}.png",
            "label": label,
            "group": groups(site, label, at),
            "site": site,
            "view": "acetic_1" if site.startswith("iarc") else "",
        }
        for site in SETS
        for label in SHEETS[site].classes
        for at in range(40)
    ]


def split(records=None):
    return data.split(manifest.from_records(records or listed(), "."), CONFIG)


def paths(part):
    return set(part.rows["path"])


def test_every_class_of_herlev_has_a_bethesda_class_and_of_the_others_what_they_state():
    class_of = {label: name for name, labels in BETHESDA.labels.items() for label in labels}
    assert {label: class_of[label] for label in SHEETS["herlev"].classes} == {
        **dict.fromkeys(("normal_superficiel", "normal_intermediate", "normal_columnar"), "NILM"),
        "light_dysplastic": "LSIL",
        **dict.fromkeys(("moderate_dysplastic", "severe_dysplastic", "carcinoma_in_situ"), "HSIL"),
    }
    stated = [label for label in SHEETS["cric_crops"].classes if label in class_of]
    assert sorted(stated) == ["HSIL", "LSIL", "NILM"] and all(class_of[label] == label for label in stated)
    assert not set(SHEETS["sipakmed"].classes) & set(class_of)
    positive = {label for name in BETHESDA.positive for label in BETHESDA.labels[name]}
    assert positive <= set(BINARY.labels["positive"]) and set(BETHESDA.labels["NILM"]) <= set(BINARY.labels["negative"])


def test_networks_of_other_classes_have_the_same_splits():
    parts = split()
    binary, grades = (data.of_row(CONFIG, Row("herlev", variant), parts) for variant in ("", "bethesda"))
    assert list(grades) == ["herlev", "cric_crops"]
    for name in ("train", "validation", "test"):
        assert paths(grades["herlev"][name]) == paths(binary["herlev"][name])
        some, every = grades["cric_crops"][name], binary["cric_crops"][name]
        left_out = {path.split("/")[1] for path in paths(every) - paths(some)}
        assert left_out == {"ASC-US", "ASC-H", "SCC"} and paths(some) < paths(every)
        assert set(some.rows["label"]) == {"NILM", "LSIL", "HSIL"}


def test_a_split_without_a_bethesda_class_is_refused():
    records = [each for each in listed() if each["path"] != "cric_crops/HSIL" and each["label"] != "HSIL"]
    with pytest.raises(InputError, match=r"cric_crops: split train .* has no HSIL"):
        data.of_row(CONFIG, Row("herlev", "bethesda"), split(records))


def test_a_photograph_of_mobileodt_that_resembles_a_test_photograph_is_not_learned_from():
    def groups(site, label, at):
        both = {"iarc_via": at, "mobileodt": 39 - at}.get(site, 0)  # in another order, so that they are dealt otherwise
        return f"both {both}" if both % 2 else f"{site} {label} {at}"

    parts = split(listed(groups))
    tested = {group for each in parts.values() for group in each["test"].rows["group"]}
    resembling = {group for group in parts["iarc_via"]["test"].rows["group"] if group.startswith("both")}
    learned = pd.concat([parts["mobileodt"][name].rows for name in ("train", "validation")])
    assert resembling and len(learned) and not tested & set(learned["group"])
    assert set(learned["label"]) == set(TYPES.classes)


def test_mobileodts_own_splits_are_not_taken_since_they_may_part_one_woman(tmp_path):
    cervix_types.write(tmp_path / "mobileodt", women=40, seed=0, side=48)
    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    config = replace(CONFIG, data_sets=("mobileodt",), data=Source(root=tmp_path))
    found = data.read(config, out)
    assert set(found.rows["split"]) == {""} and set(found.rows["label"]) == set(TYPES.classes)
    assert found.rows["group"].nunique() < len(found)  # near-duplicates are one group
    parts = data.split(found, config)["mobileodt"]
    homes = pd.concat([part.rows["group"].drop_duplicates() for part in parts.values()])
    assert set(parts) == {"train", "validation", "test"} and not homes.duplicated().any()


def test_without_mobileodt_or_the_second_set_of_bethesda_classes_there_are_no_such_rows():
    ranges.check(CONFIG)
    names = {row.name for row in every_row(CONFIG).values() if row.variant != "reinhard"}
    assert names == {
        *("herlev", "cric_crops", "iarc_colposcopy", "iarc_via", "herlev-bethesda", "cric_crops-bethesda"),
        *("mobileodt", "iarc_colposcopy-mobileodt", "iarc_via-mobileodt"),
    }
    fewer = replace(CONFIG, data_sets=("sipakmed", "herlev", "iarc_colposcopy", "iarc_via"))
    assert not {row.variant for row in every_row(fewer).values()} - {"", "reinhard"}
    with pytest.raises(InputError, match="nothing to test mobileodt on; add one of iarc_colposcopy, iarc_via"):
        ranges.check(replace(CONFIG, data_sets=("herlev", "cric_crops", "mobileodt")))


def test_the_list_says_the_minutes_of_a_row_that_is_not_begun(tmp_path):
    cost = {row.row: row.cost for row in rows(PUBLIC, RunDir(tmp_path), RunRequest(tables=(3, 4)))}
    assert list(cost) == [
        *("iarc_colposcopy", "iarc_via", "herlev-bethesda", "cric_crops-bethesda"),
        *("mobileodt", "iarc_colposcopy-mobileodt", "iarc_via-mobileodt"),
    ]
    # 1000 images, and 55 % of Herlev's 917, 15 times 18 ms each.
    assert cost["cric_crops-bethesda"] == "at most 4.5 min" and cost["herlev-bethesda"] == "at most 2.3 min"
    unknown = rows(replace(PUBLIC, network="resnet10_narrow"), RunDir(tmp_path), RunRequest(tables=(3,)))
    assert {row.cost for row in unknown} == {"15 epochs"}


def test_a_difference_in_auc_is_paired_and_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.4

    def said(noise):
        score = 1 / (1 + np.exp(rng.normal(0, noise, 60) - truth))
        both = np.stack([1 - score, score], axis=1)
        labels = np.array(BINARY.classes)[truth.astype(int)]
        return predictions.from_arrays([f"id {at}" for at in range(60)], both, BINARY.classes, labels=list(labels))

    good, bad = said(0.3), said(3.0)
    found = transfer.difference(good, bad.of(reversed(bad.table["id"])), 0, transfer.auc)
    expected = roc_auc_score(truth, good.probabilities[:, 1]) - roc_auc_score(truth, bad.probabilities[:, 1])
    assert found.value == pytest.approx(expected) and found.low < expected < found.high
    assert found.method.startswith("paired, bootstrap 95%")
    assert found == transfer.difference(good, bad, 0, transfer.auc)


def test_a_pre_trained_network_begins_with_the_trunk_that_learned_the_types_and_a_head_of_its_own(
    plain_backbone, monkeypatch, tmp_path
):
    shared = training.networks(replace(CONFIG, precision="float32"))
    learned = shared.classifier(len(TYPES.classes)).start(0.1)
    for variable in learned.variables:
        variable.assign(np.full(variable.shape, 0.5))
    monkeypatch.setattr(training, "train", lambda config, row, *_: learned if row == Row("mobileodt") else None)
    initial = shared.classifier(2).initial
    found = training.initial_values(CONFIG, PRETRAINED, {}, shared, RunDir(tmp_path))
    *trunk, kernel, bias = found
    assert all((value == 0.5).all() for value in trunk) and kernel.shape == (48, 2)
    np.testing.assert_array_equal(kernel, initial[-2])
    np.testing.assert_array_equal(bias, initial[-1])
    assert training.initial_values(CONFIG, Row("iarc_via"), {}, shared, RunDir(tmp_path)) is initial
    started = shared.classifier(2).start(0.1, found)
    np.testing.assert_array_equal(fit.value(started.variables[0]), trunk[0])


@pytest.fixture(scope="module")
def finished(plain_backbone, picture, tmp_path_factory):
    """Tables 3 and 4 on pictures whose brightness follows the label, named by a manifest."""
    root = tmp_path_factory.mktemp("images")
    records = listed()
    for at, each in enumerate(records):
        place = root / each["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        labels = SHEETS[each["site"]].classes
        bright = picture(at, 32, 32) * 0.4 + 120 * labels.index(each["label"]) / len(labels)
        cv2.imwrite(str(place), bright.astype(np.uint8))
    pd.DataFrame(records).to_csv(root / "images.csv", index=False)
    out = tmp_path_factory.mktemp("saved_models")
    run(out, root)
    return RunDir(out / "cross_dataset" / "demo"), root


def run(out, root):
    small = ("--images.height", "24", "--images.width", "24", "--optimizer.epochs", "2", "--synthetic-cells", "0")
    some = ("--data-sets", *SETS, "--main", "herlev", "--tables", "3", "4")
    source = ("--data.manifest", str(root / "images.csv"), "--data.root", str(root))
    main(study.STUDY, ["--preset", "demo", *small, *some, *source, "--out", str(out)])


def metrics(run_dir, row):
    return json.loads(run_dir.row(row).metrics.read_text())


def by_number(run_dir):
    return {each["number"]: each for each in json.loads(run_dir.tables.read_text())}


def test_the_table_of_bethesda_classes_holds_what_each_network_found_at_home_and_elsewhere(finished):
    out, _ = finished
    found = by_number(out)["Table 3"]
    names = [row["name"] for row in found["rows"]]
    assert names == ["Herlev → Herlev", "Herlev → CRIC", "CRIC → CRIC", "CRIC → Herlev"]
    assert found["columns"] == ["Balanced accuracy", "Drop", "NILM found", "LSIL found", "HSIL found"]
    own, there = metrics(out, "cric_crops-bethesda"), metrics(out, "herlev-bethesda-on-cric_crops")
    home, elsewhere = (found["rows"][at]["ours"] for at in (0, 1))
    assert home[1] is None and elsewhere[1]["method"].startswith("paired, cluster bootstrap")
    accuracy = [each["metrics"]["balanced_accuracy"]["value"] for each in (own, there)]
    assert elsewhere[0]["value"] == pytest.approx(100 * accuracy[1])
    assert elsewhere[1]["value"] == pytest.approx(100 * (accuracy[0] - accuracy[1]))
    recall = [each["value"] for each in elsewhere[2:]]
    assert recall == [100 * there["per_class"][name]["sensitivity"]["value"] for name in ("NILM", "LSIL", "HSIL")]
    assert np.mean(recall) == pytest.approx(elsewhere[0]["value"])
    said = predictions.read(out.row("herlev-bethesda-on-cric_crops").predictions)
    assert said.classes == ("NILM", "LSIL", "HSIL") and not {"ASC-US", "SCC"} & set(said.table["label"])


def test_the_table_of_pre_training_compares_it_on_the_same_cases_and_says_what_was_learned(finished):
    out, _ = finished
    found = by_number(out)["Table 4"]
    names = [row["name"] for row in found["rows"]]
    assert names[0] == "MobileODT → MobileODT" and names[2] == "IARC colposcopy → IARC VIA" and len(names) == 5
    source = metrics(out, "mobileodt")
    assert source["classes"] == list(TYPES.classes) and source["binary"] is None
    types = source["metrics"]["balanced_accuracy"]["value"]
    assert found["rows"][0]["ours"][3]["value"] == pytest.approx(100 * types) and types > 0.5  # it can be learned
    for at, row in ((1, "iarc_colposcopy"), (2, "iarc_colposcopy-on-iarc_via")):
        later = row.replace("iarc_colposcopy", "iarc_colposcopy-mobileodt")
        usual, after = (metrics(out, name)["binary"]["metrics"] for name in (row, later))
        ours = found["rows"][at]["ours"]
        for score, first in (("auc", 0), ("balanced_accuracy", 3)):
            one, two = (100 * each[score]["value"] for each in (usual, after))
            values = [each["value"] for each in ours[first : first + 3]]
            assert values == pytest.approx([one, two, two - one])
        assert ours[2]["method"].startswith("paired")
    before, after = (predictions.read(out.row(row).predictions) for row in ("iarc_via", "iarc_via-mobileodt"))
    assert before.table["id"].tolist() == after.table["id"].tolist()
    assert not np.allclose(before.probabilities, after.probabilities)


def test_a_run_of_some_tables_reports_these_alone_and_the_images_of_each_class(finished):
    out, _ = finished
    found = by_number(out)
    assert list(found) == ["Data", "Data, Bethesda classes", "Table 3", "Data, pre-training", "Table 4"]
    assert {row["row"] for row in found["Data, Bethesda classes"]["rows"]} == {"herlev", "cric_crops"}
    assert found["Data, pre-training"]["columns"] == ["Images", "Type 1", "Type 2", "Type 3", "Groups"]
    counted = [each["value"] for each in found["Data, Bethesda classes"]["rows"][0]["ours"]]
    assert counted[0] == sum(counted[1:4]) > 0
    assert "three Bethesda classes" in out.report.read_text()


def test_a_pre_trained_row_that_is_lost_is_tested_again_and_nothing_is_trained_again(finished):
    out, root = finished
    row = out.row("iarc_via-mobileodt")
    before = {path: path.read_bytes() for path in (row.metrics, row.predictions, out.tables)}
    trained = {name: out.row(name).best_weights.stat().st_mtime_ns for name in ("mobileodt", "iarc_via-mobileodt")}
    row.metrics.unlink()
    run(out.root.parents[1], root)
    assert {path: path.read_bytes() for path in before} == before
    assert {name: out.row(name).best_weights.stat().st_mtime_ns for name in trained} == trained
    trainings = [path.parent for path in out.root.rglob(out.history.name)]
    assert len(trainings) == 7 and {path.parent for path in trainings} == {row.root.parent}  # MobileODT's once
