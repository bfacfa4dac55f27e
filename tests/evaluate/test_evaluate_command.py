import json
import types

import cv2
import numpy as np
import pytest

from cervix_tf.contract import Contract
from cervix_tf.data import manifest, seen
from cervix_tf.data.manifest import Manifest
from cervix_tf.decision import Calibration, OperatingPoint
from cervix_tf.evaluate.__main__ import main
from cervix_tf.export import runtime
from cervix_tf.metrics import predictions
from cervix_tf.report import page

CLASSES = ("normal", "cancer")
SEVEN = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")


def contract(**changes):
    fields = {
        "task": "made up",
        "classes": CLASSES,
        "positive": ("cancer",),
        "views": (),
        "height": 8,
        "width": 8,
        "native_height": 8,
        "native_width": 8,
        "version": "0",
        "license": "none",
        "intended_use": "tests",
        "data": "drawn",
        "synthetic": True,
        "stand_in": False,
    }
    return Contract(**{**fields, **changes})


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Stands in for a loaded model; contract, record and run may be set. Brighter images are surer of cancer."""
    (tmp_path / "model.tflite").write_bytes(b"any")
    monkeypatch.chdir(tmp_path)
    stand_in = types.SimpleNamespace(contract=contract(), seen=None, run_dir=None, pages=[])

    def network(pixels):
        assert pixels.ndim == (5 if stand_in.contract.views else 4)
        brightness = pixels.mean(axis=tuple(range(1, pixels.ndim))) / 255
        return np.stack([1 - brightness, brightness], axis=1)

    def load(path):
        return runtime.Model(stand_in.contract, path, network, seen=stand_in.seen, run_dir=stand_in.run_dir)

    monkeypatch.setattr(runtime, "load", load)
    monkeypatch.setattr(page, "evaluation", stand_in.pages.append)
    return stand_in


def images(folder, visits=16, views=("green", "iodine"), **columns):
    """Gray images, brighter for cancer; a manifest of `visits` with `views`, half test, half validation."""
    records = []
    for visit in range(visits):
        cancer = visit % 2
        for at, view in enumerate(views):
            path = f"{visit}/{at}.png"
            (folder / str(visit)).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / path), np.full((8, 8, 3), 60 + 120 * cancer + 5 * (visit % 16), np.uint8))
            records.append(
                {
                    "path": path,
                    "label": CLASSES[cancer],
                    "group": f"w{visit}",
                    "case": f"v{visit}",
                    "view": view,
                    "split": "test" if visit < visits / 2 else "validation",
                    "age": 20 + 3 * (visit % 16),
                    **columns,
                }
            )
    manifest.write(manifest.from_records(records, folder), folder / "manifest.csv")


def results(folder):
    return json.loads((folder / "metrics.json").read_text())


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["model.tflite", "--manifest", "manifest.csv", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    return error


def test_a_model_and_a_manifest_give_predictions_metrics_and_a_page(model, tmp_path, capsys):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--by", "age", "view"])
    found = results(tmp_path / "evaluation")
    assert (found["n"], found["groups"], found["synthetic"]) == (16, 8, True)
    assert found["metrics"]["accuracy"]["value"] == 1
    assert set(found["strata"]["age"]) == {"<25", "25-49"}
    assert set(found["strata"]["view"]) == {"green", "iodine"}
    assert found["binary"]["metrics"]["sensitivity_at_90_specificity"]["n"] == 8
    written = predictions.read(tmp_path / "evaluation" / "predictions.csv")
    assert written.table["id"][0] == "0/0.png"
    assert len(manifest.read(tmp_path / "evaluation" / "manifest.csv")) == 16
    assert [str(each) for each in model.pages] == ["evaluation"]
    printed = capsys.readouterr().out
    assert "16 rows, 8 groups: manifest.csv, split test [SYNTHETIC DATA]" in printed
    assert "accuracy by age:" in printed


def test_several_manifests_give_a_model_a_row_of_results_on_the_same_terms(model, tmp_path, capsys):
    for name, visits in (("north", 16), ("south", 8)):
        (tmp_path / name).mkdir()
        images(tmp_path / name, visits=visits)
    main(["model.tflite", "--manifest", "north/manifest.csv", "south/manifest.csv", "--resamples", "100"])
    out = tmp_path / "evaluation"
    row = json.loads((out / "row.json").read_text())
    assert [(name, each["n"], each["groups"]) for name, each in row.items()] == [
        ("north-manifest", 16, 8),
        ("south-manifest", 8, 4),
    ]
    for name, each in row.items():
        alone = results(out / name)
        assert each["metrics"]["auc"] == alone["binary"]["metrics"]["auc"]
        assert each["metrics"]["accuracy"] == alone["metrics"]["accuracy"]
    printed = capsys.readouterr().out
    assert printed.index("north-manifest:") < printed.index("south-manifest:") < printed.index("\nauc:")
    assert [str(each) for each in model.pages] == ["evaluation/north-manifest", "evaluation/south-manifest"]


def test_the_comparison_is_of_the_operating_point_and_says_so(model, tmp_path, capsys):
    for name, visits in (("north", 16), ("south", 12)):
        (tmp_path / name).mkdir()
        images(tmp_path / name, visits=visits)
    several = ["model.tflite", "--manifest", "north/manifest.csv", "south/manifest.csv", "--resamples", "100"]
    main(several)
    assert "sensitivity and specificity on south-manifest by the most probable class" in capsys.readouterr().out
    main([*several, "--operating-point", "specificity:0.5"])
    printed = capsys.readouterr().out
    row = json.loads((tmp_path / "evaluation" / "row.json").read_text())
    for name, each in row.items():
        point = results(tmp_path / "evaluation" / name)["operating_point"]
        assert each["metrics"]["sensitivity"] == point["metrics"]["sensitivity"]
        assert each["decided"].startswith("operating point, ")
        assert f"sensitivity and specificity on {name} by {each['decided']}" in printed
    (tmp_path / "south" / "manifest.csv").write_text(
        (tmp_path / "south" / "manifest.csv").read_text().replace(",validation,", ",train,")
    )
    with pytest.raises(SystemExit):
        main([*several, "--operating-point", "specificity:0.5"])
    assert (
        "south/manifest.csv: --operating-point specificity:0.5: there is no validation row" in capsys.readouterr().err
    )


def test_manifests_of_different_names_keep_them(model, tmp_path):
    images(tmp_path)
    (tmp_path / "again.csv").write_bytes((tmp_path / "manifest.csv").read_bytes())
    main(["model.tflite", "--manifest", "manifest.csv", "again.csv", "--resamples", "100"])
    assert list(json.loads((tmp_path / "evaluation" / "row.json").read_text())) == ["manifest", "again"]


@pytest.mark.parametrize("later", [["manifest.csv", "again.csv"], ["manifest.csv"]])
def test_the_comparison_of_an_earlier_evaluation_goes_before_new_results_come(model, tmp_path, monkeypatch, later):
    images(tmp_path)
    (tmp_path / "again.csv").write_bytes((tmp_path / "manifest.csv").read_bytes())
    asked = ["model.tflite", "--resamples", "100", "--manifest"]
    main([*asked, "manifest.csv", "again.csv"])
    assert (tmp_path / "evaluation" / "row.json").is_file()
    monkeypatch.setattr(predictions, "write", killed)
    with pytest.raises(SystemExit):
        main([*asked, *later])
    assert not (tmp_path / "evaluation" / "row.json").exists()


def killed(*_):
    raise KeyboardInterrupt


def test_killed_between_new_predictions_and_new_metrics_it_leaves_no_older_ones(model, tmp_path, monkeypatch):
    images(tmp_path)
    model.seen = trained_on(manifest.read(tmp_path / "manifest.csv").part("validation").rows, tmp_path)
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"]
    main(asked)
    out = tmp_path / "evaluation"
    for name in ("report.html", "checklist.md"):  # the stand-in for the page writes none
        (out / name).write_text("older")
    (out / "notes.txt").write_text("mine")
    model.seen = None
    monkeypatch.setattr(manifest, "write", killed)
    with pytest.raises(SystemExit):
        main(asked)
    left = {path.name for path in out.iterdir()}
    assert "predictions.csv" in left and "notes.txt" in left
    assert not left & {"metrics.json", "report.html", "checklist.md", "seen.json"}


def test_of_several_manifests_what_is_for_one_is_refused(model, tmp_path, capsys):
    images(tmp_path)
    assert "two have the same name" in refused(capsys, "manifest.csv")
    (tmp_path / "again.csv").write_bytes((tmp_path / "manifest.csv").read_bytes())
    assert "--root: is for one manifest, and 2 are given" in refused(capsys, "again.csv", "--root", ".")
    assert "--data: is for one manifest" in refused(capsys, "again.csv", "--data", "ours")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "row.json").write_text("mine")
    assert "row.json: is there already" in refused(capsys, "again.csv")
    assert not (tmp_path / "evaluation" / "again").exists()


def test_a_threshold_on_the_margin_has_its_own_sensitivity_and_specificity(model, tmp_path, capsys):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--margin", "1"])
    found = results(tmp_path / "evaluation")["at_margin"]
    assert found["threshold"] == 1 and found["metrics"]["sensitivity"]["value"] == 0
    assert found["metrics"]["specificity"]["value"] == 1
    assert "positive where the margin is above 1:" in capsys.readouterr().out
    assert "--margin -1.5: must be from -1 to 1" in refused(capsys, "--margin", "-1.5")


def test_an_operating_point_is_chosen_on_validation_and_read_at_a_prevalence(model, tmp_path, capsys):
    images(tmp_path)
    asked = ["--operating-point", "sensitivity:0.9", "--prevalence", "0.05"]
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", *asked])
    found = results(tmp_path / "evaluation")["operating_point"]
    assert (found["rule"], found["prevalence"]) == ("sensitivity:0.9", 0.05)
    # In validation the darkest cancer is visit 9, brighter than every cancer of the test split: all are missed.
    assert found["threshold"] == pytest.approx((180 + 45) / 255 - 1e-4)
    assert found["metrics"]["sensitivity"]["value"] == 0 and found["metrics"]["specificity"]["value"] == 1
    assert found["metrics"]["npv_at_prevalence"]["value"] == pytest.approx(0.95)
    assert "operating point, sensitivity:0.9, positive from a score of 0.882" in capsys.readouterr().out


def test_a_prevalence_alone_is_for_the_most_probable_class(model, tmp_path, capsys):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--prevalence", "0.05"])
    found = results(tmp_path / "evaluation")["operating_point"]
    assert found["threshold"] is None and found["metrics"]["ppv_at_prevalence"]["value"] == 1
    assert "most probable class; at a prevalence of 5 %:" in capsys.readouterr().out
    assert "--prevalence 5: must be above 0 and below 1" in refused(capsys, "--prevalence", "5")
    assert "--operating-point best: is no rule" in refused(capsys, "--operating-point", "best")
    model.contract = contract(positive=())
    assert "--prevalence: made up has no positive classes" in refused(capsys, "--prevalence", "0.05")


def test_prediction_sets_and_deferral_come_from_validation(model, tmp_path, capsys):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--set-error", "0.2"])
    found = results(tmp_path / "evaluation")
    assert found["prediction_sets"]["error"] == 0.2
    assert set(found["prediction_sets"]["per_class"]) == set(CLASSES)
    assert found["deferral"][0]["error"]["value"] == pytest.approx(1 - found["metrics"]["accuracy"]["value"])
    assert "prediction sets that may miss 20 % of each class:" in capsys.readouterr().out
    assert "--set-error 2: must be above 0 and below 1" in refused(capsys, "--set-error", "2")


@pytest.mark.parametrize("option", [[], ["--no-images"]])
def test_an_evaluations_files_name_no_home_folder_and_say_whether_its_page_has_images(
    model, tmp_path, monkeypatch, option
):
    images(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    main(["model.tflite", "--manifest", f"{tmp_path}/manifest.csv", "--resamples", "100", *option])
    environment = json.loads((tmp_path / "evaluation" / "environment.json").read_text())
    assert environment["data_root"] == "~" and "--manifest ~/manifest.csv" in environment["command_line"]
    assert environment["report_images"] is not bool(option)


def test_images_of_a_case_become_one_row_when_aggregated(model, tmp_path):
    images(tmp_path)
    main(
        [
            "model.tflite",
            "--manifest",
            "manifest.csv",
            "--aggregate",
            "mean",
            "--resamples",
            "100",
            "-o",
            "cases",
        ]
    )
    found = results(tmp_path / "cases")
    assert (found["n"], found["groups"]) == (8, 8)
    assert found["metrics"]["accuracy"]["method"] == "Wilson 95%"
    assert predictions.read(tmp_path / "cases" / "predictions.csv").table["id"][0] == "v0"


def test_damaged_images_end_it_or_are_left_out_named_and_counted(model, tmp_path, capsys):
    images(tmp_path)
    for broken in ("0/0.png", "9/1.png"):  # a tested one and one of validation
        (tmp_path / broken).write_bytes((tmp_path / broken).read_bytes()[:50])
    assert "0/0.png: truncated or damaged" in refused(capsys, "--resamples", "100")
    assert not (tmp_path / "evaluation").exists()
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--damaged", "skip"])
    found = results(tmp_path / "evaluation")
    assert (found["n"], found["groups"]) == (14, 7)
    assert len(manifest.read(tmp_path / "evaluation" / "manifest.csv")) == 14
    assert json.loads((tmp_path / "evaluation" / "audit.json").read_text()) == [
        {"kind": "of an incomplete case (left out)", "count": 1},
        {"kind": "truncated (left out)", "count": 1},
    ]
    assert "note: left out: 0/0.png: truncated or damaged" in capsys.readouterr().out


def test_a_model_of_seven_views_gets_cases_and_incomplete_ones_are_told(model, tmp_path, capsys):
    images(tmp_path, views=SEVEN)
    rows = manifest.read(tmp_path / "manifest.csv")
    manifest.write(rows.where(rows.rows["path"] != "0/5.png"), tmp_path / "manifest.csv")
    model.contract = contract(views=SEVEN)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert results(tmp_path / "evaluation")["n"] == 7
    assert "1 cases left out: no green image" in capsys.readouterr().out


def test_without_validation_rows_no_threshold_is_chosen_and_the_command_says_so(model, tmp_path, capsys):
    images(tmp_path, split="test")
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert results(tmp_path / "evaluation")["binary"]["thresholds"] == {}
    assert "no validation rows" in capsys.readouterr().out


def test_one_kind_of_view_can_be_evaluated_alone(model, tmp_path):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--view", "green", "--resamples", "100"])
    assert results(tmp_path / "evaluation")["n"] == 8


def trained_on(rows, root, **changes):
    """The record of a run that was trained on these rows of a manifest."""
    return seen.of(Manifest(rows.assign(split="train", **changes).reset_index(drop=True), root))


def test_images_that_trained_the_model_are_told_first_and_in_the_results(model, tmp_path, capsys):
    images(tmp_path)
    rows = manifest.read(tmp_path / "manifest.csv").part("test").rows
    model.seen = trained_on(rows[:4], tmp_path)  # two women's
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("WARNING: the model was trained on 4 of these 16 files and on 2 of these 8 groups")
    found = results(tmp_path / "evaluation")["seen"]
    assert (found["trained_files"], found["trained_groups"], found["chosen_groups"]) == (4, 2, 0)
    assert found["warnings"] == [printed[0].removeprefix("WARNING: ")]
    assert seen.read(tmp_path / "evaluation" / "seen.json").salt == model.seen.salt


def test_a_model_that_does_not_say_what_it_was_trained_on_is_told(model, tmp_path, capsys):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert "note: the model does not say what it was trained on" in capsys.readouterr().out
    model.seen = trained_on(manifest.read(tmp_path / "manifest.csv").part("validation").rows, tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    printed = capsys.readouterr().out
    assert "WARNING" not in printed
    assert "note: the model's run does not say which images it was chosen on" in printed


def test_wrong_input_ends_in_one_clear_line(model, tmp_path, capsys):
    assert "manifest.csv: no such file" in refused(capsys)
    images(tmp_path)
    assert "no row with split 'holdout'; there is test (16 rows), validation (16 rows)" in refused(
        capsys, "--split", "holdout"
    )
    assert "leave one of them out" in refused(capsys, "--aggregate", "mean", "--by", "view")
    assert "at least 100" in refused(capsys, "--resamples", "5")
    assert "is a run or the model itself" in refused(capsys, "-o", "model.tflite")
    assert "is --root elsewhere the folder of the images?" in refused(capsys, "--root", "elsewhere")
    assert "none of 16 rows are saline images" in refused(capsys, "--view", "saline")
    with pytest.raises(SystemExit):
        main(["other.tflite", "--manifest", "manifest.csv"])
    assert "other.tflite: no such file or folder" in capsys.readouterr().err


def test_classes_that_the_model_does_not_know_are_refused(model, tmp_path, capsys):
    images(tmp_path)
    model.contract = contract(classes=("normal", "cin1"), positive=("cin1",))
    assert "label 'cancer' is not among the classes normal, cin1" in refused(capsys)


def test_a_model_of_cases_is_refused_where_no_row_names_its_view(model, tmp_path, capsys):
    images(tmp_path, views=("",))
    model.contract = contract(views=SEVEN)
    assert "no row names its view" in refused(capsys)


def test_a_run_is_not_overwritten(model, tmp_path, capsys):
    images(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    assert "choose another folder" in refused(capsys, "-o", "run")


def test_a_calibrated_model_with_an_operating_point_is_measured_with_and_without(model, tmp_path, capsys):
    images(tmp_path)
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"]
    main([*asked, "--out", "plain"])
    before = results(tmp_path / "plain")
    assert before["calibration_measures"]["after"] is None and "operating_point" not in before
    # The stand-in for a network gives the same numbers; the contract says now that they are calibrated ones.
    model.contract = contract(
        calibration=Calibration("temperature", (0.5, 0.5), (0.0, 0.0)),
        operating_point=OperatingPoint("sensitivity:0.9", 0.99),
    )
    main([*asked, "--out", "calibrated"])
    found = results(tmp_path / "calibrated")
    measures = found["calibration_measures"]
    assert measures["after"] == before["calibration_measures"]["before"]
    assert measures["before"]["metrics"]["brier"]["value"] != measures["after"]["metrics"]["brier"]["value"]
    assert found["operating_point"]["rule"] == "sensitivity:0.9"
    assert found["operating_point"]["counts"]["missed"] == found["operating_point"]["counts"]["positive"] > 0
    said = capsys.readouterr().out
    assert "calibration, after temperature scaling, probability of " in said


def test_repeatability_counts_the_cases_whose_images_are_decided_both_ways(model, tmp_path, capsys):
    images(tmp_path)
    model.contract = contract(operating_point=OperatingPoint("youden", 0.5))
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--repeatability"])
    found = results(tmp_path / "evaluation")["repeatability"]
    assert (found["cases"], found["images"], found["of"]) == (8, 16, "negative or positive")
    assert found["metrics"]["kappa"]["value"] == 1  # both images of a visit are equal
    assert "several images of 8 cases" in capsys.readouterr().out
    assert "--repeatability: needs a row an image" in refused(capsys, "--repeatability", "--aggregate", "mean")


def test_other_answers_are_compared_as_measures_of_doubt(model, tmp_path, capsys):
    images(tmp_path)
    (tmp_path / "other.tflite").write_bytes(b"any")
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"]
    main([*asked, "--uncertainty", "flips", "turns", "--ensemble", "other.tflite"])
    found = results(tmp_path / "evaluation")["uncertainty"]
    assert [(each["name"], each["members"]) for each in found["methods"]] == [
        ("single", 1),
        ("flips", 4),
        ("turns", 8),
        ("ensemble", 2),
    ]
    assert found["n"] == 16 and found["groups"] == 8
    flips = found["methods"][1]["measures"]
    assert flips["mutual_information"]["aurc"]["value"] == 0  # gray images look alike from all sides, all are right
    printed = capsys.readouterr().out
    assert "mean of 8 flips and quarter turns of the image: area under its risk-coverage curve" in printed
    assert "note: the model other.tflite does not say what it was trained on" in printed
    main([*asked, "--uncertainty", "flips", "--aggregate", "mean", "-o", "cases"])
    assert results(tmp_path / "cases")["uncertainty"]["n"] == 8


def test_other_answers_that_cannot_be_had_are_refused(model, tmp_path, capsys):
    images(tmp_path)
    assert "exported files such as model.tflite have none left" in refused(capsys, "--uncertainty", "dropout")
    assert "other.tflite: no such file or folder" in refused(capsys, "--ensemble", "other.tflite")
    assert "--samples 1: must be at least 2" in refused(capsys, "--samples", "1")
    model.contract = contract(width=6)
    assert "would stretch a turned image otherwise; use flips" in refused(capsys, "--uncertainty", "turns")
    assert not (tmp_path / "evaluation").exists()


def test_an_ensemble_that_was_trained_on_the_tested_images_is_told(model, tmp_path, capsys):
    images(tmp_path)
    (tmp_path / "other.tflite").write_bytes(b"any")
    model.seen = trained_on(manifest.read(tmp_path / "manifest.csv").part("test").rows[:4], tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--ensemble", "other.tflite"])
    assert "WARNING: the model other.tflite was trained on 4 of these 16 files" in capsys.readouterr().out


def test_strata_are_compared_where_both_have_enough_women(model, tmp_path, capsys):
    images(tmp_path, visits=96)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--by", "view", "age"])
    found = results(tmp_path / "evaluation")["strata_differences"]
    (pair,) = found["view"]
    assert (pair["stratum"], pair["against"]) == ("green", "iodine")
    assert pair["metrics"]["sensitivity"]["value"] == 0 and pair["metrics"]["sensitivity"]["n"] == 48
    assert "48 groups are on both sides" in pair["metrics"]["accuracy"]["method"]
    young = found["age"][0]["metrics"]["accuracy"]
    assert (found["age"][0]["stratum"], young["value"], young["p_holm"]) == ("<25", None, None)
    printed = capsys.readouterr().out
    assert (
        "view green minus iodine, positive by most probable class:" in printed
        and "(Holm)" in printed
        and "too few: 6 and 42 groups" in printed
    )


def test_strata_and_their_differences_are_of_the_operating_point_that_the_command_asks_for(model, tmp_path, capsys):
    images(tmp_path, visits=192, views=("",))
    rows = manifest.read(tmp_path / "manifest.csv")
    brighter = rows.rows["group"].str[1:].astype(int) % 16 >= 8
    rows.rows["site"] = brighter.map({True: "bright", False: "dark"})
    manifest.write(rows, tmp_path / "manifest.csv")
    model.contract = contract(operating_point=OperatingPoint("youden", 0.5))  # finds cancer at both sites
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--by", "site"]
    for options, sensitivities in (([], [1, 1]), (["--operating-point", "sensitivity:0.5"], [1, 0])):
        main([*asked, *options])
        found = results(tmp_path / "evaluation")
        table = [found["strata"]["site"][name]["operating_point"] for name in ("bright", "dark")]
        assert [each["metrics"]["sensitivity"]["value"] for each in table] == sensitivities
        (pair,) = found["strata_differences"]["site"]
        assert pair["metrics"]["sensitivity"]["value"] == sensitivities[0] - sensitivities[1]
    printed = capsys.readouterr().out
    assert "site bright minus dark, positive by youden:" in printed
    assert "site bright minus dark, positive by sensitivity:0.5:" in printed
