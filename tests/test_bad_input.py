"""Wrong input to the commands: one clear line, exit code 2, no traceback, nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data import __main__ as data_command
from cervix_tf.data import manifest
from cervix_tf.study import main
from experiments.mobilenetv2_ensemble.__main__ import STUDY
from tests import options

HEADER = "path,sha256,label,group,case,view,site,split,age,width,height\n"


@pytest.fixture
def visits(tmp_path, picture):
    """Two visits of seven images in two classes, in the original layout."""
    root = tmp_path / "images"
    for part in ("train", "test"):
        for label in (0, 2):
            for k in range(7):
                file = root / part / str(label) / f"{part}{label}" / f"{k}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), picture(10 * label + k, 48, 64))
    return root


def first(visits):
    return visits / "train" / "0" / "train0" / "3.jpg"


def listed(tmp_path, *rows):
    path = tmp_path / "manifest.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def missing_root(tmp_path, visits):
    return ["--data.root", tmp_path / "nowhere"], "nowhere"


def no_root_at_all(tmp_path, visits):
    return [], "--data.root"


def empty_folder(tmp_path, visits):
    (tmp_path / "empty").mkdir()
    return ["--data.root", tmp_path / "empty"], "empty"


def six_images_in_a_visit(tmp_path, visits):
    first(visits).unlink()
    return ["--data.root", visits], "train0"


def zero_byte_jpeg(tmp_path, visits):
    first(visits).write_bytes(b"")
    return ["--data.root", visits], "3.jpg"


def truncated_jpeg(tmp_path, visits):
    first(visits).write_bytes(first(visits).read_bytes()[:400])
    return ["--data.root", visits], "3.jpg"


def text_named_jpeg(tmp_path, visits):
    first(visits).write_text("not an image")
    return ["--data.root", visits], "3.jpg"


def cmyk_jpeg(tmp_path, visits):
    from PIL import Image

    Image.new("CMYK", (64, 48), (10, 20, 30, 40)).save(first(visits))
    return ["--data.root", visits], "CMYK"


def sixteen_bit_png(tmp_path, visits):
    deep = np.full((48, 64, 3), 40_000, np.uint16)
    first(visits).unlink()
    cv2.imwrite(str(first(visits).with_suffix(".png")), deep)
    return ["--data.root", visits], "16 bits"


def one_class_only(tmp_path, visits):
    rows = [f"train/0/train0/{k}.jpg,,normal,a,a,acetic_{k},,,,," for k in range(1, 6)]
    return [
        "--data.manifest",
        listed(tmp_path, *rows),
        "--data.root",
        visits,
    ], "no image of class cin1 among 5"


def label_not_in_classes(tmp_path, visits):
    rows = ["train/0/train0/0.jpg,,normal,a,a,green,,,,,", "train/0/train0/1.jpg,,hsil,b,b,green,,,,,"]
    return ["--data.manifest", listed(tmp_path, *rows), "--data.root", visits], "'hsil'"


def non_utf8_csv(tmp_path, visits):
    path = tmp_path / "manifest.csv"
    path.write_bytes(HEADER.encode() + "a.jpg,,caf\xe9,,,,,,,,\n".encode("latin-1"))
    return ["--data.manifest", path], "line 2"


def absolute_path(tmp_path, visits):
    return ["--data.manifest", listed(tmp_path, "/etc/passwd,,normal,,,,,,,,")], "is absolute"


def path_that_leaves_the_root(tmp_path, visits):
    return ["--data.manifest", listed(tmp_path, "../a.jpg,,normal,,,,,,,,")], "leaves the data root"


def unknown_column(tmp_path, visits):
    path = tmp_path / "manifest.csv"
    path.write_text("path,color\na.jpg,red\n")
    return ["--data.manifest", path], "color"


def manifest_that_is_missing(tmp_path, visits):
    return ["--data.manifest", tmp_path / "none.csv"], "none.csv"


def image_that_is_missing(tmp_path, visits):
    rows = [f"{name}.jpg,,{label},{name},{name},green,,,,," for name, label in (("a", "normal"), ("b", "cancer"))]
    return ["--data.manifest", listed(tmp_path, *rows)], "a.jpg: no such image file"


def group_in_two_parts(tmp_path, visits):
    rows = [
        f"{part}/{c}/{part}{c}/{k}.jpg,,{label},woman{c},{part}{c},{view},,{part},,,"
        for part in ("train", "test")
        for c, label in ((0, "normal"), (2, "cin2_3"))
        for k, view in enumerate(["acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine"])
    ]
    return ["--data.manifest", listed(tmp_path, *rows), "--data.root", visits], "woman0"


def case_without_iodine(tmp_path, visits):
    rows = [f"train/{c}/train{c}/0.jpg,,{label},{c},{c},green,,,,," for c, label in ((0, "normal"), (2, "cancer"))]
    return ["--data.manifest", listed(tmp_path, *rows), "--data.root", visits], "no case has all"


def output_below_a_file(tmp_path, visits):
    (tmp_path / "file").write_text("")
    return ["--data.root", visits, "--out", tmp_path / "file" / "runs"], "not a folder"


def weights_that_are_missing(tmp_path, visits):
    return ["--data.root", visits, "--weights", tmp_path / "none.h5"], "none.h5"


def weights_of_something_else(tmp_path, visits):
    (tmp_path / "wrong.weights.h5").write_bytes(b"no weights")
    return ["--data.root", visits, "--weights", tmp_path / "wrong.weights.h5"], "does not fit"


def more_devices_than_there_are(tmp_path, visits):
    return ["--data.root", visits, "--devices", "9"], "--devices 9"


def unknown_preset(tmp_path, visits):
    return ["--preset", "papers"], "choose from paper, demo, public"


def unknown_layout(tmp_path, visits):
    return ["--data.root", visits, "--layout", "kaggle"], "kaggle"


def too_many_folds(tmp_path, visits):
    return ["--data.root", visits, "--folds", "50"], "50"


KINDS = [
    missing_root, no_root_at_all, empty_folder, six_images_in_a_visit, zero_byte_jpeg, truncated_jpeg, text_named_jpeg,
    cmyk_jpeg, sixteen_bit_png, one_class_only, label_not_in_classes, non_utf8_csv, absolute_path,
    path_that_leaves_the_root, unknown_column, manifest_that_is_missing, image_that_is_missing, group_in_two_parts,
    case_without_iodine, output_below_a_file, weights_that_are_missing, weights_of_something_else,
    more_devices_than_there_are, unknown_preset, unknown_layout, too_many_folds,
]  # fmt: skip


def half_written(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".part-")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_study_names_what_is_wrong_in_one_line_and_ends_with_code_2(kind, tmp_path, visits, capfd):
    wrong, said = kind(tmp_path, visits)
    usual = ["--out", tmp_path / "runs", "--images.height", 64, "--images.width", 64, "--weights", "random"]
    with pytest.raises(SystemExit) as ended:
        main(STUDY, options.replacing(usual, wrong))
    printed = capfd.readouterr().err
    assert ended.value.code == 2
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert said in line
    assert "Traceback" not in printed
    assert not half_written(tmp_path)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train0,3.jpg,sideways", "sideways"),
        ("nowhere,3.jpg,green", "nowhere"),
        ("train0,99.jpg,green", "99.jpg"),
    ],
)
def test_a_wrong_override_file_is_refused_by_the_import(override, said, tmp_path, visits, capsys):
    table = tmp_path / "overrides.csv"
    table.write_text(f"visit,file,view\n{override}\n")
    out = tmp_path / "manifest.csv"
    with pytest.raises(SystemExit) as ended:
        data_command.main(["import", "cervigram_visits", str(visits), "-o", str(out), "--overrides", str(table)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not out.exists() and not half_written(tmp_path)


def test_a_full_disk_ends_in_one_line_and_leaves_no_half_file(tmp_path, monkeypatch, capsys):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "manifest.csv")

    monkeypatch.setattr(os, "fsync", full)
    arguments = ["--preset", "demo", "--synthetic-visits", "8", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        main(STUDY, arguments)
    assert ended.value.code == 2
    assert "the disk is full" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_command_itself_prints_no_traceback(tmp_path):
    command = [sys.executable, "-m", "experiments.mobilenetv2_ensemble", "--data.root", str(tmp_path / "none")]
    done = subprocess.run([*command, "--out", str(tmp_path / "runs")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    *progress, refusal = done.stderr.splitlines()
    assert refusal.startswith("error: ") and all(line.endswith(" ...") for line in progress)


def test_a_manifest_with_many_faults_names_them_all_at_once(tmp_path):
    path = listed(tmp_path, "/a.jpg,,,,,,,,,,", "../b.jpg,,,,,,,,,,", "c.jpg,,,,,,,,200,,", "d.jpg,,,,,,,,,-1,")
    with pytest.raises(ValueError, match=r"line 2[^$]*line 3[^$]*line 4[^$]*line 5"):
        manifest.read(Path(path))
