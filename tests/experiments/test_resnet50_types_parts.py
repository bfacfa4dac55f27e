"""The study's parts: the paper's split and head, what each protocol reads, the difference of two parts."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cervix_tf.config import Images, Source
from cervix_tf.data import datasheet, manifest
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json
from experiments.resnet50_types import data, model, tables
from experiments.resnet50_types.config import CLASSES, PAPER, PROTOCOLS, Config

KAGGLE = {"Type_1": 250 + 1191, "Type_2": 781 + 3567, "Type_3": 450 + 1976}  # train and additional


def listed(counts, groups=None):
    """Manifest rows without files; `groups` gives the group of the n-th image of a class."""
    records = [
        {"path": f"{label}/{at}.jpg", "label": label, "group": groups(label, at) if groups else f"{label} {at}"}
        for label, count in counts.items()
        for at in range(count)
    ]
    return manifest.from_records(records, ".")


def said(labels, decisions, groups=None):
    return predictions.from_arrays(
        [f"id {at}" for at in range(len(labels))],
        np.eye(3)[decisions],
        CLASSES,
        labels=[CLASSES[label] for label in labels],
        groups=groups,
    )


def test_the_kaggle_counts_are_the_papers_8215_and_split_into_its_2464_test_images():
    everything = listed(KAGGLE)
    parts = data.split(everything, "as_published", PAPER)
    assert len(everything) == tables.PUBLISHED.table_1["All"]
    assert len(parts["test"]) == tables.PUBLISHED.table_1["Test"]
    assert len(parts["train"]) == tables.PUBLISHED.table_1["All"] - tables.PUBLISHED.table_1["Test"]
    for label, count in KAGGLE.items():
        assert abs((parts["test"].rows["label"] == label).sum() - 0.3 * count) < 1


def test_without_the_six_broken_files_of_the_download_the_split_is_5747_and_2462():
    broken = [path.rsplit("/", 2)[-2] for path in datasheet.read("mobileodt").known_bad]
    sound = {label: count - broken.count(label) for label, count in KAGGLE.items()}
    parts = data.split(listed(sound), "as_published", PAPER)
    assert (len(broken), len(parts["train"]), len(parts["test"])) == (6, 5747, 2462)


def test_a_random_split_parts_near_duplicates_and_the_leak_free_one_does_not():
    everything = listed(dict.fromkeys(CLASSES, 90), lambda label, at: f"{label} {at // 2}")
    of = {protocol: data.split(everything, protocol, Config()) for protocol in PROTOCOLS}
    shared = {
        protocol: set(parts["train"].rows["group"]) & set(parts["test"].rows["group"]) for protocol, parts in of.items()
    }
    assert len(shared["as_published"]) > 20 and not shared["leak_free"]
    assert set(of["as_published"]) == {"train", "test"} and set(of["leak_free"]) == {"train", "validation", "test"}
    assert not set(of["leak_free"]["validation"].rows["group"]) & set(of["leak_free"]["train"].rows["group"])


def test_test_images_like_a_training_image_are_found_by_their_group():
    parts = {"train": listed({"Type_1": 2}, lambda label, at: ["a", ""][at])}
    found = tables.like_training(said([0, 0, 0], [0, 1, 0], ["a", "b", ""]), parts)
    assert found.tolist() == [True, False, False]


def test_the_head_is_100_nodes_and_three_logits_on_resnet_50s_2048_features():
    network = model.classifier(replace(PAPER, weights="random", images=Images(height=32, width=32)))
    assert network.output_shape == (None, 3)
    assert network.get_layer("average").output.shape == (None, 2048)
    head = network.count_params() - network.get_layer("features").count_params()
    assert head == (2048 + 1) * 100 + (100 + 1) * 3
    assert network.get_layer("features").count_params() == 23_587_712  # ResNet-50 without top


def test_the_difference_of_two_parts_is_in_points_with_both_parts_groups_resampled():
    truth = np.tile([0, 1, 2], 40)
    better, worse = truth.copy(), truth.copy()
    better[:12], worse[:48] = (truth[:12] + 1) % 3, (truth[:48] + 1) % 3
    found = tables.difference(said(truth, better), said(truth, worse), seed=0)
    assert found["accuracy"]["value"] == pytest.approx(30.0)  # 90 % - 60 %
    # Two independent shares of 120: 1.96 sqrt(0.9 0.1 / 120 + 0.6 0.4 / 120) = 10.3 points to either side.
    assert found["accuracy"]["low"] == pytest.approx(30 - 10.3, abs=1.5)
    assert found["accuracy"]["high"] == pytest.approx(30 + 10.3, abs=1.5)
    assert found["accuracy"]["n"] == 240 and "independent" in found["accuracy"]["method"]
    assert found["macro_f1"]["value"] == pytest.approx(30.0)


def test_groups_widen_the_interval_of_a_difference():
    truth = np.tile([0, 1, 2], 40)
    wrong = np.where(np.arange(120) % 12 < 3, (truth + 1) % 3, truth)
    of_four = [f"group {at // 3}" for at in range(120)]
    wide, narrow = (
        tables.difference(said(truth, wrong, groups), said(truth, truth), seed=0)["accuracy"]
        for groups in (of_four, None)
    )
    assert wide["high"] - wide["low"] > 1.4 * (narrow["high"] - narrow["low"])


def test_one_answer_for_all_images_reaches_the_share_of_the_majority_type():
    found = tables.majority_class(said([1] * 6 + [0] * 2 + [2] * 2, [0] * 10), seed=0)
    assert found["accuracy"]["value"] == pytest.approx(60.0)
    assert found["macro_f1"]["value"] == pytest.approx(100 * 2 * 6 / (10 + 6) / 3)


def test_the_tables_have_the_papers_numbers_beside_the_published_row_only():
    one = {name: {"value": 50.0, "low": 40.0, "high": 60.0, "n": 10, "method": "m"} for name in tables.SCORES}
    counts = {"as_published": {"train": {"Type_1": 2, "Type_2": 3}, "test": {"Type_3": 1}}}
    first, second = tables.of_counts(counts, ""), tables.of_rows({"leak_free": one}, {}, "")
    assert [(row["paper"] or [None])[0] for row in first["rows"]] == [8215, 5750, 2464]
    assert [[each["value"] for each in row["ours"]] for row in first["rows"]] == [
        [6, 2, 3, 1],
        [5, 2, 3, 0],
        [1, 0, 0, 1],
    ]
    assert [row["paper"] for row in second["rows"]] == [[77.0, 79.0], None]
    assert second["rows"][0]["ours"] is None


@pytest.fixture
def photographs(tmp_path):
    """Three different images of each type, in the original layout."""
    rng = np.random.default_rng(0)
    for label in CLASSES:
        for at in range(3):
            file = tmp_path / "images" / "train" / "train" / label / f"{label[-1]}{at}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
            cv2.imwrite(str(file), cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC))
    return tmp_path / "images"


def read(root, tmp_path, **source):
    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    return data.read(Config(data=Source(root=root, **source)), out)


def test_corrections_are_the_leak_free_protocols_alone(photographs, tmp_path):
    (photographs / "fixed_labels_v2.csv").write_text("filename,old_label,new_label\n10.jpg,Type_1,Type_3\n")
    (photographs / "removed_files.csv").write_text("filename\n21.jpg\n")
    found = read(photographs, tmp_path)
    published, free = (found[protocol].rows.set_index("path")["label"] for protocol in PROTOCOLS)
    assert len(published) == 9 and len(free) == 8
    assert published["train/train/Type_1/10.jpg"] == "Type_1" and free["train/train/Type_1/10.jpg"] == "Type_3"
    assert "train/train/Type_2/21.jpg" not in free.index


def test_near_duplicates_are_one_group_in_both_protocols(photographs, tmp_path):
    first = cv2.imread(str(photographs / "train/train/Type_1/10.jpg"))
    (photographs / "additional_Type_1_v2" / "Type_1").mkdir(parents=True)
    cv2.imwrite(str(photographs / "additional_Type_1_v2/Type_1/99.jpg"), cv2.convertScaleAbs(first, alpha=0.97))
    for each in read(photographs, tmp_path).values():
        groups = each.rows.set_index("path")["group"]
        assert groups["additional_Type_1_v2/Type_1/99.jpg"] == groups["train/train/Type_1/10.jpg"]
        assert groups.nunique() == 9


def test_files_that_are_broken_in_the_original_are_left_out_and_others_are_an_error(photographs, tmp_path):
    (photographs / "train/train/Type_1/1339.jpg").write_bytes(b"\xff\xd8\xff half a picture")
    found = read(photographs, tmp_path)
    assert not any("1339" in path for each in found.values() for path in each.rows["path"])
    (photographs / "train/train/Type_1/10.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"10\.jpg: the file is empty"):
        read(photographs, tmp_path)


def test_test_images_of_the_first_stage_are_not_among_the_papers_images(photographs, tmp_path):
    (photographs / "test").mkdir()
    (photographs / "train/train/Type_1/10.jpg").rename(photographs / "test/10.jpg")
    (photographs / "solution_stg1_release.csv").write_text("image_name,Type_1,Type_2,Type_3\n10.jpg,1,0,0\n")
    assert {len(each) for each in read(photographs, tmp_path).values()} == {8}


def test_an_empty_class_is_an_error_that_names_the_class_and_its_folders(photographs, tmp_path):
    for file in (photographs / "train/train/Type_2").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"no image of class Type_2 among 6 labeled ones.*train/train/Type_2"):
        read(photographs, tmp_path)


def test_wrong_class_folders_are_an_error_that_says_what_was_looked_for(photographs, tmp_path):
    for label in CLASSES:
        (photographs / "train/train" / label).rename(photographs / "train/train" / label.replace("_", " "))
    with pytest.raises(InputError, match=r"nothing here is laid out as mobileodt; looked for train/train/Type_k"):
        read(photographs, tmp_path)


def test_a_manifest_with_another_data_sets_rows_is_an_error_that_names_the_first(photographs, tmp_path):
    mixed = tmp_path / "manifest.csv"
    rows = [f"train/train/{label}/{label[-1]}{at}.jpg,{label}" for label in CLASSES for at in range(3)]
    mixed.write_text("path,label\n" + "\n".join([*rows, "im_Parabasal/001_01.bmp,Parabasal"]) + "\n")
    with pytest.raises(
        InputError, match=r"im_Parabasal/001_01.bmp: label 'Parabasal' is not one of Type_1.*1 such rows"
    ):
        read(photographs, tmp_path, manifest=mixed)


def test_a_manifests_own_split_is_not_thrown_away_in_silence(photographs, tmp_path, capsys):
    def of(*splits):
        table = tmp_path / "manifest.csv"
        named = [f"train/train/{label}/{label[-1]}{at}.jpg,{label}" for label in CLASSES for at in range(3)]
        lines = [f"{name},{splits[at % 3]}" for at, name in enumerate(named)]
        table.write_text("\n".join(["path,label,split", *lines]) + "\n")
        return table

    assert {len(each) for each in read(photographs, tmp_path, manifest=of("", "", "")).values()} == {9}
    assert "note" not in capsys.readouterr().out
    assert {len(each) for each in read(photographs, tmp_path, manifest=of("train", "train", "test")).values()} == {6}
    assert capsys.readouterr().out.count("note: 3 labeled images left out: their split is test") == 1
    with pytest.raises(InputError, match="the column split names validation, but this study draws its own splits"):
        read(photographs, tmp_path, manifest=of("train", "validation", "test"))


def test_a_part_without_a_class_is_an_error_that_names_protocol_part_and_class():
    with pytest.raises(InputError, match=r"as_published: split test \(28 images\) has no Type_1; ask"):
        data.split(listed({"Type_1": 1, "Type_2": 45, "Type_3": 45}), "as_published", Config())


def test_on_the_real_images_both_protocols_take_all_that_can_be_read(real_data, tmp_path):
    found = read(real_data / "mobileodt", tmp_path)
    assert {protocol: len(each) for protocol, each in found.items()} == dict.fromkeys(PROTOCOLS, 1481)
