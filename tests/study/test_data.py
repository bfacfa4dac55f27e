from dataclasses import replace

import cv2
import numpy as np
import pytest

from cervix_tf.config import Source
from cervix_tf.data import manifest
from cervix_tf.data.importers import Imported
from cervix_tf.data.importing import files
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import data

LABEL_MAP = {"control": ("normal", "cin1"), "case": ("cin2",)}


def imported(*labels, split=()):
    records = [
        {"path": f"{at}.jpg", "label": label, "split": split[at] if split else ""} for at, label in enumerate(labels)
    ]
    return Imported(manifest.from_records(records, "."), [("broken.jpg", "is empty")], ["a note"])


def nothing(root):
    raise AssertionError(f"{root} must not be read")


def test_labels_of_the_source_become_the_classes_of_the_study():
    labeled = data.labeled(imported("normal", "cin2", "cin1"), LABEL_MAP, "here")
    assert list(labeled.rows["label"]) == ["control", "case", "control"]


def test_images_without_a_label_are_left_out_and_counted(capsys):
    assert len(data.labeled(imported("normal", "", "cin2", ""), LABEL_MAP, "here")) == 2
    assert capsys.readouterr().out == "note: 2 images left out: no label\n"


def test_a_label_of_another_data_set_is_refused_with_its_file_or_left_out_where_that_is_meant(capsys):
    strange = imported("normal", "cancer", "cin2")
    with pytest.raises(InputError, match=r"here: 1.jpg: label 'cancer' is not one of normal, cin1, cin2; 1 such rows"):
        data.labeled(strange, LABEL_MAP, "here")
    assert len(data.labeled(strange, LABEL_MAP, "here", others="leave out")) == 2
    assert "1 image left out: labeled none of normal, cin1, cin2" in capsys.readouterr().out


def test_an_empty_class_is_refused_with_its_labels_in_the_source_and_what_was_left_out():
    with pytest.raises(InputError, match=r"no image of class case among 1 .*: look for cin2\. 1 .*broken.jpg: is em"):
        data.labeled(imported("normal"), LABEL_MAP, "here", hint="look for {}")


def test_without_any_known_label_the_labels_that_there_are_are_named():
    with pytest.raises(InputError, match="no image has one of the labels normal, cin1, cin2; the labels there are x"):
        data.labeled(imported("x", "y"), LABEL_MAP, "here", others="leave out")


def test_without_root_manifest_or_drawing_the_remedy_names_all_three(tmp_path):
    with pytest.raises(InputError, match=r"--data.root is missing: give the folder of the IARC images, or --data.man"):
        data.load(Source(), "IARC", nothing, RunDir(tmp_path))


@pytest.mark.parametrize("given", ["root", "manifest"])
def test_images_of_the_users_own_are_not_left_unread_where_synthetic_ones_are_drawn(given, tmp_path):
    with pytest.raises(InputError, match=r"mine: would not be read, since this preset draws synthetic images"):
        data.load(Source(**{given: tmp_path / "mine"}), "IARC", nothing, RunDir(tmp_path), lambda root: None)


def test_notes_of_an_importer_are_printed_but_not_those_of_drawn_images(tmp_path, capsys):
    data.load(Source(root=tmp_path), "IARC", lambda root: imported("normal"), RunDir(tmp_path))
    assert capsys.readouterr().out == "note: a note\nnote: left out: 1 x is empty (first: broken.jpg)\n"
    drawn = []
    data.load(Source(), "IARC", lambda root: imported("normal"), RunDir(tmp_path), drawn.append)
    assert capsys.readouterr().out == "" and drawn == [tmp_path / "data"]


def test_a_prescribed_split_is_taken_as_it_is_and_another_one_refused():
    images = imported("normal", "cin2", split=("train", "test")).manifest
    assert {name: len(part) for name, part in data.prescribed(images, ("train", "test")).items()} == {
        "train": 1,
        "test": 1,
    }
    with pytest.raises(InputError, match=r"names test, train; give exactly the names \(train, valid"):
        data.prescribed(images, ("train", "validation", "test"))
    empty = replace(images, rows=images.rows.assign(split=""))
    assert data.prescribed(empty, ("train", "test")) == {}


def test_a_split_without_a_class_is_refused():
    images = imported("control", "control").manifest
    with pytest.raises(InputError, match=r"leak_free: split test \(2 images\) has no case; ask for larger shares"):
        data.check_classes({"test": images}, LABEL_MAP, "leak_free: ")


def test_options_for_the_importer_are_passed_on_where_the_layout_reads_them(tmp_path):
    source = Source(labels=(("healthy", "normal"),), test_folder="held out", overrides=tmp_path / "views.csv")
    options = data.importer_options(source, "cervigram_visits")
    assert options.labels == {"healthy": "normal"} and options.overrides == tmp_path / "views.csv"
    assert (options.train_folder, options.test_folder) == ("train", "held out")
    assert data.importer_options(Source(labels=(("healthy", "normal"),)), "csv").labels == {"healthy": "normal"}


@pytest.mark.parametrize("told", [{"labels": (("a", "b"),)}, {"train_folder": "fit"}, {"overrides": "views.csv"}])
def test_an_option_that_would_come_to_nothing_is_refused(told, tmp_path):
    option = f"--data.{next(iter(told)).replace('_', '-')}"
    with pytest.raises(InputError, match=f"{option}: is not read for the layout sipakmed, only for cervigram_visits"):
        data.importer_options(Source(**told), "sipakmed")
    with pytest.raises(InputError, match=f"{option}: does not apply to drawn images"):
        data.load(Source(**told), "IARC", nothing, RunDir(tmp_path), nothing)
    with pytest.raises(InputError, match=f"{option}: does not apply to --data.manifest .*m.csv, which is taken"):
        data.load(Source(manifest=tmp_path / "m.csv", **told), "IARC", nothing, RunDir(tmp_path))


def test_what_an_importer_left_out_is_counted_by_its_reason(tmp_path, capsys):
    found = replace(imported("normal"), left_out=[("a", "no class"), ("b", "no class"), ("c", "is empty")])
    data.load(Source(root=tmp_path), "IARC", lambda root: found, RunDir(tmp_path))
    said = capsys.readouterr().out
    assert "left out: 2 x no class (first: a)" in said and "left out: 1 x is empty (first: c)" in said


def women(count, **columns):
    records = [
        {"path": f"{at}.jpg", "label": ("normal", "cin2")[at % 2], "group": f"w{at // 2}"} for at in range(count)
    ]
    images = manifest.from_records(records, ".")
    return replace(images, rows=images.rows.assign(**columns))


def test_a_split_is_drawn_with_no_group_in_two_parts_where_none_is_prescribed():
    parts = data.split(women(40), {"validation": 0.2, "test": 0.3}, seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 20, "validation": 8, "test": 12}
    groups = [set(part.rows["group"]) for part in parts.values()]
    assert len(set.union(*groups)) == sum(map(len, groups))


def test_a_prescribed_split_without_validation_gets_one_out_of_train():
    images = women(40, split=["train"] * 30 + ["test"] * 10)
    parts = data.split(images, {"validation": 0.2, "test": 0.3}, seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 24, "test": 10, "validation": 6}
    assert set(parts["test"].rows["path"]) == {f"{at}.jpg" for at in range(30, 40)}


def test_a_prescribed_split_with_a_group_in_two_parts_is_refused():
    with pytest.raises(InputError, match=r"group 'w0' is in train \(1 row\) and in test"):
        data.split(women(4, split=["train", "test", "train", "validation"]), {"validation": 0.2, "test": 0.3}, seed=0)


@pytest.mark.parametrize("split", [["train"] * 4 + ["test"] * 4, [""] * 8])
def test_splits_that_have_copies_of_one_file_are_warned_of_with_their_number(split, capsys):
    shares = {"validation": 0.25, "test": 0.5}
    data.split(women(8, split=split, sha256=[f"{at:064}" for at in range(8)]), shares, seed=0)
    data.split(women(8, split=split), shares, seed=0)
    assert capsys.readouterr().err == ""
    parts = data.split(women(8, split=split, sha256=["a" * 64] * 8), shares, seed=0, where="site a: ")
    said = capsys.readouterr().err
    assert f"warning: site a: {len(parts['test'])} images of test have the same bytes as images of train (" in said
    assert len(said.splitlines()) == 2  # and of validation


def test_a_split_that_is_prescribed_for_some_images_only_is_refused_with_their_number():
    images = women(4, split=["train", "", "test", ""])
    with pytest.raises(InputError, match="site a: the column split names test, train and, for 2 images, none; give"):
        data.split(images, {"validation": 0.2, "test": 0.3}, seed=0, where="site a: ")


def test_images_of_another_kind_of_view_are_not_read(tmp_path):
    for at in range(3):
        cv2.imwrite(str(tmp_path / f"{at}.jpg"), np.zeros((8, 8, 3), np.uint8))
    out = RunDir(tmp_path / "run")
    out.root.mkdir()
    write_json(out.environment, {})
    views = [
        {"path": f"{at}.jpg", "label": label, "view": view}
        for at, (label, view) in enumerate([("normal", "acetic_1"), ("cin2", "acetic_2"), ("cin2", "green")])
    ]
    found = Imported(manifest.from_records(views, tmp_path), [], [])
    kept = data.read(Source(root=tmp_path), "IARC", lambda root: found, LABEL_MAP, out, view="acetic")
    assert list(kept.rows["label"]) == ["control", "case"]


def test_images_that_were_replaced_under_their_names_are_refused_however_often_the_run_was_begun(tmp_path):
    records = []
    for name in ("a.png", "b.png", "c.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
        records.append({"path": name, "sha256": files.sha256(tmp_path / name), "label": "normal"})
    records[2]["sha256"] = ""  # of which nothing is known
    images, out = manifest.from_records(records, tmp_path), RunDir(tmp_path / "run")
    out.root.mkdir()
    write_json(out.environment, {})
    data.check(images, out)
    for name in ("b.png", "c.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 9, np.uint8))
    with pytest.raises(
        InputError, match=r"^.*b\.png: has changed: its SHA-256 is \w{16}\.\.\., in the manifest \w{16}\.\.\.;.*$"
    ):
        data.check(images, out)


def test_a_class_of_which_no_image_can_be_read_is_not_left_out_without_a_word(tmp_path):
    records = [{"path": f"{label}_{at}.png", "label": label} for label in ("normal", "cin2") for at in range(2)]
    for record in records:
        kind = np.uint16 if record["label"] == "cin2" else np.uint8  # as of another scanner
        cv2.imwrite(str(tmp_path / record["path"]), np.full((8, 8, 3), 200, kind))
    images, out = manifest.from_records(records, tmp_path), RunDir(tmp_path / "run")
    out.root.mkdir()
    write_json(out.environment, {})
    with pytest.raises(InputError, match=r"none of the 2 images of class cin2 can be read; the first: .*cin2_0.* 16 b"):
        data.check(images, out, "skip")
