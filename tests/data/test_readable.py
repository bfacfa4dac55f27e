"""Damaged images end a run with their names, or are left out and counted."""

import cv2
import pytest

from cervix_tf.data import manifest, readable
from cervix_tf.errors import InputError


@pytest.fixture
def listed(tmp_path, picture):
    """Three cases of two views and an image of none; the first case's second view is damaged."""
    records = [{"path": f"{case}{view}.jpg", "case": case, "view": view} for case in "abc" for view in ("x", "y")]
    records.append({"path": "single.jpg", "case": ""})
    for seed, record in enumerate(records):
        cv2.imwrite(str(tmp_path / record["path"]), picture(seed))
    half(tmp_path / "ay.jpg")
    return manifest.from_records(records, tmp_path)


def half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_damaged_images_end_a_run_with_all_their_names(listed):
    half(listed.root / "single.jpg")
    with pytest.raises(InputError, match=r"ay\.jpg: truncated[^$]*\n[^$]*single\.jpg: truncated"):
        readable.only(listed)


def test_sound_images_stay_as_they_are(listed):
    sound = listed.where(listed.rows["case"] != "a")
    for damaged in ("fail", "skip"):
        kept, left_out = readable.only(sound, damaged)
        assert kept.rows.equals(sound.rows) and left_out == []
    assert readable.counts([]) == []


def test_skipped_images_take_the_rest_of_their_case_with_them_and_are_counted(listed):
    half(listed.root / "single.jpg")
    kept, left_out = readable.only(listed, "skip")
    assert list(kept.rows["path"]) == ["bx.jpg", "by.jpg", "cx.jpg", "cy.jpg"]
    assert [each.name.rsplit("/", 1)[1] for each in left_out] == ["ax.jpg", "ay.jpg", "single.jpg"]
    assert readable.counts(left_out) == [
        {"kind": "of an incomplete case (left out)", "count": 1},
        {"kind": "truncated (left out)", "count": 2},
    ]


def test_a_missing_image_is_no_damaged_one(listed):
    (listed.root / "bx.jpg").unlink()
    with pytest.raises(InputError, match=r"bx\.jpg: no such image file"):
        readable.only(listed, "skip")


def test_a_manifest_without_a_sound_image_is_refused(listed):
    alone = listed.where(listed.rows["case"] == "a")
    with pytest.raises(InputError, match=r"none of 2 images can be read; the first: .*ax\.jpg"):
        readable.only(alone, "skip")
