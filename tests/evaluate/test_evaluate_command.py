"""`python -m cervix_tf.evaluate`: what it reads and writes, and what it refuses."""

import json

import pytest

from cervix_tf.data import manifest, seen
from cervix_tf.evaluate.__main__ import main
from cervix_tf.metrics import predictions
from cervix_tf.report import checklist
from tests.evaluate.conftest import SEVEN, contract, images, refused, results, trained_on


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
    *_, sentence, where = printed.splitlines()
    assert sentence == "Of 8 cases with cancer, it missed 0; of 8 cases without, it raised a false alarm in 0."
    assert where == "report: evaluation/report.html"


def test_the_terminal_has_the_main_numbers_once_and_the_files_have_all(model, tmp_path, capsys):
    images(tmp_path)
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"]
    main([*asked, "--operating-point", "youden", "--prevalence", "0.1"])
    printed = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in printed if line.startswith("  ")]
    assert len(names) == len(set(names)) and {"accuracy", "sensitivity", "specificity", "auc"} < set(names)
    assert "ppv_at_prevalence" in names and "precision" not in names  # which is of these rows' prevalence
    assert "log_loss" not in names and "log_loss" in results(tmp_path / "evaluation")["metrics"]
    assert sum("Clopper-Pearson" in line for line in printed) == 1  # a method stands once


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
    assert printed.splitlines()[-3:] == [
        "north-manifest: Of 8 cases with cancer, it missed 0; of 8 cases without, it raised a false alarm in 0.",
        "south-manifest: Of 4 cases with cancer, it missed 0; of 4 cases without, it raised a false alarm in 0.",
        "row: evaluation/row.json",
    ]
    assert [str(each) for each in model.pages] == ["evaluation/north-manifest", "evaluation/south-manifest"]


@pytest.mark.parametrize("roots", [["north"], ["north", "south"]])
def test_several_manifests_have_one_folder_of_images_or_each_its_own(model, tmp_path, capsys, roots):
    for root in roots:
        (tmp_path / root).mkdir()
        images(tmp_path / root)
    for number, root in enumerate((roots[0], roots[-1])):
        (tmp_path / f"{number}.csv").write_bytes((tmp_path / root / "manifest.csv").read_bytes())
    asked = ["model.tflite", "--manifest", "0.csv", "1.csv", "--resamples", "100", "--root"]
    main([*asked, *roots])
    kept = [json.loads((tmp_path / f"evaluation/{name}/environment.json").read_text())["data_root"] for name in "01"]
    assert [str(each).rpartition("/")[2] for each in kept] == [roots[0], roots[-1]]
    with pytest.raises(SystemExit):
        main([*asked, "elsewhere"])
    assert "0.csv: " in (said := capsys.readouterr().err) and "is --root elsewhere the folder of the images?" in said


def test_manifests_of_different_names_keep_them(model, tmp_path):
    images(tmp_path)
    (tmp_path / "again.csv").write_bytes((tmp_path / "manifest.csv").read_bytes())
    main(["model.tflite", "--manifest", "manifest.csv", "again.csv", "--resamples", "100"])
    assert list(json.loads((tmp_path / "evaluation" / "row.json").read_text())) == ["manifest", "again"]


def two_hospitals(folder, **of_south):
    """Manifests of two folders; the columns of the second one's rows are set to `of_south`."""
    for name, columns in (("north", {}), ("south", of_south)):
        (folder / name).mkdir()
        images(folder / name, visits=8, **columns)
    return ["--manifest", "north/manifest.csv", "south/manifest.csv", "--resamples", "100"]


def test_a_manifest_without_splits_is_tested_as_a_whole_and_says_so(model, tmp_path, capsys):
    main(["model.tflite", *two_hospitals(tmp_path, split="")])
    row = json.loads((tmp_path / "evaluation" / "row.json").read_text())
    told = "no row has a split: all 16 are tested"
    assert [(each["n"], each["data"], each["remarks"]) for each in row.values()] == [
        (8, "north/manifest.csv, split test", []),  # its validation rows chose thresholds
        (16, "south/manifest.csv, split all", [told]),
    ]
    assert results(tmp_path / "evaluation/south-manifest")["rows"]["remarks"] == [told]
    assert f"note: {told}" in capsys.readouterr().out
    main(["model.tflite", "--manifest", "south/manifest.csv", "--resamples", "100", "-o", "alone"])
    assert results(tmp_path / "alone")["n"] == 16
    # Another split than the default is meant, and a column that is filled for some rows too.
    with pytest.raises(SystemExit):
        main(["model.tflite", "--manifest", "south/manifest.csv", "--split", "validation"])
    assert "no row with split 'validation'; there is (none) (16 rows)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"split": "train"}, "south/manifest.csv: no row with split 'test'"),
        ({"label": "cin9"}, "label 'cin9' is not among the classes"),
        (None, "3/0.png: no such file"),
    ],
    ids=["no test rows", "an unknown label", "a missing file"],
)
def test_all_manifests_are_checked_before_the_first_is_evaluated(model, tmp_path, capsys, wrong, told):
    asked = two_hospitals(tmp_path, **(wrong or {}))
    if wrong is None:
        (tmp_path / "south" / "3" / "0.png").unlink()
    with pytest.raises(SystemExit):
        main(["model.tflite", *asked])
    said = capsys.readouterr().err
    assert told in said and "south/manifest.csv: " in said
    assert not (tmp_path / "evaluation").exists()


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
    (out / "report.html").write_text("older")  # the stand-in for the page writes none
    checklist.write(out / "checklist.md", "older", [])
    (out / "notes.txt").write_text("mine")
    model.seen = None
    monkeypatch.setattr(manifest, "write", killed)
    with pytest.raises(SystemExit):
        main(asked)
    left = {path.name for path in out.iterdir()}
    assert "predictions.csv" in left and "notes.txt" in left
    assert not left & {"metrics.json", "report.html", "checklist.md", "seen.json"}
    (out / "checklist.md").write_text("filled in by hand")
    with pytest.raises(SystemExit):
        main(asked)
    assert (out / "checklist.md").read_text() == "filled in by hand"


def test_of_several_manifests_what_is_for_one_is_refused(model, tmp_path, capsys):
    images(tmp_path)
    assert "two have the same name" in refused(capsys, "manifest.csv")
    (tmp_path / "again.csv").write_bytes((tmp_path / "manifest.csv").read_bytes())
    assert "--root . .. /: 3 folders for 2 manifests; give one for all" in refused(
        capsys, "again.csv", "--root", ".", "..", "/"
    )
    assert "--data: is for one manifest" in refused(capsys, "again.csv", "--data", "ours")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "row.json").write_text("mine")
    assert "row.json: already exists" in refused(capsys, "again.csv")
    assert not (tmp_path / "evaluation" / "again").exists()


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
    said = refused(capsys, "--resamples", "100")
    assert "0/0.png: truncated or damaged" in said and said.rstrip().endswith("with --damaged skip")
    assert not (tmp_path / "evaluation").exists()
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100", "--damaged", "skip"])
    found = results(tmp_path / "evaluation")
    assert (found["n"], found["groups"]) == (14, 7)
    assert found["rows"]["left_out"] == {"images": 2, "first": ["0/0.png", "0/1.png"]}
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
    said = capsys.readouterr().out
    assert "1 case left out: no green image" in said and "name no case" not in said
    rows.rows["case"] = rows.rows["case"].mask(
        rows.rows["case"].isin([f"v{visit}" for visit in (0, 3, 4, 5, 6, 7)]), ""
    )
    manifest.write(rows, tmp_path / "manifest.csv")
    main(["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"])
    assert "42 images left out: no case is named" in capsys.readouterr().out


def test_one_kind_of_view_can_be_evaluated_alone(model, tmp_path):
    images(tmp_path)
    main(["model.tflite", "--manifest", "manifest.csv", "--view", "green", "--resamples", "100"])
    assert results(tmp_path / "evaluation")["n"] == 8


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
    elsewhere = {"sha256": "0" * 64, "group": "other", "case": "other"}
    model.seen = trained_on(manifest.read(tmp_path / "manifest.csv").rows, tmp_path, **elsewhere)
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
    (tmp_path / "model.tflite.csv").write_text((tmp_path / "manifest.csv").read_text())
    with pytest.raises(SystemExit):
        main(["model.tflite", "--manifest", "manifest.csv", "model.tflite.csv", "-o", "."])
    assert "model.tflite: is a run or the model itself" in capsys.readouterr().err
    assert "is --root elsewhere the folder of the images?" in refused(capsys, "--root", "elsewhere")
    assert "none of 16 rows are saline images" in refused(capsys, "--view", "saline")
    with pytest.raises(SystemExit):
        main(["other.tflite", "--manifest", "manifest.csv"])
    assert "other.tflite: no such file or folder" in capsys.readouterr().err


def test_limits_on_the_card_beside_the_model_stand_in_the_results(model, tmp_path):
    images(tmp_path)
    data = {"classes": {"normal": 4, "cancer": 4}, "n": 8, "groups": 8}
    told = ["Not for smears.", "Measured on 8 inputs of 8 groups from one source; other cameras, clinics and "]
    told[1] += "populations will differ."  # of the data that the card is about, not of these
    card = {"model": {"name": "made up", "version": "0"}, "data": data, "limits": told}
    (tmp_path / "model_card.json").write_text(json.dumps(card))
    asked = ["model.tflite", "--manifest", "manifest.csv", "--resamples", "100"]
    main(asked)
    assert results(tmp_path / "evaluation")["model_limits"] == ["Not for smears."]
    (tmp_path / "model_card.json").write_text(json.dumps(card | {"model": {"name": "another", "version": "0"}}))
    main(asked)
    assert results(tmp_path / "evaluation")["model_limits"] == []


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
