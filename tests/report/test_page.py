import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from cervix_tf.data import manifest as manifests
from cervix_tf.errors import InputError
from cervix_tf.metrics import confusion, predictions
from cervix_tf.report import figures, heat_maps, page, paper_figures
from cervix_tf.run_dir import RunDir, read_json, write_json
from tests.report.checked_page import checked


@pytest.fixture(scope="session")
def whole_page(template):
    return checked(page.run(template))


def test_a_whole_run_is_one_valid_file_of_sane_size(template, whole_page):
    assert 100_000 < template.report.stat().st_size < 5_000_000
    assert whole_page.links == [
        "#numbers",
        "#paper",
        "#figures",
        "#cases",
        "#training",
        "#data",
        "#exports",
        "#rerun",
    ]


def test_the_page_shows_what_the_run_holds(template, whole_page):
    metrics = read_json(template.metrics)
    accuracy = metrics["metrics"]["accuracy"]
    low, high = 100 * accuracy["low"], 100 * accuracy["high"]
    for part in (
        f"{100 * accuracy['value']:.1f} %",
        f"[{low:.1f}, {high:.1f}]",
        "n = 24",
        accuracy["method"],
        "SYNTHETIC DATA",
        "81.25",
        "not defined (no row of cancer)",
        "python -m experiments.mobilenetv2_ensemble --preset demo",
        "epoch kept (5), by val_accuracy",
        "Near duplicate",
        "9.42 MB",
        "versions.tensorflow",
        "train.epochs",
        "24 groups (women, visits or slides); none is in more than one split.",
    ):
        assert part in whole_page.text, part


def test_a_study_that_deploys_nothing_says_that_its_images_were_drawn_and_claims_no_paper(tmp_path):
    run = RunDir(tmp_path)
    table = {"number": 1, "title": "Accuracy", "columns": ["5 %"], "rows": [{"name": "Random", "ours": [{"value": 9}]}]}
    write_json(run.tables, [table])
    write_json(run.config, {"seed": 0, "synthetic_cells": 60})
    drawn = checked(page.run(run)).text
    assert "SYNTHETIC DATA" in drawn and "The paper's tables" not in drawn and "Table 1" in drawn
    write_json(run.config, {"seed": 0, "synthetic_cells": 0})
    assert "SYNTHETIC DATA" not in checked(page.run(run)).text


def test_cases_come_with_one_picture_of_their_images_and_heat_maps(whole_page):
    shown = whole_page.text.count("What the network reacted to, in coarse cells; not an outline")
    assert 4 < shown <= 12
    assert sum(alt.startswith("Images of visit_") for alt in whole_page.images) == shown
    assert not [alt for alt in whole_page.images if alt.startswith("acetic_3 of visit_")]


def test_heat_maps_are_called_what_they_are_with_their_cells_and_what_they_are_worth(whole_run):
    write_json(whole_run.heat_maps, {"method": "Grad-CAM++", "cells": [3, 4]})
    text = checked(page.run(whole_run)).text
    assert "Grad-CAM++: what the network reacted to, 12 cells per image; not an outline" in text
    assert "What heat maps are worth here was not measured" in text
    share = {"low": 0.30, "high": 0.40, "n": 20, "method": "bootstrap"}
    write_json(whole_run.evidence, {"heat": {"value": 0.35, **share}, "even": {"value": 0.35, **share}})
    assert (
        "35.0 % [30.0, 40.0] of the heat lies in the box around the drawn lesion" in checked(page.run(whole_run)).text
    )
    assert "read nothing into them" in checked(whole_run.report).text
    write_json(whole_run.evidence, {"heat": {"value": 0.35, **share}, "even": {"value": 0.1, **share}})
    assert "They point to it, coarsely" in checked(page.run(whole_run)).text


def test_heat_maps_that_were_not_measured_come_with_what_was_found_where_lesions_are_known(monkeypatch, tmp_path):
    def share(value):
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    found = {"images": 9, "method": "Grad-CAM++", "network": "x", "agreement": {"value": 0.4}}
    found |= {"pointing": share(0.8), "chance": share(0.2), "middle": share(0.6)}
    monkeypatch.setattr(heat_maps, "MEASURED", tmp_path / "measured.yaml")
    heat_maps.MEASURED.write_text(yaml.safe_dump(found))
    said = heat_maps.told(RunDir(tmp_path), True).worth
    assert said.startswith("What heat maps are worth here was not measured")
    assert "in the lesion in 80.0 % [70.0, 90.0] of them; chance would in 20.0 % [10.0, 30.0]" in said
    assert "to the middle in 60.0 % [50.0, 70.0]. Maps" in said and "correlation of 0.40." in said
    heat_maps.MEASURED.write_text(yaml.safe_dump(found | {"middle": share(0.9)}))
    assert "[80.0, 100.0]: it is not known to beat that guess. Maps" in heat_maps.told(RunDir(tmp_path), True).worth
    assert heat_maps.told(RunDir(tmp_path), False).worth == ""


def test_every_picture_can_be_enlarged_with_the_keyboard_alone_and_without_a_script(whole_page):
    assert whole_page.enlarged == [alt for alt in whole_page.images if not alt.startswith("acetic_")]
    assert len(whole_page.enlarged) > 10


def test_the_first_screen_stands_before_everything_else(template, whole_page):
    text = " ".join(whole_page.text.split())
    order = [
        "Do the 7 views of a case show cin2_3 or cancer, or only normal or cin1?",
        "cases with cin2_3 or cancer, it missed",
        "Sensitivity, 95 % interval",
        "Specificity, 95 % interval",
        "When a person should decide instead",
        "Limits",
        "Not a medical device. Not evaluated",
        "Details, for those who want to check",
        "Accuracy",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_no_number_and_no_curve_stands_twice(template, whole_page):
    alts = whole_page.images
    assert sum(alt.startswith("ROC, ") for alt in alts) == sum(alt.startswith("Confusion matrix") for alt in alts) == 1
    roc = next(alt for alt in alts if alt.startswith("ROC, "))
    assert "positive = cin2_3 or cancer, and each class against the others" in roc
    assert template.report.read_text().count("<b>Sensitivity</b>") == 0


def test_the_checklists_stand_beside_the_page_and_are_linked(template, whole_page):
    assert whole_page.beside == 1
    text = template.checklist.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## TRIPOD+AI",
        "## CLAIM 2024",
        "## STARD-AI",
    ]
    assert "none in more than one partition" in text and "not reported: the authors must report it" in text


def test_a_papers_roc_curves_take_the_place_of_the_pages(whole_run):
    drawn = figures.roc([("cancer", {"fpr": [0, 1], "tpr": [0, 1]}, "0.5")], "by the margin")
    paper_figures.write(whole_run, {"Fig. 6": drawn})
    alts = [alt for alt in checked(page.run(whole_run)).images if alt.startswith("ROC, ")]
    assert alts == ["ROC, by the margin. cancer: AUC 0.5."]


def test_without_heat_maps_cases_come_with_their_seven_images(whole_run):
    shutil.rmtree(whole_run.figures)
    found = checked(page.run(whole_run))
    shown = sum(alt.startswith("acetic_3 of visit_") for alt in found.images)
    assert 4 < shown <= 12
    assert sum(alt.startswith("iodine of visit_") for alt in found.images) == shown
    assert "image not found" not in found.text


def test_images_that_are_gone_are_said_to_be_gone(whole_run):
    shutil.rmtree(whole_run.figures)
    root = read_json(whole_run.environment)["data_root"]
    shutil.rmtree(root)
    text = checked(page.run(whole_run)).text
    assert "The images are no longer where they were" in text and root not in text
    assert "image not found" in text


def test_the_page_names_no_folder_of_this_machine(whole_run, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann_a")
    shutil.rmtree(whole_run.figures)
    root = read_json(whole_run.environment)["data_root"]
    command = (
        f"python -m experiments.mobilenetv2_ensemble --data.root {root} --weights /home/ann_a/w.h5 "
        "--run-config \"out='/srv/ann_a/run'\""
    )
    write_json(whole_run.environment, {**read_json(whole_run.environment), "command_line": command})
    paths = {"root": root, "manifest": "/mnt/ann_a smith/m.csv", "weights": "~/w.h5"}
    write_json(whole_run.config, {**read_json(whole_run.config), "data": paths})
    page.run(whole_run)
    html = whole_run.report.read_text()
    assert "acetic_3 of visit_" in html  # the images were found
    # An underscore never stands in base64, so no embedded image can hold the name by chance.
    assert "ann_a" not in html and root not in html and str(whole_run.root.parent) not in html
    text = checked(whole_run.report).text
    assert "--data.root DATA --weights ~/w.h5" in text and "m.csv" in text


def test_the_title_of_a_run_names_its_study_and_no_folder_above_it(whole_run, tmp_path):
    assert "Run mobilenetv2_ensemble / demo\n" in checked(page.run(whole_run)).text
    own = RunDir(tmp_path / "patients of 2024" / "my_run")
    shutil.copytree(whole_run.root, own.root)
    write_json(own.environment, {"command_line": "python -m cervix_tf.train m.csv -o my_run"})
    assert "Run my_run\n" in checked(page.run(own)).text and "patients of 2024" not in own.report.read_text()


@pytest.mark.parametrize("how", ["of the page", "of the run"])
def test_without_images_the_page_holds_drawings_alone(whole_run, how):
    picture = figures.photograph(np.zeros((8, 12, 3), np.uint8), "Heat maps.", "Four cases.")
    drawn = figures.confusion([[1, 0], [0, 1]], ["a", "b"], "x")
    paper_figures.write(whole_run, {"Fig. 1": drawn, "Fig. 10": picture})
    page.run(whole_run)
    assert whole_run.report.read_text().count("data:image/jpeg") > 4
    if how == "of the run":
        write_json(whole_run.environment, {**read_json(whole_run.environment), "report_images": False})
    page.run(whole_run, images=how == "of the run")
    html = whole_run.report.read_text()
    assert "data:image/jpeg" not in html and "data:image/png" not in html and "data:image/svg" in html
    assert "Fig. 1</h3>" in html and "Fig. 10" not in html
    assert "Patients' images are left out" in checked(whole_run.report).text


def test_a_run_that_has_only_begun_has_a_page_that_names_what_is_missing(tmp_path):
    run = RunDir(tmp_path / "paper" / "begun")
    run.root.mkdir(parents=True)
    write_json(run.config, {"seed": 0})
    found = checked(page.run(run))
    assert "metrics.json (metrics and figures)" in found.text
    assert found.links == ["#rerun"]


def test_a_folder_that_is_no_run_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        page.run(RunDir(tmp_path))
    with pytest.raises(InputError, match="is not a run"):
        page.run(RunDir(tmp_path / "missing"))


def test_strings_of_others_cannot_become_markup(whole_run):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=y>"
    for path in (whole_run.predictions, whole_run.manifest):
        quoted = '"' + evil.replace('"', '""') + '"'
        path.write_text(path.read_text().replace("visit_000,", f"{quoted},"))
    for path in (whole_run.config, whole_run.contract, whole_run.environment):
        write_json(path, {**read_json(path), "note": evil, evil: 1, "task": evil})
    write_json(whole_run.root / "audit.json", [{"kind": evil, "count": evil}])
    write_json(whole_run.exports, [{"format": evil, evil: evil}])
    tables = read_json(whole_run.tables)
    tables[0] |= {"title": evil, "note": evil, "columns": [evil, evil]}
    tables[0]["rows"][0]["name"] = evil
    write_json(whole_run.tables, tables)
    path = page.run(whole_run)
    assert "<script" not in path.read_text()
    assert evil in checked(path).text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"synthetic": True, "stand_in": False}, ["SYNTHETIC DATA"]),
        ({"stand_in": True}, ["STAND-IN DATA"]),
        ({}, []),
    ],
)
def test_what_the_data_are_stands_above_the_numbers(tmp_path, flags, words):
    run = RunDir(tmp_path)
    write_json(run.config, {})
    write_json(run.contract, {"task": "t", **flags})
    text = checked(page.run(run)).text
    assert [word for word in ("SYNTHETIC DATA", "STAND-IN DATA") if word in text] == words


@pytest.mark.parametrize(("splits", "too_good"), [(("train", "test"), True), (("train", "validation", "test"), False)])
def test_selection_on_the_test_part_is_said_where_a_published_protocol_has_no_validation_split(
    tmp_path, splits, too_good, monkeypatch
):
    """CVM-Cervix, as published, splits at random and chooses the epoch on a validation split."""
    run = RunDir(tmp_path)
    write_json(run.config, {"protocol": "as_published", "criterion": "val_loss"})
    rows = [{"path": f"{name}.png", "label": "a", "group": name, "split": name} for name in splits]
    manifests.write(manifests.from_records(rows, tmp_path), run.manifest)
    run.history.write_text("epoch,seconds,loss,val_loss\n1,1,0.5,0.6\n2,1,0.4,0.5\n")
    legends, drawn = [], figures.training
    monkeypatch.setattr(figures, "training", lambda *words: legends.append(words[-1]) or drawn(*words))
    text = checked(page.run(run)).text
    assert ("SELECTED ON THE TEST SPLIT" in text) == too_good == ("too good" in text)
    assert legends == ["test" if too_good else "validation"]


def test_the_epoch_that_is_marked_as_kept_is_the_one_whose_weights_a_training_kept(whole_run):
    """The rows of Tables 8 to 10 are kept by another criterion than the run's."""
    row = whole_run.row("acetic")
    row.history.write_text("epoch,seconds,loss,val_accuracy,val_mean\n1,1,0.5,0.6,0.2\n2,1,0.4,0.5,0.3\n")
    write_json(row.finished_training, {"best": {"val_mean": {"epoch": 2}}})
    assert "epoch kept (2), by val_mean" in checked(page.run(whole_run)).text
    write_json(row.finished_training, {"best": {"val_mean": {"epoch": 2}, "val_accuracy": {"epoch": 1}}})
    assert "epoch kept (1), by val_accuracy" in checked(page.run(whole_run)).text


def test_every_command_that_computed_a_part_of_a_run_is_shown_in_order(whole_run):
    last = read_json(whole_run.environment)
    earlier = {"command_line": "python -m experiments.mobilenetv2_ensemble --only acetic", "commit": "abc"}
    write_json(whole_run.environment, {**last, "commit": "def", "earlier": [earlier]})
    text = page.run(whole_run).read_text()
    assert f"{earlier['command_line']}\n{last['command_line']}</pre>" in text and "abc, def" in text


@pytest.mark.parametrize("name", ["metrics.json", "exports.json", "predictions.csv", "history.csv", "manifest.csv"])
def test_a_broken_file_is_named(whole_run, name):
    (whole_run.root / name).write_text('"unfinished' if name.endswith(".csv") else "{unfinished")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        page.run(whole_run)


def test_a_file_of_the_wrong_kind_is_named(whole_run):
    whole_run.exports.write_text(json.dumps({"format": "x"}))
    with pytest.raises(InputError, match=r"exports\.json: does not contain a JSON list"):
        page.run(whole_run)


def test_the_page_of_the_same_files_is_the_same(template, whole_page):
    first = template.report.read_bytes()
    assert page.run(template).read_bytes() == first


def python(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_command_loads_nothing_heavy_for_its_help():
    heavy = "{'pandas', 'matplotlib', 'cv2', 'jinja2', 'numpy'}"
    done = python("-c", f"import sys, cervix_tf.report.__main__; print({heavy} & set(sys.modules))")
    assert done.stdout.strip() == "set()"


def test_the_command_writes_the_page_again(whole_run):
    done = python("-m", "cervix_tf.report", whole_run.root)
    assert (done.returncode, done.stdout.strip()) == (0, str(whole_run.report))
    assert whole_run.report.is_file()


def test_the_command_refuses_what_is_no_run_in_one_line(tmp_path):
    done = python("-m", "cervix_tf.report", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}: is not a run")
    assert done.stderr.count("\n") == 1


def test_a_figure_of_the_papers_is_not_drawn_a_second_time(whole_run):
    found = predictions.read(whole_run.predictions)
    matrix = confusion.counts(found.labels, found.decisions, len(found.classes), np.ones((1, len(found))))[0]
    drawn = figures.confusion(matrix, found.classes, "of the paper")
    assert page.run(whole_run).read_text().count(drawn.source) == 1
    paper_figures.write(whole_run, {"Fig. 6": drawn})
    assert page.run(whole_run).read_text().count(drawn.source) == 1
