"""What an evaluation says of decisions: thresholds, doubt, strata and repeated images."""

import json

import cv2
import pytest

from cervix_tf.data import manifest, seen
from cervix_tf.data.manifest import Manifest
from cervix_tf.decision import Calibration, OperatingPoint
from cervix_tf.evaluate.__main__ import main
from cervix_tf.export import runtime
from cervix_tf.metrics import predictions
from tests.evaluate.conftest import CLASSES, contract, images, refused, results, trained_on


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
    (tmp_path / "north" / "manifest.csv").write_text(
        (tmp_path / "north" / "manifest.csv").read_text().replace(",validation,", ",train,")
    )
    with pytest.raises(SystemExit):
        main([*several, "--operating-point", "specificity:0.5"])
    assert (
        "north/manifest.csv: --operating-point specificity:0.5: there is no validation row" in capsys.readouterr().err
    )


def test_a_threshold_is_chosen_once_on_the_first_of_several_manifests_and_tested_on_all(model, tmp_path, capsys):
    for name, visits in (("north", 16), ("south", 12)):
        (tmp_path / name).mkdir()
        images(tmp_path / name, visits=visits)
    asked = ["--resamples", "100", "--operating-point", "sensitivity:0.5"]
    alone = {}
    for name in ("north", "south"):
        main(["model.tflite", "--manifest", f"{name}/manifest.csv", "-o", f"{name}-alone", *asked])
        alone[name] = results(tmp_path / f"{name}-alone")["operating_point"]["threshold"]
    main(["model.tflite", "--manifest", "north/manifest.csv", "south/manifest.csv", *asked])
    north, south = (
        results(tmp_path / "evaluation" / f"{name}-manifest")["operating_point"] for name in ("north", "south")
    )
    assert north["threshold"] == south["threshold"] == alone["north"] != alone["south"]
    assert north["chosen_on"] == "this data set's own validation rows"
    assert south["chosen_on"] == "the validation rows of north-manifest"
    row = json.loads((tmp_path / "evaluation" / "row.json").read_text())
    assert row["south-manifest"]["decided"].endswith("chosen on the validation rows of north-manifest")
    assert row["north-manifest"]["decided"].endswith("chosen on this data set's own validation rows")
    assert "on south-manifest by operating point, sensitivity:0.5, positive from a score of " in capsys.readouterr().out


def test_the_threshold_of_the_contract_is_that_of_all_manifests(model, tmp_path):
    images(tmp_path)
    (tmp_path / "again.csv").write_bytes((tmp_path / "manifest.csv").read_bytes())
    model.contract = contract(operating_point=OperatingPoint("youden", 0.25))
    main(["model.tflite", "--manifest", "manifest.csv", "again.csv", "--resamples", "100"])
    for name in ("manifest", "again"):
        point = results(tmp_path / "evaluation" / name)["operating_point"]
        assert (point["threshold"], point["chosen_on"]) == (0.25, "the model's own validation rows")


@pytest.mark.parametrize("same_files", [True, False])
def test_rows_that_a_threshold_was_chosen_on_are_no_test_of_it(model, tmp_path, capsys, same_files):
    images(tmp_path)
    other = tmp_path if same_files else tmp_path / "other"
    other.mkdir(exist_ok=True)
    if not same_files:
        images(other)
        for path in other.rglob("*.png"):
            cv2.imwrite(str(path), cv2.imread(str(path)) + 1)
    # No validation rows: what tests a threshold needs none.
    turned = manifest.read(other / "manifest.csv")
    turned.rows["split"] = turned.rows["split"].map({"test": "train", "validation": "test"})
    manifest.write(turned, other / "turned.csv")
    manifests = ["manifest.csv", str(other / "turned.csv")]
    main(["model.tflite", "--manifest", *manifests, "--resamples", "100", "--operating-point", "youden"])
    printed = capsys.readouterr().out
    row = json.loads((tmp_path / "evaluation" / "row.json").read_text())
    told = "operating point: chosen on 16 of these 16 files, so its figures here are too good"
    named = "note: operating point: chosen on groups that have the names of 8 of these 8"
    assert row["manifest"]["warnings"] == []
    assert (f"WARNING: {told}" in printed, named in printed) == (same_files, not same_files)
    assert [each.startswith(told) for each in row["turned"]["warnings"]] == [True] * same_files


@pytest.mark.parametrize("purpose", ["train", "validation"])
def test_a_threshold_from_rows_that_the_model_learned_from_is_warned_of_and_from_its_own_validation_remarked(
    model, tmp_path, capsys, purpose
):
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        images(tmp_path / name)
        for path in (tmp_path / name).rglob("*.png") if name == "south" else ():
            cv2.imwrite(str(path), cv2.imread(str(path)) + 1)  # other women, though called alike
    known = manifest.read(tmp_path / "north" / "manifest.csv").part("validation").rows[:4]
    model.seen = seen.of(Manifest(known.assign(split=purpose), tmp_path / "north"))
    asked = ["--resamples", "100", "--operating-point", "youden", "--set-error", "0.2"]
    main(["model.tflite", "--manifest", "north/manifest.csv", "south/manifest.csv", *asked])
    printed = capsys.readouterr().out
    row = json.loads((tmp_path / "evaluation" / "row.json").read_text())
    warned = (
        "operating point and prediction sets: chosen on the validation rows of north-manifest, where the model was "
        "trained on 4 of 16 files; on such rows, results look better than they are, so elsewhere the threshold may "
        "reach less than asked and the sets may miss more than asked; choose on rows that the model has not seen"
    )
    remarked = (
        "operating point and prediction sets: chosen on the validation rows of north-manifest, of which 4 of 16 files "
        "also chose the model itself (its epoch, for example); on such rows, results look better than they are, so "
        "elsewhere the threshold may reach less than asked and the sets may miss more than asked"
    )
    told, kind, mark = (warned, "warnings", "WARNING") if purpose == "train" else (remarked, "remarks", "note")
    assert told in row["north-manifest"][kind] == results(tmp_path / "evaluation/north-manifest")["thresholds"][kind]
    assert f"{mark}: {told}" in printed and (warned in printed) is (purpose == "train")
    # The threshold is the same elsewhere, and so is what is to be known of it.
    of_point = told.replace(" and prediction sets", "").replace(" and the sets may miss more than asked", "")
    assert of_point in row["south-manifest"][kind] and of_point not in row["north-manifest"][kind]


def test_what_the_models_own_validation_rows_chose_is_remarked(model, tmp_path, capsys):
    images(tmp_path)
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"]
    main(asked)
    assert "chose the model itself" not in capsys.readouterr().out
    model.contract = contract(
        calibration=Calibration("temperature", (0.5, 0.5), (0.0, 0.0)), operating_point=OperatingPoint("youden", 0.5)
    )
    main(asked)
    assert (
        "note: operating point and calibration: chosen on the model's own validation rows, which also chose the "
        "model itself (its epoch, for example); on such rows, results look better than they are, so elsewhere the "
        "threshold may reach less than asked and probabilities may be less well calibrated\n"
    ) in capsys.readouterr().out


def test_thresholds_for_a_fixed_specificity_are_warned_of_too_where_the_model_was_trained_on_their_rows(
    model, tmp_path, capsys
):
    images(tmp_path)
    model.seen = trained_on(manifest.read(tmp_path / "manifest.csv").part("validation").rows, tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert "WARNING: thresholds for a fixed specificity: chosen on" in capsys.readouterr().out


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


def test_a_percentage_is_no_rate_and_the_share_that_it_means_is_named(model, tmp_path, capsys):
    images(tmp_path)
    assert "is a percentage, but a share is expected: write sensitivity:0.95" in refused(
        capsys, "--operating-point", "sensitivity:95"
    )


def test_a_prevalence_alone_is_for_the_most_probable_class(model, tmp_path, capsys):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--prevalence", "0.05"])
    found = results(tmp_path / "evaluation")["operating_point"]
    assert found["threshold"] is None and found["metrics"]["ppv_at_prevalence"]["value"] == 1
    assert "most probable class; at a prevalence of 5 %:" in capsys.readouterr().out
    assert "--prevalence 5: must be above 0 and below 1" in refused(capsys, "--prevalence", "5")
    assert "--operating-point best: is not a rule" in refused(capsys, "--operating-point", "best")
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


def test_without_validation_rows_no_threshold_is_chosen_and_the_command_says_so(model, tmp_path, capsys):
    images(tmp_path, split="test")
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert results(tmp_path / "evaluation")["binary"]["thresholds"] == {}
    assert "no validation rows" in capsys.readouterr().out


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
    assert "--repeatability: needs one row per image" in refused(capsys, "--repeatability", "--aggregate", "mean")


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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "device"], "--by device: none of the 16 rows has its device"),
        (["--by", "view", "--aggregate", "mean"], "--by view: after --aggregate a row is a case"),
        (["--by", "device", "--aggregate", "mean"], "--by device: none of the 8 rows has its device"),
        (["--repeatability"], "--repeatability: no case has two images"),
        (["--set-error", "0.1"], "--set-error 0.1: no validation rows; give rows the split validation"),
        (
            ["--operating-point", "youden"],
            "--operating-point youden: validation and test share 1 group, everyone for ex",
        ),
    ],
)
def test_what_the_rows_of_one_manifest_rule_out_is_refused_before_the_model_works_on_any(
    model, tmp_path, capsys, monkeypatch, options, said
):
    images(tmp_path, device="A")
    rows = manifest.read(tmp_path / "manifest.csv")
    lacking = rows.rows.assign(device="")
    if "--repeatability" in options:
        lacking = lacking.assign(case="", group=lacking["path"])
    if "--set-error" in options:
        lacking = lacking[lacking["split"] == "test"]
    if "--operating-point" in options:
        lacking = lacking.assign(group="everyone")
        manifest.write(
            Manifest(lacking, tmp_path), tmp_path / "manifest.csv"
        )  # a threshold is chosen on the first alone
    manifest.write(Manifest(lacking.reset_index(drop=True), tmp_path), tmp_path / "other.csv")
    monkeypatch.setattr(runtime, "answers", lambda *_: pytest.fail("the model was asked"))
    assert said in refused(capsys, "other.csv", "--resamples", "100", *options)
    assert not (tmp_path / "evaluation").exists()


def test_devices_are_strata_like_sites(model, tmp_path, capsys):
    images(tmp_path, visits=96)
    rows = manifest.read(tmp_path / "manifest.csv")
    assert "device" not in (tmp_path / "manifest.csv").read_text().splitlines()[0]  # which names none
    assert "--by device: none of the 96 rows has its device" in refused(capsys, "--by", "device")
    rows.rows["device"] = rows.rows["view"].map({"green": "scanner A", "iodine": "scanner B"})
    manifest.write(rows, tmp_path / "manifest.csv")
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--by", "device"])
    found = results(tmp_path / "evaluation")
    assert {name: each["n"] for name, each in found["strata"]["device"].items()} == {"scanner A": 48, "scanner B": 48}
    (pair,) = found["strata_differences"]["device"]
    assert (pair["stratum"], pair["against"]) == ("scanner A", "scanner B")
    assert pair["metrics"]["sensitivity"]["p_holm"] == 1
    assert "device scanner A minus scanner B" in capsys.readouterr().out
    written = predictions.read(tmp_path / "evaluation" / "predictions.csv")
    assert set(written.table["device"]) == {"scanner A", "scanner B"}
    cases = predictions.aggregate(written, "case")
    assert set(cases.table["device"]) == {""}  # each was taken by both


def test_groups_that_are_called_as_the_models_own_are_remarked_and_not_taken_for_them(model, tmp_path, capsys):
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        images(tmp_path / name)
        for path in (tmp_path / name).rglob("*.png") if name == "south" else ():
            cv2.imwrite(str(path), cv2.imread(str(path)) + 1)
    model.seen = trained_on(
        manifest.read(tmp_path / "north" / "manifest.csv").part("validation").rows, tmp_path / "north"
    )
    main(["model.tflite", "--manifest", "south/manifest.csv", "--resamples", "100", "--operating-point", "youden"])
    printed = capsys.readouterr().out
    assert "8 of 8 groups have names of groups that the model was trained on; if they are the same women" in printed
    assert "WARNING: operating point" not in printed
