"""Decoded images on disk: the user's alone, checked on every reading, never worth a failure."""

import os
import resource
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.data import pixel_cache
from cervix_tf.data.images import decode_file
from cervix_tf.data.pixel_cache import PixelCache
from cervix_tf.errors import InputError


@pytest.fixture
def image(tmp_path, picture):
    cv2.imwrite(str(tmp_path / "x.png"), picture(0))
    return str(tmp_path / "x.png")


def forbidden(file):
    pytest.fail(f"{file} was decoded again")


def test_a_kept_image_is_not_decoded_again_and_has_the_same_pixels(image, tmp_path):
    first = PixelCache(tmp_path / "kept", decode_file)(image)
    again = PixelCache(tmp_path / "kept", forbidden)(image)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(again, decode_file(image))


DAMAGES = {
    "truncated": lambda data: data[:-100],
    "emptied": lambda data: b"",
    "half a head": lambda data: data[:10],
    "a flipped bit": lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    "a zeroed block": lambda data: data[:4096] + bytes(4096) + data[8192:],
    "another size": lambda data: data[:12] + data[16:20] + data[12:16] + data[20:],
    "something else": lambda data: b"something else" * 1000,
    "more": lambda data: data + b"more",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_kept_image_is_decoded_anew_and_mended_in_silence(image, tmp_path, damage, capsys):
    cached = PixelCache(tmp_path / "kept", decode_file)
    cached(image)
    (kept,) = (tmp_path / "kept").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(DAMAGES[damage](whole))
    found = cached(image)
    np.testing.assert_array_equal(found, decode_file(image))
    assert kept.read_bytes() == whole
    assert capsys.readouterr() == ("", "")


def test_a_file_that_changed_but_for_its_size_and_date_is_decoded_again(image, tmp_path, picture):
    bitmap = image.replace(".png", ".bmp")
    cv2.imwrite(bitmap, picture(1))
    before = Path(bitmap).stat()
    cached = PixelCache(tmp_path / "kept", decode_file)
    first = cached(bitmap)
    cv2.imwrite(bitmap, picture(2))
    os.utime(bitmap, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Path(bitmap).stat().st_size == before.st_size
    assert not np.array_equal(cached(bitmap), first)


def test_kept_images_are_their_owners_alone(image, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        PixelCache(folder, decode_file)(image)
    finally:
        os.umask(before)
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_folder_that_is_not_the_users_own_is_neither_written_nor_read(image, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "kept").symlink_to(tmp_path / "elsewhere")
    np.testing.assert_array_equal(PixelCache(tmp_path / "kept", decode_file)(image), decode_file(image))
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "not this user's own folder" in capsys.readouterr().err


def test_a_full_disk_costs_one_note_and_no_result(image, tmp_path, capsys):
    cached = PixelCache(tmp_path / "kept", decode_file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # writing more fails, as on a full disk
    try:
        found = [cached(image) for _ in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for pixels in found:
        np.testing.assert_array_equal(pixels, decode_file(image))
    assert not list((tmp_path / "kept").iterdir())
    note = capsys.readouterr().err
    assert len(note.splitlines()) == 1 and note.startswith("note: ") and "CERVIX_TF_CACHE" in note


def test_a_place_where_no_folder_can_be_made_costs_one_note_and_no_result(image, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    np.testing.assert_array_equal(PixelCache(tmp_path / "file" / "kept", decode_file)(image), decode_file(image))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_image_that_cannot_be_read_is_refused_as_without_a_cache(image, tmp_path):
    cached = PixelCache(tmp_path / "kept", decode_file)
    Path(image).write_bytes(Path(image).read_bytes()[:-20])
    with pytest.raises(InputError, match=r"x\.png: truncated or damaged"):
        cached(image)
    with pytest.raises(InputError, match=r"none\.png: no such image file"):
        cached(str(tmp_path / "none.png"))
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"CERVIX_TF_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own/images"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/cervix_tf/images"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "/home/of/user/.cache/cervix_tf/images"),
        ({}, "/home/of/user/.cache/cervix_tf/images"),
    ],
)
def test_images_are_kept_in_the_users_cache_folder(variables, folder, monkeypatch):
    for name in ("CERVIX_TF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/of/user")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert pixel_cache.folder() == Path(folder)
