"""decode_file against tf.io, format by format, and its errors."""

import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf

from cervix_tf.data.images import decode, decode_file
from cervix_tf.errors import InputError


def encoded(suffix, pixels, *options):
    done, data = cv2.imencode(suffix, pixels, options)
    assert done
    return data.tobytes()


@pytest.fixture(scope="module")
def photo(picture):
    rng = np.random.default_rng(0)
    noise = rng.integers(-20, 21, (61, 83, 3))
    return np.clip(picture(0, 61, 83) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411"])
def test_jpeg_pixels_are_bit_for_bit_those_of_tf_io(photo, quality, progressive, sampling):
    data = encoded(
        ".jpg",
        photo,
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_PROGRESSIVE, progressive),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")),
    )
    expected = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(decode(data, "x"), expected)


def test_png_and_bmp_pixels_are_those_of_tf_io(photo):
    np.testing.assert_array_equal(decode(encoded(".png", photo), "x"), tf.io.decode_png(encoded(".png", photo)))
    np.testing.assert_array_equal(decode(encoded(".bmp", photo), "x"), tf.io.decode_bmp(encoded(".bmp", photo)))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_files_give_the_pixels_that_were_written(photo, suffix):
    np.testing.assert_array_equal(decode(encoded(suffix, photo), "x"), photo[..., ::-1])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".jpg"])
def test_grey_is_repeated_to_three_channels(photo, suffix):
    grey = photo[..., 0]
    found = decode(encoded(suffix, grey, cv2.IMWRITE_JPEG_QUALITY, 100), "x")
    assert found.shape == (61, 83, 3)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0].astype(int) - grey).max() <= (3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_alpha_is_dropped_not_blended(photo, suffix):
    alpha = np.random.default_rng(1).integers(0, 256, photo.shape[:2], dtype=np.uint8)
    found = decode(encoded(suffix, np.dstack([photo, alpha])), "x")
    np.testing.assert_array_equal(found, photo[..., ::-1])


def test_the_exif_orientation_is_ignored(photo):
    data = encoded(".jpg", photo)
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: turn by 90 degrees
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + tag + b"\0\0\0\0"
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (83, 61, 3)  # the tag is valid
    np.testing.assert_array_equal(decode(turned, "x"), decode(data, "x"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_a_truncated_file_is_an_input_error(tmp_path, photo, suffix, share):
    data = encoded(suffix, photo)
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"cut\{suffix}: truncated or damaged; copy it again"):
        decode_file(tmp_path / f"cut{suffix}")


def test_each_unusable_file_says_what_it_is(tmp_path, photo):
    def refused(data, words):
        with pytest.raises(InputError, match=words):
            decode(data, "x.jpg")

    refused(b"", "x.jpg: the file is empty")
    refused(b"GIF89a and so on", "x.jpg: not a JPEG, PNG, BMP or TIFF image")
    refused(encoded(".png", photo.astype(np.uint16) * 257), "x.jpg: 16 bits a channel")
    refused(encoded(".tiff", photo.astype(np.uint16) * 257), "x.jpg: 16 bits a channel")
    with pytest.raises(InputError, match=r"none\.jpg: no such image file"):
        decode_file(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="is a folder"):
        decode_file(tmp_path)


def test_cmyk_is_refused():
    start, frame = b"\xff\xd8", b"\xff\xc0" + struct.pack(">HBHHB", 20, 8, 4, 4, 4) + bytes(12)
    with pytest.raises(InputError, match="x: a CMYK image; convert it to RGB"):
        decode(start + frame + b"\xff\xda\0\x02\xff\xd9", "x")
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        entry = struct.pack(order + "HHIHH", 262, 3, 1, 5, 0)
        with pytest.raises(InputError, match="x: a CMYK image"):
            decode(mark + struct.pack(order + "IH", 8, 1) + entry, "x")


@pytest.mark.real_data
def test_real_images_decode_as_tf_io_decodes_them(real_data):
    files = [file for suffix in ("jpg", "jpeg", "bmp") for file in sorted(real_data.rglob(f"*.{suffix}"))[::150]]
    assert files
    for file in files:
        data = file.read_bytes()
        plain = tf.io.decode_bmp(data) if file.suffix == ".bmp" else None
        expected = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE") if plain is None else plain
        np.testing.assert_array_equal(decode_file(file), expected, err_msg=str(file))
