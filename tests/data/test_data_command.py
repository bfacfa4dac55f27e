from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cervix_tf.data import contact_sheet
from cervix_tf.data import manifest as manifests
from cervix_tf.data.__main__ import main
from tests.data.conftest import refusal

Picture = Callable[..., np.ndarray]


def test_import_writes_a_manifest_and_says_what_it_holds_and_how_to_read_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "elsewhere" / "manifest.csv"
    assert main(["import", "folder", str(root), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "folder: 20 images" in said
    assert f"--root {shlex.quote(str(root))}" in said
    rows = manifests.read(out, root).rows
    assert rows["label"].value_counts().to_dict() == {"normal": 10, "abnormal": 10}


def test_import_groups_and_counts_what_it_left_out(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cervix_tf.data import importers

    table = manifests.from_records([{"path": "normal/00.png", "label": "normal"}], root)
    left_out = [(f"{at}.txt", "not an image") for at in range(5)] + [("x.bmp", "a mask")]
    imported = importers.Imported(table, left_out, ["expected 2 images, found 1: 1 missing"])
    monkeypatch.setattr(importers, "load", lambda name, root, options: imported)
    assert main(["import", "folder", str(root), "-o", str(root / "manifest.csv")]) == 0
    said = capsys.readouterr().out
    assert "left out: 5 x not an image (0.txt, 1.txt, 2.txt, ...)\nleft out: 1 x a mask (x.bmp)\n" in said
    assert "note: expected 2 images, found 1: 1 missing\n" in said
    assert "--root" not in said  # the manifest lies in the data root


def test_audit_ends_with_0_when_clean_and_1_when_errors_were_found(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(manifest)]) == 0
    assert "20 images, 0 errors, 0 warnings, 0 to leave out" in capsys.readouterr().out

    broken = manifest.parent / "normal" / "00.png"
    broken.write_bytes(b"")
    findings, exclusions = tmp_path / "findings.csv", tmp_path / "exclude.csv"
    argv = ["audit", str(manifest), "-o", str(findings), "--exclusions", str(exclusions), "--workers", "2"]
    assert main(argv) == 1
    said = capsys.readouterr().out
    assert "normal/00.png: empty: the file is empty" in said
    assert "20 images, 1 error, 0 warnings, 1 to leave out" in said
    assert pd.read_csv(findings)["kind"].tolist() == ["empty"]
    assert pd.read_csv(exclusions)["path"].tolist() == ["normal/00.png"]


def test_an_audit_that_looks_in_the_wrong_folder_says_so_and_names_the_option(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "manifest.csv"
    moved.write_bytes(manifest.read_bytes())
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(moved)])
    assert ended.value.code == 2
    assert f"{elsewhere} has none of its images (20): give the folder" in capsys.readouterr().err
    assert main(["audit", str(moved), "--root", str(manifest.parent)]) == 0


def test_split_by_group_leaves_out_what_is_excluded_and_fills_the_split_column(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exclude.csv").write_text("path,reason\nnormal/00.png,empty\n")
    out = manifest.parent / "split.csv"
    argv = ["split", str(manifest), "--exclude", str(tmp_path / "exclude.csv"), "-o", str(out)]
    assert main([*argv, "--test", "0.4", "--seed", "1"]) == 0
    said = capsys.readouterr()
    assert "left out: 1 image named in" in said.out and not said.err
    rows = manifests.read(out).rows
    assert len(rows) == 19
    assert set(rows["split"]) == {"train", "test"}
    assert (rows.groupby("group")["split"].nunique() == 1).all()


def test_split_by_class_warns_that_it_leaks(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = manifest.parent / "split.csv"
    argv = ["split", str(manifest), "--by", "class", "--test", "0.2", "--validation", "0.2", "-o", str(out)]
    assert main(argv) == 0
    assert "groups are shared by parts" in capsys.readouterr().err
    counts = manifests.read(out).rows.groupby(["label", "split"]).size()
    assert counts.to_dict() == {
        (label, split): count
        for label in ("abnormal", "normal")
        for split, count in (("train", 6), ("validation", 2), ("test", 2))
    }


@pytest.mark.parametrize("by", ["group", "class"])
def test_split_warns_of_a_class_that_a_part_is_left_without(
    by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_groups = ["common"] * 9, ["common"] * 9, ["common"] * 9, ["common", "rare"]
    records = [
        {"path": f"{group}_{at}.png", "label": label, "group": f"woman {group}"}
        for group, labels in enumerate(of_groups)
        for at, label in enumerate(labels)
    ]
    manifests.write(manifests.from_records(records, tmp_path), tmp_path / "m.csv")
    assert main(["split", str(tmp_path / "m.csv"), "--by", by, "--dry-run"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if " has no " in line]
    assert len(warnings) == 1 and "images) has no rare; ask for larger shares or another seed" in warnings[0]


@pytest.mark.parametrize(("test", "validation"), [("0.7", "0.3"), ("0.9", "0.1")])
def test_nothing_is_left_for_train_where_test_and_validation_make_one(
    test: str, validation: str, manifest: Path
) -> None:
    out = manifest.parent / "split.csv"
    assert main(["split", str(manifest), "--test", test, "--validation", validation, "-o", str(out)]) == 0
    assert set(manifests.read(out).rows["split"]) == {"validation", "test"}


def test_split_puts_near_duplicates_into_one_group_when_asked(
    manifest: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [{"path": f"{seed}{suffix}", "label": "x"} for seed in range(10) for suffix in (".jpg", ".png")]
    for record in records:
        cv2.imwrite(str(manifest.parent / record["path"]), picture(int(record["path"][0])))
    manifests.write(manifests.from_records(records, manifest.parent), manifest)
    assert main(["split", str(manifest), "--similar", "-o", str(manifest)]) == 0
    assert "20 groups before, 10 now" in capsys.readouterr().out
    rows = manifests.read(manifest).rows
    assert (rows.groupby(rows["path"].str[0])["split"].nunique() == 1).all()
    assert (rows["split"] == "test").sum() == 4


def test_split_fills_the_manifest_itself_unless_told_another_file_or_nothing(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = manifest.read_bytes()
    assert main(["split", str(manifest), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "nothing was written: --dry-run" in said and "images by class and split" in said
    assert main(["split", str(manifest), "-o", str(manifest.parent / "other.csv")]) == 0
    assert manifest.read_bytes() == before
    capsys.readouterr()
    assert main(["split", str(manifest)]) == 0
    said = capsys.readouterr().out
    assert f"to use it in a study: --data.manifest {shlex.quote(str(manifest))}\n" in said and "before" not in said
    assert manifest.read_bytes() == (manifest.parent / "other.csv").read_bytes()
    assert set(manifests.read(manifest).rows["split"]) == {"train", "test"}
    assert main(["split", str(manifest), "--seed", "1"]) == 0
    assert "the split column previously held train (" in capsys.readouterr().out
    assert not list(manifest.parent.glob(".part-*"))


def test_split_says_the_root_that_a_study_needs(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = manifest.rename(manifest.parent.parent / "m.csv")
    assert main(["split", str(moved), "--root", str(manifest.parent)]) == 0
    said = shlex.join(["--data.manifest", str(moved), "--data.root", str(manifest.parent)])
    assert said in capsys.readouterr().out


def test_split_does_not_drop_excluded_rows_from_the_manifest_itself(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exclude.csv").write_text("path,reason\nnormal/00.png,empty\n")
    before = manifest.read_bytes()
    said = refusal(capsys, "split", str(manifest), "--exclude", str(tmp_path / "exclude.csv"))
    assert "-o FILE writes the others" in said
    assert manifest.read_bytes() == before


def test_a_copy_that_is_left_out_still_shows_that_two_groups_are_one_woman(
    tmp_path: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve women under two numbers each, an image of each the same in both."""
    rows = []
    for woman in range(12):
        for half in range(2):
            for at in range(3):
                seed = 1000 * (woman + 1) + (0 if at == 0 else 10 * half + at)
                name = f"{woman}-{half}-{at}.png"
                cv2.imwrite(str(tmp_path / name), picture(seed, 48, 64))
                rows.append({"path": name, "label": "ab"[woman % 2], "group": f"{woman}-{half}"})
    (tmp_path / "11-1-2.png").write_bytes(b"broken")  # listed too, and no obstacle
    manifests.write(manifests.from_records(rows, tmp_path), tmp_path / "m.csv")
    listed = tmp_path / "exclude.csv"
    assert main(["audit", str(tmp_path / "m.csv"), "--exclusions", str(listed)]) == 1
    assert len(pd.read_csv(listed)) == 13
    command = ["split", str(tmp_path / "m.csv"), "--similar", "--exclude", str(listed), "--test", "0.4"]
    assert main([*command, "-o", str(tmp_path / "split.csv")]) == 0
    assert "near-duplicates grouped: 24 groups before, 12 now" in capsys.readouterr().out
    table = manifests.read(tmp_path / "split.csv").rows
    women = table["path"].str.split("-").str[0]
    assert len(table) == 72 - 13 and (table.groupby(women)["split"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("groups", "digests", "said"),
    [
        (["", "", "", ""], "abcd", "no row names a group or a case"),
        (["a", "b", "", ""], "abcd", "2 of 4 rows name neither group nor case"),
        (["a", "b", "c", "d"], "abcd", "every row is its own group"),
        (["woman 12", "Woman_012", "b", "b"], "abcd", "('Woman_012' and 'woman 12')"),
        (["a", "a", "b", "b"], "abac", "1 files with the same bytes are in several groups (0.png of 'a' and 2."),
    ],
)
def test_audit_and_split_warn_of_groups_that_cannot_be_trusted(
    groups: list[str], digests: str, said: str, tmp_path: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"path": f"{at}.png", "label": "x", "group": group, "sha256": 64 * digest}
        for at, (group, digest) in enumerate(zip(groups, digests, strict=True))
    ]
    for at, row in enumerate(rows):
        cv2.imwrite(str(tmp_path / str(row["path"])), picture(at))
    manifests.write(manifests.from_records(rows, tmp_path), tmp_path / "m.csv")
    main(["audit", str(tmp_path / "m.csv")])
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert said in warning
    assert main(["split", str(tmp_path / "m.csv"), "--test", "0.5"]) == 0
    assert said in capsys.readouterr().err


def test_groups_that_can_be_trusted_are_passed_without_a_word(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(manifest)]) == 0
    assert main(["split", str(manifest)]) == 0
    said = capsys.readouterr()
    assert "warning: " not in said.out + said.err


def test_audit_shows_three_near_duplicates_and_the_command_that_keeps_them_together(
    manifest: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    records = [{"path": f"{seed}{suffix}", "label": "x"} for seed in range(5) for suffix in (".jpg", ".png")]
    for record in records:
        cv2.imwrite(str(manifest.parent / record["path"]), picture(int(record["path"][0])))
    manifests.write(manifests.from_records(records, manifest.parent), manifest)
    assert main(["audit", str(manifest), "--root", str(manifest.parent)]) == 0
    said = capsys.readouterr().out
    assert said.count("nearly the same: ") == 3 and "nearly the same: 0.jpg and 0.png (" in said
    (line,) = [line for line in said.splitlines() if line.startswith("5 such pairs; to keep each in one split: ")]
    command = shlex.split(line.rpartition("cervix_tf.data ")[2])
    assert command == ["split", str(manifest), "--root", str(manifest.parent), "--similar"]
    assert main(command) == 0
    rows = manifests.read(manifest).rows
    assert (rows.groupby(rows["path"].str[0])["split"].nunique() == 1).all()


def test_show_counts_and_draws_a_sheet(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    assert main(["show", str(manifest), "-o", str(sheet), "--columns", "3"]) == 0
    counts = [line.split() for line in capsys.readouterr().out.replace("│", "").splitlines()]
    assert ["abnormal", "10", "5", "0"] in counts and ["all", "20", "5", "0"] in counts
    drawn = cv2.imread(str(sheet))
    assert drawn is not None
    before = sorted(manifest.parent.rglob("*"))
    assert main(["show", str(manifest)]) == 0
    assert "-o sheet.png draws a contact sheet" in capsys.readouterr().out
    assert sorted(manifest.parent.rglob("*")) == before
    assert drawn.shape[1] == 3 * (128 + 4) + 4


def test_a_sheet_shows_the_images_and_crosses_out_what_cannot_be_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "green.png"), np.full((10, 20, 3), (0, 255, 0), np.uint8))
    (tmp_path / "gone.png").write_bytes(b"?")
    sheet = contact_sheet.draw(
        [contact_sheet.Strip("x", ((str(tmp_path / "green.png"), "a"), (str(tmp_path / "gone.png"), "b")))],
        40,
    )
    left, right = sheet[24:64, 4:44], sheet[24:64, 48:88]
    assert (left[20, 20] == (0, 255, 0)).all()
    assert (left[2, 20] == 235).all()  # letterboxed: twice as wide as high
    assert (right[20, 20] == (0, 0, 200)).all()


def test_a_sheet_of_cases_has_a_line_a_case_with_its_views_in_order(tmp_path: Path) -> None:
    records = [
        {"path": f"{case}/{view}.png", "label": "cin1", "case": case, "view": view}
        for case in ("v1", "v2")
        for view in ("iodine", "acetic_10", "acetic_2", "green")
    ]
    strips = contact_sheet.strips(manifests.from_records(records, tmp_path), columns=8, seed=0)
    assert [strip.heading for strip in strips] == ["cin1, v1", "cin1, v2"]
    assert [caption for _, caption in strips[0].images] == ["acetic_2", "acetic_10", "green", "iodine"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["split", "{manifest}", "--test", "1.5"], "together they must add up to 1"),
        (["split", "{manifest}", "--exclude", "{root}/none.csv"], "none.csv: no such file"),
        (["audit", "{manifest}", "--workers", "-1"], "--workers must be 0 or more"),
        (["audit", "{manifest}", "--max-megapixels", "nan"], "--max-megapixels above 0"),
        (["show", "{root}/none.csv"], "none.csv: no such file"),
        (["show", "{manifest}", "--columns", "0"], "--columns must be at least 1"),
        (["import", "no_such_layout", "{root}", "-o", "{root}/x.csv"], "no_such_layout: no such importer"),
        (["import", "folder", "{root}/none", "-o", "{root}/x.csv"], "none"),
        (["show", "{manifest}", "-o", "{manifest}/x/sheet.png"], "manifest.csv"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_a_message_and_writes_nothing(
    argv: list[str], message: str, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(manifest.parent.rglob("*"))
    said = refusal(capsys, *(word.format(manifest=manifest, root=manifest.parent) for word in argv))
    assert said.startswith("error: ") and message in said
    assert sorted(manifest.parent.rglob("*")) == before


def test_the_program_ends_with_2_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"path\n/abs.jpg\n../up.jpg\n")
    command = [sys.executable, "-m", "cervix_tf.data", "show", str(tmp_path / "bad.csv")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["import", "audit", "split", "show"])
def test_help_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys\n"
        "from cervix_tf.data.__main__ import main\n"
        "try: main([sys.argv[1], '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'cv2', 'sklearn', 'scipy', 'tensorflow', 'keras', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    start = time.perf_counter()
    said = subprocess.run([sys.executable, "-c", program, command], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"
    assert "--root" in said.stdout or "ROOT" in said.stdout
    assert time.perf_counter() - start < 5  # about 0.2 s on an idle machine
