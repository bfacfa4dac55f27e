"""The walk through a data set's folders: what is an image, what only looks like one, and that both are said."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data import fingerprints, importers, walk
from cervix_tf.data.importers import Options
from cervix_tf.errors import InputError

MADE = [
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "x/@eaDir/b.jpg",
    "x/@EADIR/c.jpg",
    "#recycle/d.jpg",
    "#snapshot/e.jpg",
    "$RECYCLE.BIN/f.jpg",
    "lost+found/g.jpg",
    "System Volume Information/h.jpg",
    "thumbnails/i.jpg",
    "SYNOPHOTO_THUMB_M.jpg",
]
HIDDEN = ["__MACOSX/x/._a.jpg", ".AppleDouble/j.jpg", ".thumbnails/k.jpg", ".@__thumb/l.jpg", "x/._m.jpg"]


def picture(path: Path, gray: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 5, 3), gray, np.uint8))
    return path


def test_thumbnails_and_copies_of_drives_and_systems_are_left_out_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "a.jpg")
    for name in (*MADE, *HIDDEN):
        picture(tmp_path / name)
    imported = importers.load("folder", tmp_path)
    assert imported.manifest.rows["path"].tolist() == ["x/a.jpg"]
    reasons = {what: reason.split(":")[0] for what, reason in imported.left_out}
    assert sorted(reasons) == sorted([*MADE, *HIDDEN])
    assert {reasons[name] for name in MADE} == {"thumbnail or old copy"}
    assert {reasons[name] for name in HIDDEN[1:]} == {"hidden file"}


def test_images_in_formats_that_are_not_read_are_named_and_other_files_are_none(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "a.jpg")
    for name in ("x/scan.DCM", "x/slide.svs", "x/z.avif", "x/.hidden.dcm", "notes.txt"):
        (tmp_path / name).write_bytes(b"something")
    imported = importers.load("folder", tmp_path)
    assert imported.manifest.rows["path"].tolist() == ["x/a.jpg"]
    reason = "image in a format that is not read; convert it to PNG"
    assert imported.left_out == [("x/scan.DCM", reason), ("x/slide.svs", reason), ("x/z.avif", reason)]


def test_what_is_called_like_an_image_and_is_no_file_is_left_out_in_a_second(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "a.jpg")
    os.mkfifo(tmp_path / "x" / "pipe.jpg")
    (tmp_path / "x" / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "x" / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "x" / "nowhere.jpg").symlink_to("gone.jpg")
    (tmp_path / "x" / "good.jpg").symlink_to("a.jpg")
    picture(tmp_path / "x" / "folder.jpg" / "b.jpg")
    (tmp_path / "x" / "loop").symlink_to("..")
    start = time.perf_counter()
    imported = importers.load("folder", tmp_path)
    assert time.perf_counter() - start < 5
    assert imported.manifest.rows["path"].tolist() == ["x/a.jpg", "x/good.jpg"]
    assert {what: reason.split(";")[0] for what, reason in imported.left_out} == {
        "x/pipe.jpg": "pipe or device, no file",
        "x/zero.jpg": "pipe or device, no file",
        "x/circle.jpg": "link that leads to no file",
        "x/nowhere.jpg": "link that leads to no file",
        "x/folder.jpg": "folder that is called like an image",
        "x/loop": "link to a folder, which is not followed",
    }


def test_a_table_that_names_a_pipe_or_a_folder_is_refused_with_its_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "t.csv").write_text("path\npipe.jpg\nx.jpg\n")
    with pytest.raises(InputError, match=r"line 2: .*is a pipe or a device.*\n.*line 3: .*is a folder"):
        importers.load("csv", tmp_path)


def test_names_that_only_some_systems_tell_apart_are_noted(tmp_path: Path) -> None:
    for name in ("Type_1/a.jpg", "type_1/a.jpg", "x/caf\u00e9.jpg", "x/cafe\u0301.jpg", "x/b.jpg"):
        picture(tmp_path / name)
    notes = importers.load("folder", tmp_path, Options(labels={"type_1": "Type_1"})).notes
    (note,) = [note for note in notes if "differ only in case" in note]
    assert note.startswith("2 names differ only in case or Unicode form")
    assert "Type_1/a.jpg and type_1/a.jpg" in note


def test_a_folder_that_cannot_be_opened_is_refused_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "x" / "a.jpg")
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "x":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"x: cannot be opened \(Permission denied\)"):
        walk.images(tmp_path)


def test_every_ending_that_is_right_for_a_format_that_is_read_is_that_of_an_image(tmp_path: Path) -> None:
    right = {ending for endings in fingerprints._SUFFIXES.values() for ending in endings}
    assert right == set(walk.SUFFIXES)
    jpeg = picture(tmp_path / "x" / "a.jpg").read_bytes()
    (tmp_path / "x" / "b.JFIF").write_bytes(jpeg)
    assert walk.images(tmp_path) == (["x/a.jpg", "x/b.JFIF"], [])
