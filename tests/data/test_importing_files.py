"""What an import notes of every file: its size, its hash, its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cervix_tf.data.importers import Options, load
from cervix_tf.data.importing import files
from cervix_tf.data.importing.imported_records import ImportedRecords
from tests.data.imported import picture


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
def test_sizes_are_read_as_width_and_height(suffix: str, tmp_path: Path) -> None:
    with picture(tmp_path / f"x{suffix}", width=37, height=19).open("rb") as file:
        assert files.size(file) == (37, 19)


def test_sizes_skip_large_application_segments_of_a_jpeg(tmp_path: Path) -> None:
    data = picture(tmp_path / "x.jpg", width=37, height=19).read_bytes()
    segment = b"\xff\xe1\xff\xff" + b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01" + bytes(65533 - 9)
    (tmp_path / "y.jpg").write_bytes(data[:2] + segment * 3 + data[2:])
    with (tmp_path / "y.jpg").open("rb") as file:
        assert files.size(file) == (37, 19)


def test_unreadable_files_keep_their_row_without_a_size(tmp_path: Path) -> None:
    good = picture(tmp_path / "c" / "good.jpg").read_bytes()
    broken = {
        "empty.jpg": b"",
        "text.png": b"not a picture",
        "short.bmp": b"BM\0\0",
        "cut.jpg": good[:20],
        "tail.jpg": b"\xff\xd8\xff\xd9",
    }
    for name, data in broken.items():
        (tmp_path / "c" / name).write_bytes(data)
    imported = load("folder", tmp_path)
    table = imported.manifest.rows.set_index("path")
    assert len(table) == 6
    assert table["width"].notna().sum() == 1
    assert (table["sha256"].str.len() == 64).all()
    assert any(note.startswith("5 files without a readable image header") for note in imported.notes)


def test_without_the_hash_option_the_hashes_stay_empty(tmp_path: Path) -> None:
    picture(tmp_path / "c" / "a.jpg")
    assert list(load("folder", tmp_path, Options(hash=False)).manifest.rows["sha256"]) == [""]


def test_names_that_no_manifest_can_hold_are_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "c" / "a.jpg")
    data = (tmp_path / "c" / "a.jpg").read_bytes()
    for name in (b"line\nbreak.jpg", b"back\\slash.jpg", b"latin\xe9.jpg"):
        with open(os.fsencode(tmp_path / "c") + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(data)
    found = ImportedRecords()
    assert files.images(tmp_path, found) == ["c/a.jpg"]
    assert len(found.left_out) == 3
    "".join(what for what, _ in found.left_out).encode("utf-8")
